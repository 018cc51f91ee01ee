"""How the values of a column are counted: over fixed bins or labels, so that counts add up."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

AXES = "axes.json"
"""Of the build that fitted a transform."""


@dataclass(frozen=True)
class Axis:
    """How the values of one dataset column are counted.

    Attributes:
        name: the column.
        edges: of numbers, limits of the bins on the column's own scale.
        shown_edges: the same before scaling.
        labels: of ids, one a counted position; the last takes all further ids.
        unknown: ids from here (inclusive) to there are out of the vocabulary.
        padded: id 0 is padding and not counted.
        quantiles: of the train split, before scaling.
    """

    name: str
    edges: tuple[float, ...] = ()
    shown_edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    unknown: tuple[int, int] | None = None
    padded: bool = False
    quantiles: tuple[float, ...] = ()

    def count(self, values: np.ndarray) -> np.ndarray:
        """int64 of shape (bins,) or (labels,)."""
        flat = values.reshape(-1)
        if self.labels:
            if self.padded:
                flat = flat[flat != 0]
            return np.bincount(np.minimum(flat, len(self.labels) - 1), minlength=len(self.labels))
        low, high = self.edges[0], self.edges[-1]
        bins = len(self.edges) - 1
        place = (flat.astype(np.float64) - low) * (bins / (high - low))
        return np.bincount(np.clip(place, 0, bins - 1).astype(np.int64), minlength=bins)

    def count_unknown(self, values: np.ndarray) -> int:
        if self.unknown is None:
            return 0
        first, end = self.unknown
        return int(np.count_nonzero((values >= first) & (values < end)))


def axes_to_json(axes: Iterable[Axis]) -> str:
    """For a build that counts on the same axes later."""
    return json.dumps([asdict(axis) for axis in axes])


def axes_from_json(text: str) -> tuple[Axis, ...]:
    axes = []
    for plain in json.loads(text):
        lists: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()
        }
        axes.append(Axis(**lists))
    return tuple(axes)
