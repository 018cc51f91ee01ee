"""Predicted rows whose metrics are worked out by hand, and strategies that draw predicted rows."""

import numpy as np
from hypothesis import strategies as st

LABEL = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.float32)
PROBABILITY = np.array([0.9, 0.6, 0.2, 0.7, 0.5, 0.4, 0.3, 0.1], np.float32)

# Four classes, of which "d" occurs nowhere. The predictions are 0, 0, 1, 1, 0, 2.
TRUTH = np.array([0, 0, 0, 1, 1, 2], np.int32)
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.1, 0.8, 0.1, 0.0],
        [0.6, 0.2, 0.1, 0.1],
        [0.0, 0.0, 1.0, 0.0],
    ],
    np.float32,
)

# Compared with scikit-learn: few distinct scores, so that ties abound, and weights that may be 0.
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0]) | st.floats(0, 1)
WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 3.0]) | st.floats(0.01, 10)
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 2.5]) | st.floats(-1e6, 1e6)
TOLERANCE = 1e-9


@st.composite
def draw_weighted_columns(draw: st.DrawFn, *columns: st.SearchStrategy[float]) -> list[np.ndarray]:
    """Draw columns of 1 to 40 rows, and weights of which at least one is above 0."""
    rows = draw(st.lists(st.tuples(*columns, WEIGHTS), min_size=1, max_size=40))
    arrays = [np.array(column, np.float64) for column in zip(*rows, strict=True)]
    if arrays[-1].sum() == 0:
        arrays[-1][0] = 1.0
    return arrays
