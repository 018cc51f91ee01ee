"""The rows of a build beside those that fitted the transform."""

import pytest

from headrace.errors import LakeError
from headrace.lake.profile import Distribution, Profile
from headrace.prepare.drift import measure_drift, refuse_drift
from headrace.recipe.sections import Increments

SPLITS = ("train", "validation", "test")


def distribution(name: str, kind: str, *splits: tuple[int, ...], unknown: int = 0) -> Distribution:
    ids = kind == "ids"
    return Distribution(
        name=name,
        kind=kind,
        labels=("a", "b") if ids else (),
        edges=() if ids else (0.0, 1.0, 2.0),
        counts=dict(zip(SPLITS, splits, strict=True)),
        unknown=dict.fromkeys(SPLITS, unknown) if ids else {},
    )  # type: ignore[arg-type]


def profile(*distributions: Distribution) -> Profile:
    return Profile(columns=(), distributions=distributions, rules=())


def test_all_splits_of_the_new_rows_are_compared_with_the_train_split() -> None:
    fitted = profile(
        distribution("x", "numbers", (5000, 5000), (9000, 0), (9000, 0)),
        distribution("w", "ids", (5000, 5000), (9000, 0), (0, 0), unknown=10),
        distribution("gone", "numbers", (1, 1), (1, 1), (1, 1)),
    )
    current = profile(
        distribution("x", "numbers", (1000, 0), (0, 500), (0, 500)),  # half and half, together
        distribution("w", "ids", (900, 0), (100, 0), (0, 0), unknown=50),
        distribution("new", "numbers", (1, 1), (1, 1), (1, 1)),
    )
    drift = measure_drift(fitted, current, Increments(), 1000)
    measured = {(d.name, d.measure): d for d in drift}
    assert list(measured) == [("x", "psi"), ("w", "l_infinity"), ("w", "unknown_share")]
    assert measured["x", "psi"].value == pytest.approx(0, abs=1e-6)
    assert measured["w", "l_infinity"].value == pytest.approx(0.5)  # all against half
    # 150 of 1,000 against 10 of 10,000
    assert measured["w", "unknown_share"].value == pytest.approx(0.15 - 0.001)
    assert [d.has_drifted for d in drift] == [False, True, True]


def test_classes_that_are_not_known_are_drift_of_the_label() -> None:
    fitted = profile(distribution("label", "numbers", (50, 50), (0, 0), (0, 0)))
    (_, share) = measure_drift(fitted, fitted, Increments(), rows=60, unseen=40)
    assert (share.name, share.measure, share.value) == ("label", "unknown_share", 0.4)


def test_what_drifted_is_refused_with_the_fix() -> None:
    fitted = profile(
        *(distribution(f"w{n}", "ids", (5000, 5000), (0, 0), (0, 0)) for n in range(7))
    )
    current = profile(*(distribution(f"w{n}", "ids", (9000, 0), (0, 0), (0, 0)) for n in range(7)))
    drift = measure_drift(fitted, current, Increments(), 9000)
    with pytest.raises(
        LakeError, match=r"w0: largest change of a value's share 0\.5,.*; and 2 more\. .*--refit"
    ):
        refuse_drift(drift)
    refuse_drift(measure_drift(fitted, fitted, Increments(), 9000))
