"""The rows of a build beside those that fitted the transform."""

import pytest

from headrace.errors import LakeError
from headrace.lake.profile import Distribution, Profile, RawColumnProfile
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
    drift = measure_drift(fitted, current, Increments(), 1000, fitted_rows=10_000)
    measured = {(d.name, d.measure): d for d in drift}
    assert list(measured) == [("x", "psi"), ("w", "l_infinity"), ("w", "unknown_share")]
    assert measured["x", "psi"].value == pytest.approx(0, abs=1e-6)
    assert measured["w", "l_infinity"].value == pytest.approx(0.5)  # all against half
    # 150 of 1,000 against 10 of 10,000
    assert measured["w", "unknown_share"].value == pytest.approx(0.15 - 0.001)
    assert [d.has_drifted for d in drift] == [False, True, True]


def test_classes_that_are_not_known_are_drift_of_the_label() -> None:
    fitted = profile(distribution("label", "numbers", (50, 50), (0, 0), (0, 0)))
    (_, share) = measure_drift(fitted, fitted, Increments(), rows=60, unseen=40, fitted_rows=100)
    assert (share.name, share.measure, share.value) == ("label", "unknown_share", 0.4)


def test_what_drifted_is_refused_with_the_fix() -> None:
    fitted = profile(
        *(distribution(f"w{n}", "ids", (5000, 5000), (0, 0), (0, 0)) for n in range(7))
    )
    current = profile(*(distribution(f"w{n}", "ids", (9000, 0), (0, 0), (0, 0)) for n in range(7)))
    drift = measure_drift(fitted, current, Increments(), 9000, fitted_rows=10_000)
    with pytest.raises(
        LakeError, match=r"w0: largest change of a value's share 0\.5,.*; and 2 more\. .*--refit"
    ):
        refuse_drift(drift)
    refuse_drift(measure_drift(fitted, fitted, Increments(), 9000, fitted_rows=10_000))


def with_missing(*distributions: Distribution, **missing: int) -> Profile:
    columns = tuple(
        RawColumnProfile(name=name, kind="real", missing={"train": n, "validation": 0, "test": 0})
        for name, n in missing.items()
    )
    return Profile(columns=columns, distributions=distributions, rules=())


def test_values_that_are_missing_are_drift_whatever_replaces_them() -> None:
    # Zeros, and a missing number becomes one: its bins say nothing.
    x = distribution("x", "numbers", (9900, 100), (0, 0), (0, 0))
    shop = Distribution(
        name="shop",
        kind="ids",
        labels=("missing", "unknown", "a"),
        counts=dict.fromkeys(SPLITS, (0, 0, 100)),
    )
    fitted = with_missing(x, shop, x=100, y=5000, shop=0, gone=0)
    current = with_missing(x, shop, x=1000, y=300, shop=1000, new=1000)
    drift = measure_drift(fitted, current, Increments(), 1000, fitted_rows=10_000)
    found = {d.name: (d.value, d.has_drifted) for d in drift if d.name.endswith(" is missing")}
    assert found == {  # shop's are counted with its other values
        "x is missing": (pytest.approx(0.99), True),
        "y is missing": (pytest.approx(0.2), True),  # fewer than before
    }
    for nothing in (
        measure_drift(fitted, fitted, Increments(), 10_000, fitted_rows=10_000),
        measure_drift(fitted, current, Increments(), 1000, fitted_rows=0),
        measure_drift(fitted, current, Increments(), 0, fitted_rows=10_000),
    ):
        assert not any(d.has_drifted for d in nothing if d.name.endswith(" is missing"))
