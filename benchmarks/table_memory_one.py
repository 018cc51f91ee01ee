"""Do on one rank all that is done with a sharded table, and take the peak of memory of each."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.features.hash import HashFeature
from headrace.features.scaled import ScaledFeature
from headrace.labels.kinds import find_label_kind
from headrace.models.build import build_model
from headrace.models.table_parts import SplitModel
from headrace.models.table_storage import build_tables
from headrace.progress import Progress, Report
from headrace.recipe import sections as s
from headrace.train import tables
from headrace.train.optimizer import build_optimizer
from headrace.train.sharded_tables import list_sharded_tables, make_table_builder
from headrace.train.step import TrainStep
from headrace.train.step_options import StepOptions
from headrace.train.table_reading import TableReader
from headrace.train.table_shards import TableShards
from headrace.train.variables import list_whole_variables
from headrace.train.weight_check import sum_sharded_rows
from headrace.transform.spec import RawColumn, TransformSpec

_BATCH, _STEPS = 4096, 100
_OPTIMIZER = {"kind": "rowwise_adagrad", "learning_rate": 0.1}


def measure_table(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Measure the peaks of every rank, GiB, and the seconds, by phase.

    Args:
        payload: `rows` and `width` of the table, `folder` to write into.
        ranks: the ranks.
        report: called with what is done.
    """
    meter = _PeakMeter(ranks, report)
    spec = TransformSpec(
        raw=(
            RawColumn(name="x", kind="real", nullable=True),
            RawColumn(name="w", kind="string", nullable=True),
        ),
        derived=(),
        features=(
            ScaledFeature(name="x", column="x"),
            HashFeature(name="w", columns=("w",), buckets=payload["rows"] - 2),
        ),
    )
    section = s.Dlrm.model_validate(
        {"kind": "dlrm", "hidden": [64], "embedding_width": payload["width"]}
    )
    settings = s.Train.model_validate({"optimizer": _OPTIMIZER, "global_batch_size": _BATCH})

    def initialise() -> Any:
        keras.utils.set_random_seed(1)
        with build_tables(make_table_builder(2**20, ranks)):
            model = build_model(section, spec)
        training = tables.choose_table_training(model, settings)
        shards = [table.variable for table in training if table.shard]
        optimizer = build_optimizer(settings.optimizer, "float32", shards, shards, ranks)
        optimizer.build(model.trainable_variables)
        ranks.broadcast_variables(list_whole_variables(model, optimizer).all)
        return model, optimizer, training

    model, optimizer, training = meter.measure("initialisation", initialise)
    options = StepOptions(
        compute_row_losses=find_label_kind("binary").make_row_losses(0.0),
        shards=8 // ranks.size,
    )
    step = TrainStep(model, optimizer, ranks, "binary", options, training)
    meter.measure("training", lambda: _train(step, spec, ranks))
    shards = TableShards(list_sharded_tables(model), optimizer, ranks)
    written = meter.measure("checkpoint", lambda: shards.write(f"{payload['folder']}/c", 1))
    before = sum_sharded_rows(model, ranks)

    def resume() -> None:
        assert not shards.find_problem(f"{payload['folder']}/c", written)
        shards.read(f"{payload['folder']}/c", written)

    meter.measure("resume", resume)
    assert sum_sharded_rows(model, ranks) == before
    for file in Path(payload["folder"]).glob(f"c/*rank-{ranks.rank:05d}*"):
        file.unlink()
    meter.measure("export", lambda: _export(model, spec, section, ranks, payload["folder"]))
    return {"peaks": meter.peaks, "seconds": meter.seconds}


def _train(step: TrainStep, spec: TransformSpec, ranks: Collectives) -> None:
    rng, share = np.random.default_rng(ranks.rank), _BATCH // ranks.size
    for number in range(_STEPS):
        batch = {
            "numeric": rng.normal(size=(share, 1)).astype(np.float32),
            "categorical": rng.integers(
                0, spec.categorical[0].cardinality, (share, 1), dtype=np.int32
            ),
            "label": rng.integers(0, 2, share).astype(np.float32),
            "weight": np.ones(share, np.float32),
        }
        step({name: tf.constant(a) for name, a in batch.items()}, number, rate=0.1)


def _export(
    model: Any, spec: TransformSpec, section: s.Model, ranks: Collectives, folder: str
) -> None:
    reader = TableReader(model, ranks)
    if ranks.rank:
        reader.follow_rank_0()
        return
    with reader.lead():
        weights = [np.array(v) for v in list_whole_variables(model, None).weights]
        split = SplitModel(section, spec, reader.names, weights, reader.read_rows)
        split.export(f"{folder}/saved_model")
        for file in Path(folder).glob("saved_model/variables/*"):
            file.unlink()
        split.save(f"{folder}/model.keras")


class _PeakMeter:
    """The peaks of resident memory of all ranks, which the kernel counts."""

    def __init__(self, ranks: Collectives, report: Report) -> None:
        self._ranks, self._report = ranks, report
        self.peaks: dict[str, list[float]] = {}
        self.seconds: dict[str, float] = {}

    def measure(self, phase: str, function: Callable[[], Any]) -> Any:
        """Return what the function does; all ranks call it together."""
        Path("/proc/self/clear_refs").write_text("5")
        started_at = time.monotonic()
        result = function()
        peak = next(
            int(line.split()[1]) / 2**20
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        self.peaks[phase] = self._ranks.allgather(np.array([peak])).tolist()
        self.seconds[phase] = time.monotonic() - started_at
        shown = ", ".join(f"{value:.2f}" for value in self.peaks[phase])
        self._report(Progress(f"{phase}: {shown} GiB, {self.seconds[phase]:.0f} s"))
        return result
