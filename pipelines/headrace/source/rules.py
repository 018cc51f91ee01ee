"""Which rows break the column contract or a rule: every check of every row, in one pass.

Checks are Catalyst expressions, so that a rule may be any Spark SQL. Each row gets one bit a check;
a row that breaks any also gets a text that says what was wrong, for people. What becomes of such
rows is decided by `tag.py`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import LakeError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import ColumnType
from headrace.source.internal_columns import (
    LABEL,
    MALFORMED,
    PROBLEMS,
    WEIGHT,
    as_read,
    col,
    count_of,
    mask,
)
from headrace.source.spark_errors import explained
from headrace.source.tables import RawTable
from headrace.source.types import column_types, lost, lost_elements

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

BITS = 62  # checks a mask column
# Between the problems of a row, and between a check's position and what was wrong.
PROBLEM, PART = "\x1e", "\x1f"
# A reason may quote a value that has a separator in it.
_NEXT_PROBLEM = re.compile(f"{PROBLEM}(?=\\d+{PART})")


@dataclass(frozen=True)
class Check:
    """One check, without the expression.

    Attributes:
        name: in the ledger.
        on_violation: what becomes of rows that violate it.
        max_fraction: share of all rows that may violate it.
        nulls: the column that becomes null.
    """

    name: str
    on_violation: str
    max_fraction: float | None = None
    nulls: str | None = None


@dataclass(frozen=True)
class ImageColumn:
    """A raw column that has to hold images.

    Attributes:
        feature: that reads it.
        column: its name.
        shape: height, width, channels.
    """

    feature: str
    column: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Checked:
    """Rows with what they violate.

    Attributes:
        rows: with a mask column for every 62 checks and, where there is any check, PROBLEMS.
        checks: in the order of their bits.
    """

    rows: "DataFrame"
    checks: tuple[Check, ...]

    def any_of(self, *actions: str) -> "Column | None":
        """Whether a row violates a check with one of these actions; None where there is none."""
        import pyspark.sql.functions as F

        found = None
        for number, start in enumerate(range(0, len(self.checks), BITS)):
            part = self.checks[start : start + BITS]
            bits = sum(1 << i for i, c in enumerate(part) if c.on_violation in actions)
            if bits:
                hit = F.col(mask(number)).bitwiseAND(F.lit(bits)) != 0
                found = hit if found is None else found | hit
        return found

    def violates(self, index: int) -> "Column":
        import pyspark.sql.functions as F

        bit = 1 << (index % BITS)
        return F.col(mask(index // BITS)).bitwiseAND(F.lit(bit)) != 0


def check_rows(
    rows: "DataFrame",
    recipe: Recipe,
    main: RawTable,
    images: "Sequence[ImageColumn] | None" = None,
) -> Checked:
    """Add the masks and make null what a rule wants null.

    Args:
        rows: cast and joined; they keep all their columns.
        recipe: rules, image features and the sample weight are read.
        main: its casts are checked too.
        images: columns of images; those of the recipe's features by default.

    Raises:
        LakeError: a rule does not fit the columns.
    """
    import pyspark.sql.functions as F

    found: list[tuple[Check, Column, Column]] = _contract_checks(rows, main)
    found += _feature_checks(rows, recipe, images_of(recipe) if images is None else images)
    types = column_types(rows)
    names = {check.name for check, _, _ in found}
    for index, rule in enumerate(recipe.clean.rules):
        with explained(f"clean.rules.{index} ({rule.kind})"):
            rows, violated, reason = _rule(rows, index, rule, types)
            rows.select(violated)  # Spark resolves it, or says why not
        name = _unused(rule.name or _name(rule), names)
        nulls = getattr(rule, "column", None) if rule.on_violation == "null" else None
        check = Check(name, rule.on_violation, rule.max_fraction, nulls)
        found.append((check, violated, reason))
    if not found:
        return Checked(rows, ())
    kept = list(rows.columns)
    masks = []
    for start in range(0, len(found), BITS):
        bits = [
            F.when(violated, F.lit(1 << i)).otherwise(F.lit(0)).cast("long")
            for i, (_, violated, _) in enumerate(found[start : start + BITS])
        ]
        whole = bits[0]
        for bit in bits[1:]:
            whole = whole.bitwiseOR(bit)
        masks.append(whole.alias(mask(start // BITS)))
    rows = rows.select(*(col(c) for c in kept), *masks)
    checked = Checked(rows, tuple(check for check, _, _ in found))
    told = [
        F.when(checked.violates(i), F.concat(F.lit(f"{i}{PART}"), F.coalesce(reason, F.lit("?"))))
        for i, (_, _, reason) in enumerate(found)
    ]
    broken = checked.any_of("quarantine", "drop", "null", "fail")
    assert broken is not None
    rows = rows.withColumn(PROBLEMS, F.when(broken, F.concat_ws(PROBLEM, *told)))
    for column in dict.fromkeys(c.nulls for c in checked.checks if c.nulls):
        hit = F.lit(False)
        for i, check in enumerate(checked.checks):
            if check.nulls == column:
                hit = hit | checked.violates(i)
        rows = rows.withColumn(column, F.when(~hit, col(column)))
    return Checked(rows, checked.checks)


def split_problems(text: str) -> list[tuple[int, str]]:
    """The PROBLEMS of a row: (position of the check, what was wrong)."""
    pairs = (item.partition(PART) for item in _NEXT_PROBLEM.split(text))
    return [(int(number), reason) for number, _, reason in pairs]


def rules_and_reasons(
    problems: Sequence[str | None], checks: Sequence[str]
) -> tuple[pa.Array, pa.Array]:
    """Return the names of the checks that rows violate, and why: lists of texts, one a row.

    Args:
        problems: PROBLEMS of each row.
        checks: names of all checks, by their position.
    """
    found = [split_problems(text) if text else [] for text in problems]
    texts = pa.list_(pa.string())
    rules = pa.array([[checks[check] for check, _ in row] for row in found], texts)
    return rules, pa.array([[reason for _, reason in row] for row in found], texts)


def _contract_checks(rows: "DataFrame", main: RawTable) -> "list[tuple[Check, Column, Column]]":
    import pyspark.sql.functions as F

    found = []
    if MALFORMED in rows.columns:
        line = F.substring(col(MALFORMED), 1, 200)
        reason = F.concat(F.lit("the line is no row: "), line)
        found.append((Check("malformed", "quarantine"), col(MALFORMED).isNotNull(), reason))
    for column, declared in main.casts.items():
        before = as_read(column)
        if declared.startswith("list"):
            violated = lost_elements(column, before)
        else:
            violated = lost(column, before)
        reason = F.concat(F.lit(f"{column}: "), shown(before), F.lit(f" is no {declared}"))
        found.append((Check(f"{column} is {declared}", "quarantine"), violated, reason))
    return found


def images_of(recipe: Recipe) -> "list[ImageColumn]":
    """Features of the recipe that are images."""
    return [
        ImageColumn(name, feature.column or name, (feature.height, feature.width, feature.channels))
        for name, feature in recipe.features.items()
        if isinstance(feature, s.Image)
    ]


def _feature_checks(
    rows: "DataFrame", recipe: Recipe, images: "Sequence[ImageColumn]"
) -> "list[tuple[Check, Column, Column]]":
    import pyspark.sql.functions as F

    found = []
    types = column_types(rows)
    for image in images:
        name, column, shape = image.feature, image.column, image.shape
        if types[column] is ColumnType.BINARY:
            problem = _image_problem(shape)(col(column))
            violated = problem.isNotNull()
            reason = F.concat(F.lit(f"{column}: "), problem)
        else:
            size = shape[0] * shape[1] * shape[2]
            pixels = col(column)
            bad = F.size(pixels) != size
            bad = bad | F.exists(pixels, lambda x: x.isNull() | (x < 0) | (x > 255))
            violated = F.coalesce(bad, F.lit(False))
            reason = F.lit(f"{column}: not a list of {size} whole numbers from 0 to 255")
        found.append((Check(f"features.{name}", "quarantine"), violated, reason))
    if recipe.label.sample_weight:
        weight = F.col(WEIGHT)
        good = (weight >= 0) & ~F.isnan(weight) & (weight < float("inf"))
        violated = ~F.coalesce(good, F.lit(False)) & F.col(LABEL).isNotNull()
        reason = F.concat(F.lit("label.sample_weight: "), shown(WEIGHT), F.lit(" is no weight"))
        found.append((Check("label.sample_weight", "quarantine"), violated, reason))
    return found


def _image_problem(shape: tuple[int, int, int]) -> "Callable[[Column], Column]":
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    def problem(files):  # type: ignore[no-untyped-def]
        from headrace.transform.image import problem_of

        return pd.Series([problem_of(file, shape) for file in files], dtype=object)

    problem.__annotations__ = {"files": pd.Series, "return": pd.Series}
    return pandas_udf("string")(problem)  # type: ignore[call-overload]


def _rule(
    rows: "DataFrame", index: int, rule: "s.Rule", types: dict[str, ColumnType]
) -> "tuple[DataFrame, Column, Column]":
    """The rows (with a count where the rule needs one), what violates, and why."""
    import pyspark.sql.functions as F
    from pyspark.sql import Window

    if isinstance(rule, s.NotNull):
        absent = [~_there(c, types) for c in rule.columns]
        violated = absent[0]
        for one in absent[1:]:
            violated = violated | one
        names = [F.when(a, F.lit(c)) for a, c in zip(absent, rule.columns, strict=True)]
        return rows, violated, F.concat(F.concat_ws(", ", *names), F.lit(" is missing"))
    if isinstance(rule, s.Range):
        numbers = isinstance(rule.min if rule.min is not None else rule.max, int | float)
        if numbers and types.get(rule.column) is ColumnType.STRING:
            raise LakeError(
                f"clean.rules.{index} (range): column {rule.column!r} is string and its limits are "
                "numbers; declare the column's type in source.tables"
            )
        column, low, high = col(rule.column), F.lit(False), F.lit(False)
        kind = rows.schema[rule.column].dataType
        limit = kind if isinstance(rule.min if rule.min is not None else rule.max, str) else None
        if rule.min is not None:
            low = column < (F.lit(rule.min).cast(limit) if limit else F.lit(rule.min))
        if rule.max is not None:
            high = column > (F.lit(rule.max).cast(limit) if limit else F.lit(rule.max))
        violated = _there(rule.column, types) & (low | high)
        limits = F.when(low, F.lit(f" is below {rule.min}")).otherwise(
            F.lit(f" is above {rule.max}")
        )
        return (
            rows,
            _true(violated),
            F.concat(F.lit(f"{rule.column}: "), shown(rule.column), limits),
        )
    if isinstance(rule, s.In):
        violated = _there(rule.column, types) & ~col(rule.column).isin(*rule.values)
        listed = ", ".join(map(str, rule.values[:5])) + (", …" if len(rule.values) > 5 else "")
        reason = F.concat(
            F.lit(f"{rule.column}: "), shown(rule.column), F.lit(f" is none of {listed}")
        )
        return rows, _true(violated), reason
    if isinstance(rule, s.Regex):
        jvm = rows.sparkSession.sparkContext._jvm
        assert jvm is not None
        jvm.java.util.regex.Pattern.compile(rule.pattern)  # or it fails in some task, unnamed
        violated = ~col(rule.column).cast("string").rlike(rule.pattern)
        reason = F.concat(
            F.lit(f"{rule.column}: "), shown(rule.column), F.lit(f" does not match {rule.pattern}")
        )
        return rows, _true(violated), reason
    if isinstance(rule, s.Expr):
        return rows, _true(~F.expr(f"({rule.expression})")), F.lit(f"not {rule.expression}")
    whole = F.lit(True)
    for column_name in rule.columns:
        whole = whole & col(column_name).isNotNull()
    # Rows without the whole key are no rivals; they are spread, not gathered in one task.
    apart = F.when(~whole, F.monotonically_increasing_id())
    keys = [*(col(c) for c in rule.columns), apart]
    count = F.count(F.lit(1)).over(Window.partitionBy(*keys))
    rows = rows.withColumn(count_of(index), count)
    values = F.concat_ws(", ", *(F.concat(F.lit(f"{c}="), shown(c)) for c in rule.columns))
    reason = F.concat(values, F.lit(" has "), F.col(count_of(index)).cast("string"), F.lit(" rows"))
    return rows, F.col(count_of(index)) > 1, reason


def _there(column: str, types: dict[str, ColumnType]) -> "Column":
    """Not missing: not null, and a finite number where it is a real one."""
    import pyspark.sql.functions as F

    there = col(column).isNotNull()
    if types.get(column) is ColumnType.REAL:
        number = col(column).cast("double")
        there = there & ~F.isnan(number) & (F.abs(number) < float("inf"))
    return there


def _true(condition: "Column") -> "Column":
    import pyspark.sql.functions as F

    return F.coalesce(condition, F.lit(False))


def shown(column: str) -> "Column":
    """The value as a short text for people."""
    import pyspark.sql.functions as F

    text = F.coalesce(col(column).cast("string"), F.lit("null"))
    return F.concat(F.lit("'"), F.substring(text, 1, 80), F.lit("'"))


def _name(rule: "s.Rule") -> str:
    if isinstance(rule, s.NotNull | s.Unique):
        return f"{rule.kind}({', '.join(rule.columns)})"
    if isinstance(rule, s.Expr):
        return rule.expression[:60]
    return f"{rule.kind}({rule.column})"


def _unused(name: str, names: set[str]) -> str:
    """The name, numbered where another check has it."""
    chosen, number = name, 2
    while chosen in names:
        chosen, number = f"{name} #{number}", number + 1
    names.add(chosen)
    return chosen
