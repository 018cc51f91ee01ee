"""Whether a registered model, loaded anew in a process of its own, gives what was recorded.

Raw rows and what the trained network made of them (through the other execution of the transform)
are kept with the model. The check goes the whole way that a user of the model goes: download,
TensorFlow without Headrace, raw values through the graph.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import ModelError
from headrace.processes import python_command
from headrace.tracking.model import ModelVersion
from headrace.tracking.store import Store

RECORDED = "__headrace_"
"""Begin of the names of recorded columns, beside the raw ones: `probability`, `prediction`."""
ABSOLUTE, RELATIVE = "headrace.absolute", "headrace.relative"
"""Metadata: differences of numbers up to their sum are rounding."""
FILE = "golden.parquet"
_PATIENCE = 300  # seconds to download and load


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    Attributes:
        rows: compared.
        largest_difference: between a recorded number and the model's.
        different: rows whose numbers or classes differ by more than rounding.
        latency: rows of a request -> milliseconds of each prediction.
        load_seconds: until the model was ready.
    """

    rows: int
    largest_difference: float
    different: int
    load_seconds: float
    latency: dict[int, list[float]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.rows > 0 and self.different == 0


def write_golden(
    path: str,
    raw: pa.Table,
    recorded: Mapping[str, pa.Array],
    *,
    absolute: float,
    relative: float,
) -> None:
    """Write raw rows and what was predicted for them.

    Args:
        path: of the Parquet file.
        raw: columns as `DatasetVersion.raw_examples` has them.
        recorded: output columns of the registered model, by name.
        absolute, relative: difference of numbers that is rounding: the one, and the other times
            the number, together.
    """
    table = raw
    for name, values in recorded.items():
        table = table.append_column(f"{RECORDED}{name}", values)
    noted = {ABSOLUTE: repr(absolute), RELATIVE: repr(relative)}
    pq.write_table(table.replace_schema_metadata(noted), path)


def differing(
    expected: np.ndarray, found: np.ndarray, *, absolute: float, relative: float
) -> tuple[np.ndarray, float]:
    """Which values are not what was recorded, and the largest difference of numbers.

    Args:
        expected: numbers, or texts, of which missing ones stand for any.
        found: of the same shape.
        absolute, relative: see `write_golden`.
    """
    if expected.dtype == object:
        recorded = np.array([isinstance(value, str) for value in expected], bool)
        return recorded & (expected != found), 0.0
    # NaN is far from everything.
    distance = np.nan_to_num(np.abs(found.astype(np.float64) - expected), nan=np.inf)
    different = distance > absolute + relative * np.abs(expected)
    return different, float(distance.max(initial=0.0))


def check_golden(store: Store, model: ModelVersion, latency_rows: Sequence[int] = ()) -> Checked:
    """Run the check.

    Args:
        store: where the model is.
        model: which one.
        latency_rows: sizes of requests whose time is measured.

    Raises:
        ModelError: the model cannot be loaded or fails; or it has no recorded predictions.
    """
    if "model_bytes" not in model.facts:
        raise ModelError(
            f"model {model.uri} was registered by an older Headrace, which recorded no predictions "
            "to compare it with; train again"
        )
    asked: dict[str, Any] = {
        "tracking_uri": store.uri,
        "model_uri": model.uri,
        "latency_rows": list(latency_rows),
    }
    try:
        done = subprocess.run(
            python_command("-m", "headrace.tracking.golden_main"),
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"model {model.uri} was not loaded and asked within {_PATIENCE} s"
        ) from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ModelError(
            f"model {model.uri} could not be loaded and asked in a process of its own: "
            f"{said[-1] if said else 'it said nothing'}"
        )
    found = json.loads(lines[-1])
    latency = {int(rows): times for rows, times in found.pop("latency").items()}
    return Checked(**found, latency=latency)
