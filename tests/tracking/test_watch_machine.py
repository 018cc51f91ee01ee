"""Processor, memory and so on of a run that is shorter than the interval between samples."""

from pathlib import Path

import mlflow

from headrace.tracking.run import start_run
from headrace.tracking.store import Store


def test_a_short_run_has_one_sample(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/a")
    with start_run(store, "r") as run:
        stop = run.watch_machine()
        stop()
    found = mlflow.MlflowClient(store.uri).get_run(run.run_id).data.metrics
    assert 0 <= found["system/cpu_utilization_percentage"] <= 100
    assert found["system/system_memory_usage_megabytes"] > 0
