"""What is recorded with a model: its threshold, distributions, and golden rows.

Registration as a whole, with MLflow and the exported graph, runs in tests/e2e.
"""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import RemovedError, TrainError
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.models.predict import Predictor
from headrace.progress import ignore_progress
from headrace.recipe import sections as s
from headrace.recipe.evaluate_sections import MaxF1, TargetPrecision
from headrace.recipe.sections import Mlp
from headrace.tracking.golden import (
    ABSOLUTE_TOLERANCE,
    PROBABILITIES,
    RELATIVE_TOLERANCE,
    find_differences,
)
from headrace.train import register
from headrace.train.input_example import make_example_rows
from headrace.train.register import (
    _convert_frame,
    _describe_columns,
    _describe_predictions,
    _resolve_threshold,
    _write_golden,
)
from headrace.transform.arrow import ArrowTransform, stack_inputs
from headrace.transform.spec import RawColumn, TransformSpec
from tests.models.specs import BINARY, NUMBER, REGRESSION, WORD, make_spec

# From 0.9, 0.7 and 0.6 on, precision is 1, 1/2 and 2/3, recall 1/2, 1/2 and 1. A threshold lies
# in the middle between two probabilities.
TRUTH, PROBABILITY = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.7, 0.6, 0.1])


HELD_OUT = (TRUTH, PROBABILITY, None)


def choosing(setting: Any = None, weighted: bool = False) -> s.Evaluate:
    return s.Evaluate(threshold=setting or MaxF1(choose="max_f1"), weighted=weighted)


def test_a_fixed_threshold_needs_no_rows() -> None:
    assert _resolve_threshold(s.Evaluate(threshold=0.25), None) == (0.25, {})


def test_a_chosen_threshold_is_recorded_with_its_choice() -> None:
    threshold, facts = _resolve_threshold(choosing(), HELD_OUT)
    assert threshold == pytest.approx(0.35)
    assert facts == {
        "threshold_chosen": {
            "choose": "max_f1",
            "threshold": pytest.approx(0.35),
            "precision": pytest.approx(2 / 3),
            "recall": 1.0,
            "f1": pytest.approx(0.8),
        }
    }
    setting = TargetPrecision(choose="precision", at_least=0.9)
    threshold, _ = _resolve_threshold(choosing(setting), HELD_OUT)
    assert threshold == pytest.approx(0.8)


def test_each_of_several_labels_counts_as_a_row() -> None:
    held_out = (TRUTH.reshape(2, 2), PROBABILITY.reshape(2, 2))
    threshold, _ = _resolve_threshold(choosing(), (*held_out, None))
    assert threshold == pytest.approx(0.35)


def test_rows_weigh_in_the_choice_as_they_do_in_the_evaluation() -> None:
    """With the last positive row next to nothing, the first threshold has the highest F1."""
    held_out = (TRUTH, PROBABILITY, np.array([1.0, 1.0, 1e-3, 1.0], np.float32))
    threshold, facts = _resolve_threshold(choosing(weighted=True), held_out)
    assert threshold == pytest.approx(0.8)
    assert facts["threshold_chosen"]["recall"] == pytest.approx(1 / 1.001)
    assert _resolve_threshold(choosing(), held_out)[0] == pytest.approx(0.35)
    labels = tuple(array.reshape(2, 2) for array in (TRUTH, PROBABILITY))
    by_row = (*labels, np.array([1.0, 0.0], np.float32))
    assert _resolve_threshold(choosing(weighted=True), by_row)[0] == pytest.approx(0.8)
    with pytest.raises(TrainError, match="no positive row with weight"):
        _resolve_threshold(choosing(weighted=True), (TRUTH, PROBABILITY, np.zeros(4)))


def test_without_validation_rows_there_is_nothing_to_choose_from() -> None:
    with pytest.raises(TrainError):
        _resolve_threshold(choosing(), None)


def test_columns_are_described_as_the_build_that_fitted_them_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[tuple] = []

    def read_text(*arguments: Any) -> str:
        reads.append(arguments)
        return '[{"name": "amount"}]'

    monkeypatch.setattr(register, "read_sidecar_text", read_text)
    distributions = [
        SimpleNamespace(name="amount", counts={"train": (1, 2), "test": (9, 9)}, unknown={}),
        SimpleNamespace(name="shop", counts={"train": (3,)}, unknown={"train": 4, "test": 9}),
    ]
    dataset: Any = SimpleNamespace(
        root="/data",
        build=SimpleNamespace(transform_of="b1", build_id="b2"),
        fitted_profile=SimpleNamespace(
            distributions=distributions,
            columns=[SimpleNamespace(name="price", missing={"train": 1, "test": 9})],
        ),
        fitted_rows=3,
    )
    assert _describe_columns(dataset, ignore_progress) == {
        "axes": [{"name": "amount"}],
        "counts": {"amount": [1, 2], "shop": [3]},
        "unknown": {"shop": 4},
        "missing": {"price": 1},
        "rows": 3,
    }
    dataset.build.transform_of = None
    _describe_columns(dataset, ignore_progress)
    assert reads == [("/data", "b1", "axes.json"), ("/data", "b2", "axes.json")]


