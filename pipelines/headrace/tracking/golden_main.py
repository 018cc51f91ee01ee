"""Load a registered model as any user would, and compare its predictions: `golden.py`'s process.

It reads a request, JSON, from standard input, and writes the answer, one line of JSON, as the last
line of standard output.
"""

import json
import sys
import tempfile
import time
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import ModelError
from headrace.tracking.environment import refuse_pickles
from headrace.tracking.golden import (
    ABSOLUTE_TOLERANCE,
    PROBABILITIES,
    RECORDED_PREFIX,
    REJECTED,
    RELATIVE_TOLERANCE,
    find_differences,
)
from headrace.tracking.model import FILE_NAMES, REASON
from headrace.tracking.model_check import check_model_folder, remove_bytecode
from headrace.tracking.saved_graph import check_saved_graph

_REQUESTS, _WARM_UP = 50, 5
# Nullable, so that integers stay integers where some are null.
_DTYPES = {pa.int64(): pd.Int64Dtype()}


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    mlflow.set_tracking_uri(request["tracking_uri"])
    mlflow.set_registry_uri(request.get("registry_uri", request["tracking_uri"]))
    refuse_pickles()
    with tempfile.TemporaryDirectory(prefix="headrace-golden-") as folder:
        began = time.monotonic()
        model = _load_model(request["model_uri"], folder)
        load_seconds = time.monotonic() - began
        table = pq.read_table(f"{folder}/artifacts/{FILE_NAMES['golden']}")
        _compare_predictions(model, table, load_seconds, request["latency_rows"])


def _load_model(uri: str, folder: str) -> Any:
    """Load a model from a local copy, which is checked before anything of it runs."""
    mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
    remove_bytecode(folder)
    try:
        check_model_folder(folder, uri)
        check_saved_graph(f"{folder}/artifacts/{FILE_NAMES['saved_model']}", uri)
    except ModelError as error:
        sys.exit(str(error))
    return mlflow.pyfunc.load_model(folder)


def _compare_predictions(
    model: Any, table: pa.Table, load_seconds: float, latency_rows: list[int]
) -> None:
    """Compare a model's predictions with the recorded ones, and print the answer."""
    recorded = [name for name in table.column_names if name.startswith(RECORDED_PREFIX)]
    raw = table.drop_columns(recorded).to_pandas(types_mapper=_DTYPES.get)
    metadata = table.schema.metadata
    absolute, relative = (
        float(metadata[name.encode()]) for name in (ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE)
    )
    predictions = model.predict(raw)
    rejected = np.zeros(len(raw), bool)
    if (mark := f"{RECORDED_PREFIX}{REJECTED}") in recorded:
        recorded.remove(mark)
        rejected = table[mark].to_numpy()
    reasons = predictions[REASON].notna() if REASON in predictions else rejected & False
    different, largest = np.array(reasons != rejected), 0.0
    # A row without a prediction has nothing more to compare.
    table, predictions = table.filter(pa.array(~rejected)), predictions[~rejected]
    for name in recorded:
        expected = table[name].to_pandas().to_numpy()
        predicted = predictions[name.removeprefix(RECORDED_PREFIX)].to_numpy()
        if pa.types.is_list(table[name].type):  # of several labels, in their order
            expected = np.stack(expected)
            predicted = np.array([list(row.values()) for row in predicted])
        differs, distance = find_differences(
            expected,
            predicted,
            absolute=absolute,
            relative=relative,
            probabilities=PROBABILITIES.encode() in metadata,
        )
        different[~rejected] |= np.asarray(differs.reshape(len(differs), -1).any(axis=1))
        largest = max(largest, distance)
    answer: dict[str, Any] = {
        "rows": len(raw),
        "largest_difference": largest,
        "different": int(different.sum()),
        "load_seconds": round(load_seconds, 3),
        "latency": {rows: _measure_latency(model, raw, rows) for rows in latency_rows},
    }
    print(json.dumps(answer))


def _measure_latency(model: Any, raw: pd.DataFrame, rows: int) -> list[float]:
    """Measure the milliseconds of predictions of that many rows each, after a warm-up."""
    milliseconds = []
    for number in range(_REQUESTS + _WARM_UP):
        positions = (np.arange(rows) + number * rows) % len(raw)
        request = raw.iloc[positions].reset_index(drop=True)
        began = time.perf_counter()
        model.predict(request)
        milliseconds.append((time.perf_counter() - began) * 1000)
    return milliseconds[_WARM_UP:]


if __name__ == "__main__":
    main()
