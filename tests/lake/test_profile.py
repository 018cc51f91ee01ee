"""Distributions and tallies of hand-worked counts."""

import numpy as np
import pytest

from headrace.lake.profile import Distribution, FileTally, Profile, RawColumnProfile, RuleCount

NUMBERS = Distribution(
    name="x",
    kind="numbers",
    edges=(0.0, 10.0, 20.0, 40.0),
    counts={"train": (2, 1, 1), "test": (2, 1, 1)},
)
IDS = Distribution(
    name="shop",
    kind="ids",
    labels=("missing", "unknown", "a"),
    counts={"train": (1, 2, 5), "test": (1, 0, 1)},
    unknown={"train": 2, "test": 0},
)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 0.0), (0.25, 5.0), (0.5, 10.0), (0.625, 15.0), (0.75, 20.0), (0.875, 30.0), (1.0, 40.0)],
)
def test_quantiles_are_interpolated_within_the_bins(share: float, expected: float) -> None:
    assert NUMBERS.estimate_quantile(share) == pytest.approx(expected)


def test_ids_and_columns_without_values_have_no_quantiles() -> None:
    assert IDS.estimate_quantile(0.5) is None
    empty = NUMBERS.model_copy(update={"counts": {"train": (0, 0, 0)}})
    assert empty.estimate_quantile(0.5) is None
    assert (empty.missing_share, empty.unknown_share) == (None, None)


def test_shares_are_of_all_splits() -> None:
    assert IDS.value_count == 10
    assert IDS.missing_share == pytest.approx(0.2)
    assert IDS.unknown_share == pytest.approx(0.2)
    assert (NUMBERS.missing_share, NUMBERS.unknown_share) == (None, None)


def make_tally(path: str, numbers: list[int], ids: list[int], unknown: int) -> FileTally:
    counts = {"x": np.array(numbers, np.int64), "shop": np.array(ids, np.int64)}
    return FileTally(path, counts, {"x": 0, "shop": unknown}, {"amount": sum(numbers)})


def test_tallies_are_read_as_they_were_written() -> None:
    tallies = [make_tally("a", [1, 2, 3], [4, 5, 6], 5), make_tally("b", [0, 0, 9], [0, 1, 2], 1)]
    again = list(FileTally.read_tallies(FileTally.write_tallies(tallies)))
    assert [t.path for t in again] == ["a", "b"]
    for tally, other in zip(tallies, again, strict=True):
        assert {n: c.tolist() for n, c in other.counts.items()} == {
            n: c.tolist() for n, c in tally.counts.items()
        }
        assert (other.unknown, other.missing) == (tally.unknown, tally.missing)
    assert list(FileTally.read_tallies(FileTally.write_tallies([]))) == []


def test_a_profile_is_counted_anew_from_the_tallies_of_its_files() -> None:
    raw = RawColumnProfile(name="amount", kind="real", missing={"train": 99, "test": 99})
    late = RawColumnProfile(name="unseen", kind="real", missing={"train": 99, "test": 99})
    rules = (RuleCount(name="r", on_violation="quarantine", rows=3, examples=("-1",)),)
    profile = Profile(columns=(raw, late), distributions=(NUMBERS, IDS), rules=())
    tallies = [
        ("train", make_tally("a", [1, 2, 3], [4, 5, 6], 5)),
        ("train", make_tally("b", [10, 0, 0], [0, 1, 0], 1)),
    ]
    recounted = profile.sum_tallies(tallies, rules)
    numbers, ids = recounted.distributions
    assert numbers.counts == {"train": (11, 2, 3), "test": (0, 0, 0)}
    assert (numbers.edges, numbers.unknown) == (NUMBERS.edges, {})
    assert ids.counts == {"train": (4, 6, 6), "test": (0, 0, 0)}
    assert ids.unknown == {"train": 6, "test": 0}
    assert [c.missing for c in recounted.columns] == [
        {"train": 16, "test": 0},
        {"train": 0, "test": 0},
    ]
    assert recounted.rules == rules
