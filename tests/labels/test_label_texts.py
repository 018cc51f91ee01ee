"""Labels of kind multi_label: as one text, as statistics, as 0s and 1s, as sort keys."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.labels.label_texts import (
    SEPARATOR,
    encode_labels,
    list_label_bins,
    list_labels,
    make_sort_keys,
)
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s
from headrace.transform.fit import FitInputs
from headrace.transform.summaries import LABEL_KEY

TEXTS = [SEPARATOR.join(labels) for labels in (["a", "b"], [], ["b"], ["b", "unseen"], ["10"])]


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(TEXTS),
        pa.chunked_array([TEXTS[:1], TEXTS[1:]], pa.string()),
        pa.chunked_array([TEXTS[:2], TEXTS[2:]], pa.string()).dictionary_encode(),
        pa.array(["x", *TEXTS])[1:],
    ],
    ids=["plain", "chunks", "dictionary", "slice"],
)
def test_a_text_is_a_row_of_ones(texts: pa.Array) -> None:
    assert list_labels(texts).to_pylist() == ["a", "b", "b", "b", "unseen", "10"]
    matrix, has_unseen = encode_labels(texts, ("10", "a", "b"))
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert has_unseen.tolist() == [False, False, False, True, False]


def test_no_rows() -> None:
    matrix, has_unseen = encode_labels(pa.array([], pa.string()), ("a", "b"))
    assert (matrix.shape, has_unseen.shape) == ((0, 2), (0,))


def test_each_label_is_counted_and_whole_numbers_come_by_value() -> None:
    label = s.Label(expression="tags", kind="multi_label")
    fit_inputs = FitInputs({}, {}, {}, label)
    summary = fit_inputs.summarize_labels(pa.array([f"9{SEPARATOR}b", "10", "", f"10{SEPARATOR}9"]))
    spec = fit_inputs.fit_spec({LABEL_KEY: summary}, set())
    assert spec.label == LabelSpec(kind="multi_label", classes=("9", "10", "b"))
    assert spec.label.array == ("float32", (3,))
    assert spec.label.has_threshold


def test_rows_without_a_label_are_counted() -> None:
    rows = np.array([[0, 1], [0, 0], [1, 1], [0, 0]], np.float32)
    assert np.bincount(list_label_bins(rows)).tolist() == [2, 1, 2]


@pytest.mark.parametrize("labels", [1, 8, 9, 64, 65, 200])
def test_rows_are_told_apart_by_every_label(labels: int) -> None:
    rows = np.concatenate([np.zeros((1, labels)), np.eye(labels)]).astype(np.float32)
    keys = make_sort_keys(rows)
    assert all(key.shape == (labels + 1,) for key in keys)
    assert len(set(zip(*(key.tolist() for key in keys), strict=True))) == labels + 1
    plain = np.arange(3)
    assert make_sort_keys(plain) == (plain,)
