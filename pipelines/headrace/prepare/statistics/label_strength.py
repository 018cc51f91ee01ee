"""Measure on a sample how well a single raw column predicts the label: one that nearly equals it
probably leaks.

It is a first look, before anything is trained; `evaluate.leakage` measures the features of a model
in the same unit, with trees. Here a number is cut into intervals, and a label guessed by the mean
(of classes the commonest class) of its interval or text: fitted on every second row, measured on
the others.
"""

import numpy as np
import pyarrow as pa

from headrace.labels.kind import Form
from headrace.labels.spec import LabelSpec

# Rows without which nothing is measured, and rows of the rarer side of a label, in each half.
_LEAST_ROWS, _LEAST_RARE = 100, 10
_INTERVALS = 64


def measure_label_strengths(
    columns: "dict[str, np.ndarray | pa.Array]", truth: np.ndarray, label: LabelSpec
) -> dict[str, float]:
    """Measure columns of a sample.

    Args:
        columns: name -> float64 or int64 numbers as in a `RowSample`, or strings; (rows,) each.
        truth: the label as the dataset has it, float64 (rows,).
        label: says what it means.

    Returns:
        column -> strength, 0 to 1, in the unit of the label kind's `measure_strength`; empty where
        there are too few rows, or too few of the rarer side.
    """
    fitted = np.arange(len(truth)) % 2 == 0
    if len(truth) < _LEAST_ROWS or not (_can_tell(truth[fitted]) and _can_tell(truth[~fitted])):
        return {}
    strengths = {}
    for name, values in columns.items():
        strength = _measure_strength(values, truth, fitted, label)
        if np.isfinite(strength):
            strengths[name] = float(strength)
    return strengths


def _can_tell(truth: np.ndarray) -> bool:
    """Return whether enough labels differ from the most frequent one."""
    counts = np.unique(truth, return_counts=True)[1]
    return int(counts.sum() - counts.max()) >= _LEAST_RARE


def _measure_strength(
    values: "np.ndarray | pa.Array", truth: np.ndarray, fitted: np.ndarray, label: LabelSpec
) -> float:
    kind, measured = label.definition, ~fitted
    codes = _encode_numbers(values, fitted) if isinstance(values, np.ndarray) else _encode(values)
    if kind.form is Form.CLASS:
        classes = truth.astype(np.int64)
        guess = _guess_classes(codes, classes, fitted)
        return kind.measure_strength(classes[measured], guess[measured], classes[fitted])
    guess = _guess_means(codes, truth, fitted)
    strength = kind.measure_strength(truth[measured], guess[measured], truth[fitted])
    if kind.has_positive_share or not isinstance(values, np.ndarray):
        return strength
    # Within an interval the label of a leak still varies, the more the longer its tails are.
    guess = _guess_line(mark_missing_numbers(values), truth, fitted)
    line = kind.measure_strength(truth[measured], guess[measured], truth[fitted])
    return max(strength, line) if np.isfinite(line) else strength


def mark_missing_numbers(values: np.ndarray) -> np.ndarray:
    """Return numbers of a sample as float64, NaN where missing."""
    if values.dtype == np.float64:
        return values
    return np.where(values == np.iinfo(np.int64).min, np.nan, values.astype(np.float64))


def _encode(texts: pa.Array) -> np.ndarray:
    """Return the number of each text, the last for a missing one."""
    encoded = texts.dictionary_encode()
    return np.asarray(encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(), np.int64)


def _encode_numbers(values: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Return the number of each value's interval, 0 for a missing one."""
    numbers = mark_missing_numbers(values)
    is_there = np.isfinite(numbers)
    known = np.sort(numbers[fitted & is_there])
    if not len(known):
        return np.zeros(len(numbers), np.int64)
    at = np.linspace(0, len(known) - 1, _INTERVALS + 1).astype(np.int64)[1:-1]
    # Between two values that follow each other, so that a frequent one has an interval of its own.
    edges = np.unique(np.concatenate([known[at], np.nextafter(known[at], np.inf)]))
    return np.where(is_there, np.searchsorted(edges, numbers, side="right") + 1, 0)


def _guess_means(codes: np.ndarray, truth: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    size = int(codes.max()) + 1
    rows = np.bincount(codes[fitted], minlength=size)
    sums = np.bincount(codes[fitted], truth[fitted], minlength=size)
    return np.asarray(((sums + truth[fitted].mean()) / (rows + 1))[codes])


def _guess_line(numbers: np.ndarray, truth: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    is_there = np.isfinite(numbers)
    used = fitted & is_there
    mean = float(truth[fitted].mean())
    if used.sum() < _LEAST_RARE or not np.ptp(numbers[used]):
        return np.full(len(truth), mean)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scale = float(np.abs(numbers[used]).max())
        x = numbers / scale
        deviation = x[used] - x[used].mean()
        slope = (deviation * (truth[used] - truth[used].mean())).sum() / np.square(deviation).sum()
        guess = truth[used].mean() + slope * (x - x[used].mean())
    return np.where(np.isfinite(guess), guess, mean)


def _guess_classes(codes: np.ndarray, truth: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Return the commonest class of each code; of codes that were not fitted that of all rows."""
    guesses = np.full(int(codes.max()) + 1, np.bincount(truth[fitted]).argmax())
    classes = int(truth.max()) + 1
    pairs, counts = np.unique(codes[fitted] * classes + truth[fitted], return_counts=True)
    order = np.lexsort((-pairs, counts, pairs // classes))  # the last of a code is its commonest
    guesses[pairs[order] // classes] = pairs[order] % classes
    return np.asarray(guesses[codes])
