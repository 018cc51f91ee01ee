"""The list of kinds: what a kind's section, fitted form and kernel say of each other must agree."""

import math
from collections import Counter
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from headrace.columns.values import read_column
from headrace.features.kind import DTYPES, FeatureSection, IdsKind, NumbersKind
from headrace.features.kinds import KINDS, find_feature_kind
from headrace.lake.drift import measure_id_drift, measure_missing_drift, measure_number_drift
from headrace.prepare.shuffle.task_counts import find_missing
from headrace.recipe import sections as s
from headrace.schema import ColumnType
from headrace.transform.arrow import ArrowTransform
from headrace.transform.spec import RawColumn
from tests.fitting import fit_table

NUMBER = {ColumnType.INTEGER, ColumnType.REAL, ColumnType.BOOLEAN}
CATEGORY = {ColumnType.INTEGER, ColumnType.STRING, ColumnType.BOOLEAN}
# Section -> its required keys and some that change its columns, column of `TABLE`, accepted types.
SECTIONS: dict[str, tuple[dict[str, Any], str, set[ColumnType]]] = {
    "standardize": ({}, "real", NUMBER),
    "min_max": ({"log1p": True}, "real", NUMBER),
    "robust": ({"indicator": True}, "integer", NUMBER),
    "log1p": ({"indicator": True}, "real", NUMBER),
    "quantile_buckets": ({"buckets": 3}, "real", NUMBER),
    "fixed_buckets": ({"boundaries": [50.0, 150.0]}, "integer", NUMBER),
    "vocabulary": ({}, "string", CATEGORY),
    "hash": ({"buckets": 5}, "string", CATEGORY),
    "cross": ({"columns": ["string", "integer"], "buckets": 5}, "", CATEGORY),
    "multi_valued": ({"length": 2}, "strings", {ColumnType.INTEGERS, ColumnType.STRINGS}),
    "text": ({"length": 3}, "string", {ColumnType.STRING}),
    "cyclic": ({"period": 24.0}, "real", NUMBER),
    "series": ({"length": 2}, "reals", {ColumnType.INTEGERS, ColumnType.REALS}),
    "image": (
        {"height": 1, "width": 2, "channels": 3},
        "integers",
        {ColumnType.BINARY, ColumnType.INTEGERS},
    ),
}
TABLE = pa.table(
    {
        "real": [1.0, None, 3.5],
        "integer": [4, 5, None],
        "string": ["a b", None, "c"],
        "integers": [[1, 2], None, [255]],
        "reals": pa.array([[0.5], [], None], pa.list_(pa.float64())),
        "strings": pa.array([["a"], None, ["b", "c", "d"]], pa.list_(pa.string())),
    }
)
RAW: dict[str, Any] = {name: name for name in TABLE.column_names}


def make_section(kind: str) -> FeatureSection:
    keys, column, _ = SECTIONS[kind]
    adapter: TypeAdapter[Any] = TypeAdapter(s.Feature)
    return adapter.validate_python({"kind": kind, **({"column": column} if column else {}), **keys})


def read_tags(kind_classes: list[type]) -> list[str]:
    return [get_args(item.model_fields["kind"].annotation)[0] for item in kind_classes]


def test_every_section_is_in_the_table_above() -> None:
    assert read_tags([section for kind in KINDS for section in kind.sections]) == [*SECTIONS]


def test_fitted_forms_are_told_apart() -> None:
    tags = read_tags([kind.fitted for kind in KINDS])
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_section_takes_the_types_that_its_kernel_can_read(kind: str) -> None:
    assert make_section(kind).accepted_types == SECTIONS[kind][2]


@pytest.mark.parametrize("name", SECTIONS)
def test_section_fitted_form_and_kernel_agree(name: str) -> None:
    section = make_section(name)
    kind = find_feature_kind(section)
    spec = fit_table(TABLE, RAW, {"f": section})
    (feature,) = spec.features
    assert find_feature_kind(feature) is kind
    assert isinstance(section, kind.sections)
    assert isinstance(feature, kind.fitted)
    assert isinstance(kind, NumbersKind) == (kind.form == "numbers")
    assert isinstance(kind, IdsKind) == (kind.form == "ids")
    assert [*feature.source_columns] == section.list_source_columns("f")
    assert [*feature.dataset_columns] == section.list_dataset_columns("f")
    assert feature.shape == section.shape
    arrays = ArrowTransform(spec)(TABLE)
    assert [*arrays] == [*feature.dataset_columns]
    for array in arrays.values():
        assert (array.dtype, array.shape) == (DTYPES[kind.form], (3, *feature.shape))
    if kind.form in ("ids", "tokens"):
        (ids,) = arrays.values()
        assert ids.max() < feature.cardinality
    else:
        assert feature.cardinality == 0


