"""The candidate and the champion on the same rows."""

from collections.abc import Mapping

import numpy as np

from headrace.evaluate.bootstrap import Difference, difference
from headrace.evaluate.gates import Champion, compared
from headrace.evaluate.judge import weights_of
from headrace.evaluate.metrics import scorer_of
from headrace.evaluate.predictions import Rows
from headrace.models.reference import in_own_unit
from headrace.recipe import sections as s
from headrace.transform.spec import LabelSpec

# Of the candidate's test rows, this share at least must be rows that the champion can predict.
_LEAST_SHARED = 0.5


def compare_with(
    uri: str,
    candidate: tuple[Rows, LabelSpec, float],
    champion: tuple[Rows, LabelSpec, float],
    settings: s.Evaluate,
) -> Champion:
    """Judge what the champion gates ask for.

    Rows are the same where their identity and their label are: a dataset that was prepared with
    another transform has the same rows in other clothes.

    Args:
        uri: of the champion.
        candidate, champion: test rows, what their labels mean, and the threshold.
        settings: gates and bootstrap.
    """
    own, label, threshold = candidate
    others, other_label, other_threshold = champion
    if label.kind != other_label.kind or label.classes != other_label.classes:
        return Champion(uri, why_not=f"{uri} predicts another kind of label or other classes")
    places = _shared(own, label, others, other_label)
    rows = len(places[0])
    if rows < _LEAST_SHARED * len(own["label"]):
        return Champion(
            uri,
            rows=rows,
            of=len(own["label"]),
            why_not=f"only {rows:,} of {len(own['label']):,} test rows are test rows of {uri}'s "
            "dataset as well; the split or the key changed",
        )
    mine = {name: array[places[0]] for name, array in own.items()}
    theirs = {name: array[places[1]] for name, array in others.items()}
    first = scorer_of(mine, label, threshold)
    second = scorer_of(theirs, other_label, other_threshold)
    weight = weights_of(mine, settings)

    def compare(metric: str, higher: bool, confidence: float) -> Difference | None:
        return difference(
            first,
            second,
            metric,
            weight,
            higher_is_better=higher,
            draws=settings.bootstrap,
            confidence=confidence,
            seed=settings.seed,
        )

    differences = compared(settings.gates, compare, label.kind)
    return Champion(uri, rows=rows, of=len(own["label"]), differences=differences)


def _shared(
    own: Mapping[str, np.ndarray],
    label: LabelSpec,
    others: Mapping[str, np.ndarray],
    other_label: LabelSpec,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows that both have, in the order of the first.

    Rows of one identity are matched in their order: they are equal in all that is known of them.
    """
    first, second = (_numbered(rows["row_id"]) for rows in (own, others))
    _, mine, theirs = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    if label.kind == "regression":
        one, other = in_own_unit(own["label"], label), in_own_unit(others["label"], other_label)
        same = np.isclose(one[mine], other[theirs], rtol=1e-5, atol=1e-5 * label.scale)
    else:
        same = own["label"][mine] == others["label"][theirs]
        same = same.all(axis=1) if same.ndim == 2 else same
    mine, theirs = mine[same], theirs[same]
    order = np.argsort(mine, kind="stable")
    return mine[order], theirs[order]


def _numbered(row_id: np.ndarray) -> np.ndarray:
    """(identity, how many of it came before) of sorted identities, as one structured array."""
    starts = np.concatenate([[True], row_id[1:] != row_id[:-1]]) if len(row_id) else row_id == 0
    begins = np.maximum.accumulate(np.where(starts, np.arange(len(row_id)), 0))
    found = np.empty(len(row_id), [("row", np.int64), ("number", np.int64)])
    found["row"], found["number"] = row_id, np.arange(len(row_id)) - begins
    return found
