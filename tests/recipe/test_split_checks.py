"""The section `split`: dates, distances and shares, and what is refused."""

import pytest

from headrace.errors import RecipeError
from headrace.recipe import Recipe, build_recipe
from headrace.recipe.base import collect_identifying_values
from tests.tiny import tiny_tree

DATES = {"validation_from": "2020-02-01", "test_from": "2020-03-01"}


def recipe_of(**time: object) -> Recipe:
    tree = tiny_tree()
    tree["split"] = {"time": {"column": "at", **time}}
    return build_recipe(tree, source="test", environment={})


def problems(**time: object) -> dict[str, str]:
    with pytest.raises(RecipeError) as caught:
        recipe_of(**time)
    return {p.where.removeprefix("split."): f"{p.message}; {p.fix}" for p in caught.value.problems}


@pytest.mark.parametrize(
    ("time", "is_relative", "text"),
    [
        (DATES, False, "validation_from: 2020-02-01, test_from: 2020-03-01"),
        ({**DATES, "test_from": "2020-02-01"}, False, None),  # no validation: as it always was
        ({"validation_from": "-90 days", "test_from": "-30 days"}, True, None),
        ({"validation_from": "-1 week", "test_from": "-1 day"}, True, None),
        ({"validation_from": "- 90 Minutes", "test_from": "-1second"}, True, None),
        ({"validation": 0.1, "test": 0.2}, True, "validation: 0.1, test: 0.2"),
        ({"validation": 1e-9, "test": 0.99}, True, None),
    ],
)
def test_two_dates_two_distances_or_two_shares(
    time: dict[str, object], is_relative: bool, text: str | None
) -> None:
    section = recipe_of(**time).split.time
    assert section is not None
    assert section.is_relative == is_relative
    assert text in (None, section.describe())


def test_the_keys_of_a_recipe_with_dates_are_those_of_before() -> None:
    split = collect_identifying_values(recipe_of(**DATES).split)
    assert split["time"] == {"column": "at", **DATES}


@pytest.mark.parametrize(
    ("time", "where", "what"),
    [
        ({}, "time", "has no boundaries; give validation_from and test_from (two dates, or two"),
        ({"validation": 0.1}, "time.test", "required key is missing: validation is given alone"),
        ({"test_from": "-1 day"}, "time.validation_from", "required key is missing: test_from is"),
        ({**DATES, "test": 0.1}, "time.test", "validation_from is given too; one form of both"),
        (
            {"validation": 0.1, "test_from": "-1 day"},
            "time.validation",
            "test_from is given too; one form of both",
        ),
        ({**DATES, "test_from": "-1 day"}, "time.test_from", "one is a date, the other a distance"),
        (
            {**DATES, "validation_from": "-1 day"},
            "time.test_from",
            "one is a date, the other a distance from the newest row; give two dates or two",
        ),
        (
            {"validation_from": "-7 days", "test_from": "-2 weeks"},
            "time.test_from",
            "lies before validation_from (test_from: -2 weeks, validation_from: -7 days); exchange",
        ),
        (
            {"validation_from": "2020-03-01", "test_from": "2020-02-01"},
            "time.test_from",
            "lies before validation_from",
        ),
        (
            {"validation_from": "-7 days", "test_from": "-1 week"},
            "time.test_from",
            "is where validation begins (test_from: -1 week, validation_from: -7 days), so no row",
        ),
        (
            {"validation_from": "-1 day", "test_from": "-0 days"},
            "time.test_from",
            "got '-0 days'; expected a distance above 0",
        ),
        (
            {"validation_from": f"-{'9' * 400} weeks", "test_from": "-1 day"},
            "time.validation_from",
            "expected a distance above 0 and below 10,000 years",
        ),
        (
            {"validation_from": "-3 months", "test_from": "-1 day"},
            "time.validation_from",
            "got '-3 months'; expected a whole number of seconds, minutes, hours, days or weeks",
        ),
        (
            {"validation_from": "-1.5 days", "test_from": "-1 day"},
            "time.validation_from",
            "expected a whole number of seconds",
        ),
        (
            {"validation_from": "90 days", "test_from": "-1 day"},
            "time.validation_from",
            "got '90 days'; did you mean -90 days, a distance from the newest row?",
        ),
        (
            {"validation_from": "last week", "test_from": "-1 day"},
            "time.validation_from",
            "an ISO 8601 date or time, or a distance from the newest row such as -30 days",
        ),
        ({"validation": 0.0, "test": 0.1}, "time.validation", "got 0, expected a share"),
        ({"validation": 0.1, "test": -0.1}, "time.test", "a number above 0 and below 1"),
        ({"validation": 0.1, "test": float("nan")}, "time.test", "expected a finite number"),
        ({"validation": 0.5, "test": 0.5}, "time.test", "leaves nothing to train on; give less"),
        ({"validation": 0.9, "test": 0.2}, "time.test", "with validation it adds up to 1.1"),
    ],
)
def test_what_makes_no_split_is_refused(time: dict[str, object], where: str, what: str) -> None:
    found = problems(**time)
    assert list(found) == [where]
    assert what in found[where]


def test_fractions_are_of_a_key() -> None:
    tree = tiny_tree()
    tree["split"] = {"time": {"column": "at", **DATES}, "fractions": {"train": 1.0}}
    tree["split"]["fractions"] |= {"validation": 0.0, "test": 0.0}
    with pytest.raises(RecipeError, match=r"split\.fractions: a split by time has no fractions"):
        build_recipe(tree, source="test", environment={})
