"""Limits between buckets of slices: as they are written, and refused where they cannot divide."""

import json
from pathlib import Path

import pytest

from headrace.errors import RecipeError
from headrace.recipe import Recipe
from headrace.recipe.slice_limits import describe_bad_limits, describe_misfit, parse_limits
from tests.tiny import tiny_recipe


def problems(*overrides: str) -> dict[str, str]:
    with pytest.raises(RecipeError) as caught:
        tiny_recipe(Path(), *overrides)
    return {p.where: f"{p.message} ({p.fix})" for p in caught.value.problems}


@pytest.mark.parametrize(
    ("column", "limits", "where", "what"),
    [
        ("hour", "[2024-05-31]", "buckets", "and hour holds numbers (give numbers)"),
        ("shop", "[2024-05-31]", "buckets", "and shop holds numbers"),  # or texts: no times
        ("amount", "[soon]", "buckets", "got ['soon'], expected numbers, or dates and times"),
        ("amount", "[5, 2024-05-31]", "buckets", "got [5, '2024-05-31'], numbers beside texts"),
        ("amount", "[9007199254740993, 9007199254740992.0]", "buckets", "expected rising limits"),
        ("amount", "[true]", "buckets.0", "got True"),
        ("amount", "[.inf]", "buckets.0", "got inf"),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_meant_are_refused(
    column: str, limits: str, where: str, what: str
) -> None:
    found = problems(f"evaluate.slices=[{{columns: [{column}], buckets: {limits}}}]")
    assert what in found[f"evaluate.slices.0.{where}"]


def test_crossed_columns_have_no_limits() -> None:
    found = problems(
        "features.note={kind: cross, columns: [note, shop], buckets: 9}",
        "evaluate.slices=[{columns: [note], buckets: [1]}]",
    )
    assert "note holds several columns together" in found["evaluate.slices.0.buckets"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("[20130601, 20130615]", [20130601, 20130615]),
        ("[1e6, 9007199254740993]", [1e6, 2**53 + 1]),
        ("[-.5, 0, 1.50]", [-0.5, 0, 1.5]),
    ],
)
def test_limits_are_the_numbers_that_were_written(limits: str, expected: list) -> None:
    recipe = tiny_recipe(Path(), f"evaluate.slices=[{{columns: [amount], buckets: {limits}}}]")
    for read in (recipe, Recipe.model_validate(json.loads(json.dumps(recipe.dump_resolved())))):
        assert read.evaluate.slices[0].buckets == expected


def test_limits_of_a_column_of_times_are_dates_as_the_recipe_writes_them() -> None:
    recipe = tiny_recipe(
        Path(), "dataset.keep=[at]",
        "evaluate.slices=[{columns: [at], buckets: [0001-01-01, 2024-05-31T12:00]}]",
    )  # fmt: skip
    assert recipe.evaluate.slices[0].buckets == ["0001-01-01", "2024-05-31T12:00"]


def test_declared_types_and_columns_kept_beside_side_columns_are_known() -> None:
    kept = ("dataset.keep=[shop]", "evaluate.slices=[{columns: [shop], buckets: [5]}]")
    declared = "source.tables.visits.columns={shop: string}"
    tiny_recipe(Path(), *kept)  # only the lake knows
    found = problems(*kept, declared)["evaluate.slices.0.buckets"]
    assert found == "shop holds texts, which no limits divide (remove buckets)"
    features = "features.kept={kind: standardize, column: amount, indicator: true}"
    found = problems("dataset.keep=[missing]", features)["features.kept"]
    assert "dataset.keep makes a column of this name" in found


def test_times_are_microseconds_since_1970_in_utc() -> None:
    limits = parse_limits(["0001-01-01", "1970-01-01T01:00+01:00", "9999-12-31T23:59:59.999999"])
    assert limits == [-62_135_596_800_000_000, 0, 253_402_300_799_999_999]
    assert describe_bad_limits(["2024-05-31", "2024-05-31T00:00Z"]) is not None  # the same


@pytest.mark.parametrize(
    ("limits", "types", "fits"),
    [
        ([1], {"integer"}, True), ([1.5], {"integer", "string"}, True), ([1], {"real"}, True),
        (["2024-05-31"], {"timestamp"}, True), (["2024-05-31"], {"real"}, False),
        ([20240531], {"timestamp"}, False), ([1], {"boolean"}, False), ([1], {"string"}, False),
        ([1], {"cross"}, False), ([1], {"integer", "boolean"}, True),
    ],
)  # fmt: skip
def test_limits_fit_types_that_have_an_order(limits: list, types: set[str], fits: bool) -> None:
    assert (describe_misfit("x", limits, types) is None) is fits
