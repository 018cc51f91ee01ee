"""Check that a registered model, loaded in a process of its own, predicts what was recorded.

Raw rows and the trained network's predictions for them (through the other execution of the
transform) are stored with the model. The check takes every step that a user of the model takes:
download, TensorFlow without Headrace, raw values through the graph. The process is `golden_main`.
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
from headrace.processes import build_python_command
from headrace.tracking.model import ModelVersion
from headrace.tracking.store import Store

RECORDED_PREFIX = "__headrace_"
"""Prefix of the recorded columns, beside the raw ones: `probability`, `prediction`."""
REJECTED = "rejected"
"""Recorded column that says which rows get a reason in place of a prediction."""
ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE = "headrace.absolute", "headrace.relative"
"""Metadata keys: differences of numbers up to the sum of both are rounding."""
PROBABILITIES = "headrace.probabilities"
"""Metadata key, `true` where the numbers are probabilities, whose rounding is less near 0 and 1."""
# Of the tolerance, what is left of it at 0 and at 1: more than the resolution of float32 there.
_SHARE_AT_ENDS = 0.05
_TIMEOUT_SECONDS = 300  # to download, load and predict


@dataclass(frozen=True)
class GoldenCheck:
    """The result of a check.

    Attributes:
        rows: number of rows compared.
        largest_difference: largest distance of a recorded number and the model's.
        different: number of rows whose numbers or classes differ by more than rounding.
        load_seconds: time to download and load the model.
        latency: rows per request -> milliseconds of each prediction.
    """

    rows: int
    largest_difference: float
    different: int
    load_seconds: float
    latency: dict[int, list[float]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Return whether rows were compared and none differs."""
        return self.rows > 0 and self.different == 0


def write_golden(
    path: str,
    raw: pa.Table,
    recorded: Mapping[str, pa.Array],
    rejected: np.ndarray | None = None,
    *,
    absolute: float,
    relative: float,
    probabilities: bool = False,
) -> None:
    """Write raw rows and their predictions to a Parquet file.

    Args:
        path: path of the file.
        raw: raw columns as `DatasetVersion.read_raw_examples` returns them.
        recorded: output column of the registered model -> its values for these rows.
        rejected: which rows get a reason in place of a prediction, bool (rows,).
        absolute, relative: tolerance: numbers differ where their distance is larger than
            `absolute + relative * |recorded|`.
        probabilities: whether the numbers are probabilities.
    """
    table = raw
    for name, values in recorded.items():
        table = table.append_column(f"{RECORDED_PREFIX}{name}", values)
    if rejected is not None:
        table = table.append_column(f"{RECORDED_PREFIX}{REJECTED}", pa.array(rejected))
    metadata = {ABSOLUTE_TOLERANCE: repr(absolute), RELATIVE_TOLERANCE: repr(relative)}
    if probabilities:
        metadata[PROBABILITIES] = "true"
    pq.write_table(table.replace_schema_metadata(metadata), path)


def find_differences(
    expected: np.ndarray,
    predicted: np.ndarray,
    *,
    absolute: float,
    relative: float,
    probabilities: bool = False,
) -> tuple[np.ndarray, float]:
    """Find the values that are not what was recorded.

    Args:
        expected: recorded numbers, or texts (dtype object), of which a missing one matches any.
        predicted: values of the same shape.
        absolute, relative: tolerance, see `write_golden`.
        probabilities: whether the numbers are probabilities: `absolute` is then that of 1/2, and a
            twentieth of it that of 0 and 1, as a network rounds logits.

    Returns:
        Which values differ, bool of the same shape, and the largest difference of numbers; 0.0 of
        texts.
    """
    if expected.dtype == object:
        recorded = np.array([isinstance(value, str) for value in expected], bool)
        return recorded & (expected != predicted), 0.0
    # NaN differs from every number.
    distance = np.nan_to_num(np.abs(predicted.astype(np.float64) - expected), nan=np.inf)
    allowed = absolute + relative * np.abs(expected)
    if probabilities:
        logit_slope = np.clip(4 * expected * (1 - expected), 0, 1)
        allowed = absolute * (_SHARE_AT_ENDS + (1 - _SHARE_AT_ENDS) * logit_slope)
    different = distance > allowed
    return different, float(distance.max(initial=0.0))


def check_golden(
    store: Store, model: ModelVersion, latency_rows: Sequence[int] = ()
) -> GoldenCheck:
    """Load a registered model in a process of its own and compare its predictions.

    Args:
        store: store that the model is registered in.
        model: model version to check.
        latency_rows: rows per request whose time is measured.

    Raises:
        ModelError: the model cannot be loaded, fails, or has no recorded predictions.
    """
    if "model_bytes" not in model.metadata:
        raise ModelError(
            f"model {model.uri} was registered by an older Headrace, which recorded no predictions "
            "to compare with; train again"
        )
    request: dict[str, Any] = {
        "tracking_uri": store.uri,
        "registry_uri": store.registry_uri or store.uri,
        "model_uri": model.uri,
        "latency_rows": list(latency_rows),
    }
    try:
        process = subprocess.run(
            build_python_command("-m", "headrace.tracking.golden_main"),
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"model {model.uri} was not loaded and did not predict within {_TIMEOUT_SECONDS} s; "
            "run the command again, on a less busy machine or closer to the artifact store"
        ) from None
    output = process.stdout.strip().splitlines()
    if process.returncode != 0 or not output:
        errors = [line for line in process.stderr.splitlines() if line.strip()]
        raise ModelError(
            f"model {model.uri} could not be loaded or could not predict in a process of its own: "
            f"{errors[-1] if errors else 'the process gave no reason'}"
        )
    answer = json.loads(output[-1])
    latency = {int(rows): times for rows, times in answer.pop("latency").items()}
    return GoldenCheck(**answer, latency=latency)