@pytest.mark.parametrize("name", SECTIONS)
def test_the_data_report_counts_every_value(name: str) -> None:
    """All values of a column fall on its axis; only padding is left out."""
    section = make_section(name)
    kind = find_feature_kind(section)
    spec = fit_table(TABLE, RAW, {"f": section})
    (feature,) = spec.features
    arrays = ArrowTransform(spec)(TABLE)
    columns = {column: read_column(TABLE[column], raw_kind) for column, raw_kind in RAW.items()}
    variables = kind.list_summary_requests("f", section)
    statistics = {variable.key: variable.summarize(columns) for variable in variables}
    for axis in kind.list_axes(feature, section, statistics):
        values = arrays[axis.column]
        expected = np.count_nonzero(values) if axis.padded else values.size
        expected = len(values) if axis.rows_of else expected
        assert axis.count_values(values).sum() == expected


def draw_table(rows: int) -> pa.Table:
    """Draw rows of the columns of `TABLE`, of many values each."""
    rng = np.random.default_rng(rows)
    numbers = rng.integers(0, 200, rows)
    words = [f"w{number}" for number in range(200)]
    return pa.table(
        {
            "real": rng.normal(size=rows),
            "integer": numbers,
            "string": [words[n] for n in numbers],
            "integers": rng.integers(0, 256, (rows, 6)).astype(np.int64).tolist(),
            "reals": rng.normal(size=(rows, 2)).tolist(),
            "strings": [list(rng.choice(words, 3)) for _ in range(rows)],
        }
    )


@pytest.mark.parametrize("night", ["empty", "one value"])
@pytest.mark.parametrize("name", SECTIONS)
def test_a_column_that_comes_without_values_or_with_one_is_drift(name: str, night: str) -> None:
    """Whatever its feature is: such a night is not a night like the others."""
    section = make_section(name)
    usual, other = draw_table(3000), draw_table(1000)
    spec = fit_table(usual, RAW, {"f": section})
    (feature,) = spec.features
    columns = {column: read_column(usual[column], raw_kind) for column, raw_kind in RAW.items()}
    kind = find_feature_kind(section)
    variables = kind.list_summary_requests("f", section)
    statistics = {variable.key: variable.summarize(columns) for variable in variables}
    axes = kind.list_axes(feature, section, statistics)
    transform = ArrowTransform(spec)

    def list_drifted(rows: pa.Table) -> list[str]:
        missing: list[Counter[str]] = [Counter(), Counter()]
        before, after = transform(usual, missing[0]), transform(rows, missing[1])
        drifted = []
        for axis in axes:
            counts = [axis.count_values(arrays[axis.column]) for arrays in (before, after)]
            if axis.labels:
                drifted.append(measure_id_drift(axis.name, *counts, 0.1))
            else:
                drifted.append(measure_number_drift(axis.name, *counts, 0.2))
        drifted += measure_missing_drift((missing[0], len(usual)), (missing[1], len(rows)), 0.1)
        return [found.name for found in drifted if found is not None and found.has_drifted]

    assert list_drifted(other) == []
    if night == "empty":
        table = {n: pa.nulls(1000, usual[n].type) for n in usual.column_names}
    else:
        table = {n: pa.array([usual[n][0].as_py()] * 1000, usual[n].type) for n in RAW}
    assert list_drifted(pa.table(table))


def test_missing_values_are_counted_as_where_the_rows_were_written() -> None:
    spec = fit_table(TABLE, RAW, {name: make_section(name) for name in ("series", "text")})
    spec = spec.model_copy(
        update={"raw": tuple(RawColumn(name=n, kind=n, nullable=True) for n in RAW)}
    )
    missing: Counter[str] = Counter()
    transform = ArrowTransform(spec.model_copy(update={"features": ()}))
    table = TABLE.set_column(0, "real", pa.array([math.inf, None, math.nan]))
    batches = (table, table.slice(1))
    for batch in batches:
        transform(batch, missing)
    expected = {name: sum(int(find_missing(b[name]).sum()) for b in batches) for name in RAW}
    assert missing == expected
    assert expected == {**dict.fromkeys(RAW, 2), "real": 5}
