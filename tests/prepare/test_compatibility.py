"""Column types of an increment against those of the version that it is added to."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyspark.sql.types as T
import pytest

from headrace.errors import LakeError
from headrace.lake.build import StoredColumn
from headrace.prepare.compatibility import (
    resolve_fit_inputs,
    resolve_key_types,
    resolve_passthrough,
    resolve_stored_columns,
)
from headrace.source.raw_schema import RawSchema
from headrace.transform.spec import RawColumn, TransformSpec
from tests.prepare.daily import daily_recipe

TYPES: dict[str, T.DataType] = {
    "event": T.LongType(), "at": T.LongType(), "x": T.DoubleType(), "place": T.StringType(),
    "height": T.DoubleType(), "y": T.BooleanType(), "day": T.IntegerType(),
}  # fmt: skip


def schema(**changes: T.DataType) -> RawSchema:
    return RawSchema.from_spark_types(TYPES | changes)


def spec(**kinds: str) -> TransformSpec:
    columns = {"x": "real", "height": "real", "place": "string"} | kinds
    raw = tuple(RawColumn(name=n, kind=k, nullable=True) for n, k in columns.items())  # type: ignore[arg-type]
    return TransformSpec(raw=raw, derived=(), features=(), label={"kind": "binary"})


def version(**build: Any) -> Any:
    return SimpleNamespace(build=SimpleNamespace(**({"kept": {}, "key_types": {}} | build)))


def test_what_is_fitted_has_the_kinds_of_the_lake(tmp_path: Path) -> None:
    fit_inputs = resolve_fit_inputs(daily_recipe(tmp_path), schema(x=T.IntegerType()), None)
    assert fit_inputs.raw == {"x": "integer", "height": "real", "place": "string"}


@pytest.mark.parametrize(
    ("fitted_as", "now", "message"),
    [
        ("real", T.FloatType(), None),
        ("real", T.LongType(), None),  # whole numbers are numbers
        ("integer", T.DoubleType(), "x is real, it was integer"),
        ("real", T.StringType(), "x is string, it was real"),
    ],
)
def test_columns_keep_the_kind_that_they_were_fitted_on(
    tmp_path: Path, fitted_as: str, now: T.DataType, message: str | None
) -> None:
    recipe = daily_recipe(tmp_path)
    if message is None:
        fit_inputs = resolve_fit_inputs(recipe, schema(x=now), spec(x=fitted_as))
        assert fit_inputs.raw["x"] == fitted_as
        return
    with pytest.raises(LakeError, match=rf"{message}.*fit again with --refit"):
        resolve_fit_inputs(recipe, schema(x=now), spec(x=fitted_as))


def test_passthrough_columns_keep_their_kind(tmp_path: Path) -> None:
    recipe = daily_recipe(tmp_path, "dataset.keep=[place, at]")
    assert resolve_passthrough(recipe, schema(), None) == {"place": "string", "at": "integer"}
    same = version(kept={"place": "string", "at": "integer"})
    assert resolve_passthrough(recipe, schema(at=T.ShortType()), same)["at"] == "integer"
    with pytest.raises(LakeError, match=r"of dataset\.keep have other types .* place is string"):
        resolve_passthrough(recipe, schema(), version(kept={"place": "integer", "at": "integer"}))


def test_keys_keep_their_type_and_may_be_widened(tmp_path: Path) -> None:
    recipe = daily_recipe(tmp_path, "split.key=[event, place, later]")
    types = {"event": "integer", "place": "string"}  # `later` is made by a window
    assert resolve_key_types(recipe, schema(), None) == types
    narrow = schema(event=T.IntegerType())
    assert resolve_key_types(recipe, narrow, version(key_types=types)) == types
    texts = schema(event=T.StringType())
    with pytest.raises(LakeError, match=r"event is string, it was integer\. Keys would no longer"):
        resolve_key_types(recipe, texts, version(key_types=types))
    decimal = schema(event=T.DecimalType(20, 0))
    assert resolve_key_types(recipe, decimal, None)["event"] == "decimal(20,0)"


def test_raw_columns_are_those_that_features_of_one_value_read(tmp_path: Path) -> None:
    recipe = daily_recipe(
        tmp_path,
        "dataset.keep=[event, place]",
        "derive={month: {kind: time_part, columns: [when], part: month}}",
        "features={x: {kind: standardize}, raw_wet: {kind: vocabulary, column: wet}, month: {kind:"
        " cyclic, period: 12}, words: {kind: text, column: text, length: 3},"
        " gap: {kind: log1p, column: gap (cm)}}",
    )
    more = {
        "wet": T.BooleanType(),
        "when": T.DateType(),
        "text": T.StringType(),
        "gap (cm)": T.IntegerType(),
    }
    stored = resolve_stored_columns(recipe, schema(**more), {"gap (cm)": "real"}, None)
    assert {name: (item.name, item.type) for name, item in stored.items()} == {
        "event": ("kept_event", "integer"),
        "place": ("kept_place", "string"),
        "x": ("raw_x", "real"),
        "wet": ("raw_wet_2", "boolean"),  # the feature has the other name
        "when": ("raw_when", "timestamp"),
        "gap (cm)": ("raw_gap__cm_", "real"),  # as the transform reads it
    }


def test_rows_that_are_added_have_the_raw_columns_of_their_version(tmp_path: Path) -> None:
    recipe = daily_recipe(tmp_path)
    older = version(stored={})
    assert resolve_stored_columns(recipe, schema(), {}, older) == {}
    newer = version(stored={"x": StoredColumn(name="raw_x", type="real")})
    assert resolve_stored_columns(recipe, schema(x=T.LongType()), {}, newer) == newer.build.stored
