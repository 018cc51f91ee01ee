"""Evaluate a condition of many rows: all rows at one place, and as ranks that add up integers."""

import time
from typing import Any

import numpy as np

_DRAWS = 200
_ROWS_PER_VALUE = 10


def measure_evaluation(rows: int) -> dict[str, float]:
    """Compute metrics and intervals of so many rows in both ways, on one core.

    Returns:
        seconds of each, how many times as long the exact way takes, and bytes that a rank adds up.
    """
    from headrace.evaluate.bootstrap import compute_intervals
    from headrace.evaluate.sketched import sketch_predictions
    from headrace.labels.spec import LabelSpec
    from headrace.recipe import sections as s

    label, predicted = LabelSpec(), make_predicted_rows(rows)
    settings = s.Evaluate(exact_rows=min(500_000, rows - 1), bootstrap=_DRAWS)
    ranks = _CountedSums()
    started = time.process_time()
    sketched = sketch_predictions(predicted, label, 0.5, settings, ranks)
    sketched_seconds = time.process_time() - started
    started = time.process_time()
    scorer = label.definition.make_scorer(predicted, label, 0.5)
    exact = compute_intervals(scorer, np.ones(rows), draws=_DRAWS, confidence=0.95, seed=0)
    exact_seconds = time.process_time() - started
    bound = sketched.drawn.bounds["roc_auc"]
    if abs(sketched.drawn.metrics["roc_auc"] - exact["roc_auc"].value) > bound:
        raise RuntimeError("the exact ROC AUC is not within its bound")
    return {
        "seconds": sketched_seconds,
        "exact_seconds": exact_seconds,
        "times_as_long": exact_seconds / sketched_seconds,
        "bytes": ranks.bytes,
        "roc_auc_bound": bound,
    }


def measure_slices(values: int) -> dict[str, float]:
    """Score slices by a column of so many values, ten rows each, in the sketched way."""
    started = time.process_time()
    results, _ = score_value_slices(values)
    return {"seconds": time.process_time() - started, "slices": len(results)}


def score_value_slices(values: int, **settings: int) -> tuple[list[Any], tuple[str, ...]]:
    """Return the results of the slices of a column of so many values, of ten rows each, and what a
    reader is told about them.

    Args:
        values: of the column.
        settings: of `evaluate`, in place of those of the figure.
    """
    import pyarrow as pa

    from headrace.evaluate.sketched import SketchedRows, sketch_predictions
    from headrace.evaluate.slice_values import encode_texts
    from headrace.evaluate.slices import score_slices
    from headrace.labels.scorer import Scorer
    from headrace.labels.spec import LabelSpec
    from headrace.recipe import sections as s

    rows = values * _ROWS_PER_VALUE
    label, predicted = LabelSpec(), make_predicted_rows(rows)
    evaluate = s.Evaluate(**{"exact_rows": rows // 2, "bootstrap": _DRAWS, **settings})
    column = pa.array(np.char.add("value ", (np.arange(rows) % values).astype(str)))

    def take(positions: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[positions] for name, array in predicted.items()}

    def make_scorer(positions: np.ndarray) -> Scorer:
        return label.definition.make_scorer(take(positions), label, 0.5)

    def sketch(positions: np.ndarray, draws: int) -> SketchedRows:
        return sketch_predictions(
            take(positions), label, 0.5, evaluate, draws=draws, groups=64, drawn_bins=256
        )

    encoded = encode_texts("x", column, most=evaluate.max_slices)
    results = score_slices(
        s.Slice(columns=["x"]), encoded.codes, encoded.names, make_scorer, np.ones(rows), evaluate,
        sketch=sketch,
    )  # fmt: skip
    return list(results), encoded.notes


class _CountedSums:
    """The sums of one rank, and how many bytes it adds up."""

    def __init__(self) -> None:
        self.bytes = 0

    def add(self, counts: np.ndarray) -> np.ndarray:
        self.bytes += counts.nbytes
        return counts

    def find_largest(self, values: np.ndarray) -> np.ndarray:
        return values


def make_predicted_rows(rows: int) -> dict[str, Any]:
    """Return rows of a condition with the probabilities that a fair model gives them."""
    random = np.random.default_rng(0)
    score = random.normal(size=rows)
    return {
        "row_id": random.integers(-(2**62), 2**62, rows),
        "label": (score + random.normal(size=rows) > 1).astype(np.float32),
        "probability": (1 / (1 + np.exp(1 - score))).astype(np.float32),
    }