def test_a_model_whose_counts_were_removed_is_registered_with_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> str:
        raise RemovedError("build b1 was removed")

    monkeypatch.setattr(register, "read_sidecar_text", refuse)
    build = SimpleNamespace(transform_of=None, build_id="b1")
    dataset: Any = SimpleNamespace(root="/data", build=build)
    messages: list[str] = []
    described = _describe_columns(dataset, lambda progress: messages.append(progress.text))
    assert described == {"axes": [], "counts": {}, "unknown": {}, "missing": {}, "rows": 0}
    (message,) = messages
    assert message.startswith("scoring with this model will not measure drift of its inputs: build")


def test_predictions_are_counted_in_the_labels_own_unit() -> None:
    """Center 5, scale 2: outputs -1, 0 and 1 are the numbers 3, 5 and 7."""
    spec = make_spec(NUMBER, label=REGRESSION)
    predictions = _describe_predictions(np.array([-1.0, 0.0, 1.0]), spec, 0.5)["predictions"]
    assert sum(predictions["counts"]) == 3
    edges = predictions["axis"]["edges"]
    assert 3.0 <= edges[0] < edges[-1] <= 7.0
    probabilities = _describe_predictions(np.array([0.01, 0.02, 0.99]), make_spec(NUMBER), 0.5)
    assert probabilities["predictions"]["axis"]["edges"][0] == 0.0
    assert probabilities["predictions"]["axis"]["edges"][-1] == 1.0


def test_example_rows_become_columns_of_the_lakes_types() -> None:
    kinds = {
        "integer": pa.int64(), "real": pa.float64(), "string": pa.string(), "bytes": pa.binary(),
        "integers": pa.list_(pa.int64()), "reals": pa.list_(pa.float64()),
        "strings": pa.list_(pa.string()), "timestamp": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    raw = tuple(RawColumn(name=kind, kind=kind, nullable=True) for kind in kinds)
    frame = make_example_rows(TransformSpec(raw=raw, derived=(), features=()))
    table = _convert_frame(frame, raw)
    assert {field.name: field.type for field in table.schema} == kinds
    rows = table.to_pylist()
    assert (rows[0]["integer"], rows[0]["strings"]) == (1, ["example"])
    assert rows[0]["timestamp"] == datetime(2013, 1, 1, 12, tzinfo=UTC)
    assert set(rows[2].values()) == {None}


@pytest.mark.parametrize(
    ("label", "column", "absolute", "relative"),
    [(BINARY, "probability", "0.001", "0.0"), (REGRESSION, "prediction", "0.002", "1e-06")],
)
def test_golden_rows_have_the_networks_answers(
    tmp_path: Path, label: Any, column: str, absolute: str, relative: str
) -> None:
    """A tolerance of 0.001, of a label of scale 2 on its own scale."""
    spec = make_spec(NUMBER, WORD, label=label)
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec)
    raw = pa.table({"x": [10.0, 12.0, None], "w": ["a", "zebra", None]})
    path = str(tmp_path / "golden.parquet")
    _write_golden(
        path, raw, pd.DataFrame(), Predictor(model).predict_inputs, spec, 0.001, s.Train()
    )
    table = pq.read_table(path)
    assert table.column_names == ["x", "w", f"__headrace_{column}"]
    assert table.schema.metadata == {
        ABSOLUTE_TOLERANCE.encode(): absolute.encode(),
        RELATIVE_TOLERANCE.encode(): relative.encode(),
        **({PROBABILITIES.encode(): b"true"} if label.kind == "binary" else {}),
    }
    output = Predictor(model).predict_inputs(stack_inputs(ArrowTransform(spec)(raw), spec))
    expected = output.astype(np.float64) * label.scale + label.center
    np.testing.assert_allclose(table[f"__headrace_{column}"].to_numpy(), expected, rtol=1e-6)


def test_numbers_that_are_not_standardized_are_compared_by_their_size(tmp_path: Path) -> None:
    spec = make_spec(NUMBER, label=LabelSpec(kind="regression"))
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec)
    for variable in model.trainable_variables:
        variable.assign(variable.value * 1e-3)
    path = str(tmp_path / "golden.parquet")
    raw = pa.table({"x": [10.0, 12.0, None]})
    _write_golden(path, raw, pd.DataFrame(), Predictor(model).predict_inputs, spec, 1e-5, s.Train())
    table = pq.read_table(path)
    answers = table["__headrace_prediction"].to_numpy()
    assert 0 < np.abs(answers).max() < 1e-4
    different, _ = find_differences(
        answers,
        np.zeros(3),
        absolute=float(table.schema.metadata[ABSOLUTE_TOLERANCE.encode()]),
        relative=float(table.schema.metadata[RELATIVE_TOLERANCE.encode()]),
    )
    assert different[np.abs(answers) > 0].all()


def test_without_raw_rows_the_example_is_golden(tmp_path: Path) -> None:
    spec = make_spec(NUMBER, WORD)
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec)
    path = str(tmp_path / "golden.parquet")
    example = make_example_rows(spec)
    for raw in (None, pa.table({"x": pa.array([], pa.float64()), "w": pa.array([], pa.string())})):
        _write_golden(path, raw, example, Predictor(model).predict_inputs, spec, 0.001, s.Train())
        assert pq.read_table(path)["x"].to_pylist() == [10.0, 12.0, None]
