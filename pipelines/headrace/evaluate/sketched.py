"""Evaluate more rows than `evaluate.exact_rows`: metrics, bounds and draws of a sketch.

What a sketch is, and why its integers are the same at any number of ranks, is in `labels.sketch`;
here it becomes what the exact way gives, so that gates, references and champions compare alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.errors import ModelError
from headrace.evaluate.bootstrap import DrawnMetrics
from headrace.labels.kind import Form
from headrace.labels.sketch.kinds import find_sketch
from headrace.labels.sketch.means import choose_bins
from headrace.labels.sketch.rank_sums import OneRank, RankSums
from headrace.labels.sketch.row_sketch import (
    DRAWN_BINS,
    GROUPS,
    assign_groups,
    draw_groups,
    sketch_rows,
)
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s

Rows = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SketchedRows:
    """The metrics of many rows.

    Attributes:
        rows: how many there are.
        weighted_rows: those of a weight above 0.
        counts: what the kind's scorer counts of them.
        drawn: metrics, their bounds, and those of every draw.
        class_weights: of a condition, the weights of 0 and of 1 in all rows and then in every draw,
            (1 + draws, 2); None of numbers.
    """

    rows: int
    weighted_rows: int
    counts: dict[str, float]
    drawn: DrawnMetrics
    class_weights: np.ndarray | None


def is_sketched(label: LabelSpec, rows: int, settings: s.Evaluate) -> bool:
    """Return whether so many rows of a label are sketched; else all of them are at one place."""
    return rows > settings.exact_rows and find_sketch(label) is not None


def sketch_predictions(
    rows: Rows,
    label: LabelSpec,
    threshold: float,
    settings: s.Evaluate,
    ranks: RankSums | None = None,
    *,
    draws: int | None = None,
    groups: int = GROUPS,
    drawn_bins: int = DRAWN_BINS,
) -> SketchedRows:
    """Sketch predicted rows; with `ranks`, those of all ranks, which call this together.

    Args:
        rows: `label`, the output, `row_id`, and `sample_weight` and `baseline` where there are any.
        label: what labels mean.
        threshold: of kinds that have one.
        settings: of weights, draws and bins.
        ranks: None where all rows are here.
        draws: in place of those of the settings.
        groups, drawn_bins: see `row_sketch`.

    Raises:
        ModelError: a prediction is not finite, there is no row, or none has weight.
    """
    kind = find_sketch(label)
    assert kind is not None
    ranks = ranks or OneRank()
    weight = np.ones(len(rows["label"]))
    if settings.weighted and "sample_weight" in rows:
        weight = rows["sample_weight"].astype(np.float64)
    _check_rows(rows[label.definition.output], weight, ranks)
    times = draw_groups(settings.bootstrap if draws is None else draws, settings.seed, groups)
    sketch = sketch_rows(
        kind.describe_rows(rows, label, threshold),
        weight,
        assign_groups(rows["row_id"], groups),
        times,
        ranks,
        choose_bins(settings.exact_rows),
        drawn_bins,
    )
    of_classes = None
    if label.definition.form is Form.PROBABILITY:
        cells = sketch.draws.sums["confusion"]
        of_classes = np.stack([cells[:, 0] + cells[:, 1], cells[:, 2] + cells[:, 3]], axis=1)
    measured = kind.measure_metrics(sketch)
    return SketchedRows(
        rows=sketch.rows,
        weighted_rows=sketch.weighted_rows,
        counts=kind.count_outcomes(sketch),
        drawn=DrawnMetrics(
            metrics={name: number.value for name, number in measured.items()},
            draws=_list_draws(measured, kind.measure_draws(sketch)),
            requested=len(times) - 1,
            bounds={name: number.bound for name, number in measured.items() if number.bound > 0},
        ),
        class_weights=of_classes,
    )


def _check_rows(output: np.ndarray, weight: np.ndarray, ranks: RankSums) -> None:
    """Refuse what no metric is defined on, on all ranks alike.

    Raises:
        ModelError: see `sketch_predictions`.
    """
    bad = int((~np.isfinite(output)).sum())
    own = np.array([len(weight), bad, np.count_nonzero(weight > 0)], np.int64)
    rows, bad, weighted = ranks.add(own).tolist()
    if bad:
        raise ModelError(
            f"{bad:,} of {rows:,} predictions are not finite; no metric is defined on them. The "
            "model diverged, or a feature holds extreme values"
        )
    if not weighted:
        raise ModelError(
            "all rows that the model is evaluated on have a sample weight of 0; set "
            "evaluate.weighted to false, or check label.sample_weight"
        )


def _list_draws(
    measured: Mapping[str, tuple[float, float]], drawn: Mapping[str, np.ndarray]
) -> list[Mapping[str, float]]:
    """Return the metrics of every draw, moved by what few bins change in all rows together."""
    moved = {
        name: values[1:] + (measured[name][0] - values[0])
        for name, values in drawn.items()
        if name in measured
    }
    count = len(next(iter(drawn.values()))) - 1
    return [
        {name: float(values[i]) for name, values in moved.items() if np.isfinite(values[i])}
        for i in range(count)
    ]
