"""Check which rows break the column contract or a rule: every check of every row, in one pass.

Each row gets one bit for each check; a row that breaks any also gets a text that says what was
wrong, for people (`problems.py`). How a rule becomes a condition is in `rule_conditions.py`; what
becomes of rows that break one is decided by those who read them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.recipe import Recipe
from headrace.source.balanced import combine_balanced
from headrace.source.image_checks import (
    ImageColumn,
    build_image_conditions,
    find_image_columns,
)
from headrace.source.internal_columns import (
    LABEL,
    MALFORMED,
    PROBLEMS,
    WEIGHT,
    col,
    name_as_read,
    name_before_cast,
    name_count,
    name_mask,
)
from headrace.source.invalid_texts import describe_invalid_text, is_invalid
from headrace.source.problems import PROBLEM_SEPARATOR, join_problems
from headrace.source.raw_schema import RawSchema
from headrace.source.rule_conditions import build_condition, quote_value
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.tables import RawTable
from headrace.source.types import has_lost_elements, is_lost
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.rule_names import choose_unused_name, name_rule

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHECKS_PER_MASK = 62
"""Checks that have a bit in one mask column, a signed 64-bit number."""


@dataclass(frozen=True)
class Check:
    """A check, without its condition.

    Attributes:
        name: in the ledger.
        on_violation: what is done with rows that violate it.
        max_fraction: share of all rows that may violate it.
        nulls: the column that becomes null.
        texts: the column whose texts it looks at.
        keeps_as_read: whether that column has a copy without its nulls.
    """

    name: str
    on_violation: str
    max_fraction: float | None = None
    nulls: str | None = None
    texts: str | None = None
    keeps_as_read: bool = False


@dataclass(frozen=True)
class CheckedRows:
    """Rows with what they violate.

    Attributes:
        rows: with a mask column for every `CHECKS_PER_MASK` checks and, where there are checks,
            PROBLEMS.
        schema: the columns of `rows`.
        checks: in the order of their bits.
    """

    rows: "DataFrame"
    schema: RawSchema
    checks: tuple[Check, ...]

    def violates_any(self, *actions: str) -> "Column | None":
        """Return whether a row violates a check with one of these actions; None where none has."""
        import pyspark.sql.functions as F

        violated = None
        for number, start in enumerate(range(0, len(self.checks), CHECKS_PER_MASK)):
            masked = self.checks[start : start + CHECKS_PER_MASK]
            bits = sum(1 << i for i, c in enumerate(masked) if c.on_violation in actions)
            if bits:
                has_bits = F.col(name_mask(number)).bitwiseAND(F.lit(bits)) != 0
                violated = has_bits if violated is None else violated | has_bits
        return violated

    def name_as_read(self, column: str) -> str:
        """Return the column that has a raw column's values without the nulls that rules make."""
        copy = name_as_read(column)
        return copy if copy in self.schema.spark_types else column

    def violates_check(self, index: int) -> "Column":
        """Return whether a row violates the check at this position."""
        import pyspark.sql.functions as F

        bit = 1 << (index % CHECKS_PER_MASK)
        return F.col(name_mask(index // CHECKS_PER_MASK)).bitwiseAND(F.lit(bit)) != 0


def check_rows(
    rows: "DataFrame",
    schema: RawSchema,
    recipe: Recipe,
    main: RawTable,
    images: "Sequence[ImageColumn] | None" = None,
    texts: Collection[str] = (),
    *,
    keep_as_read: bool = False,
) -> CheckedRows:
    """Add the masks and PROBLEMS to rows, and make null what a rule wants to be null.

    What is null so is null for keys, splits and windows.

    Args:
        rows: cast and joined; they keep all their columns. Label and weight are checked where the
            rows have them; `check_labels` checks those that are added later.
        schema: the columns of `rows`.
        recipe: rules and image features are read.
        main: its casts are checked too.
        images: columns of images; those of the recipe's features by default.
        texts: columns that were found to hold texts that are no UTF-8.
        keep_as_read: whether a column that a rule may make null has a copy without those nulls,
            for a transform that applies the rule itself.

    Raises:
        LakeError: a rule does not fit the columns.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    conditions: list[tuple[Check, Column, Column]] = _build_contract_checks(schema, main)
    conditions += _build_text_checks({*texts} & {*schema.names}, schema, main)
    images = find_image_columns(recipe) if images is None else images
    conditions += [
        (Check(name, "quarantine"), violated, reason)
        for name, violated, reason in build_image_conditions(schema, images)
    ]
    conditions += _build_weight_checks(schema)
    names = {check.name for check, _, _ in conditions}
    counts: dict[str, T.DataType] = {}
    for index, rule in enumerate(recipe.clean.rules):
        with explain_spark_errors(f"clean.rules.{index} ({rule.kind})"):
            condition = build_condition(rows.sparkSession, index, rule, schema)
            if condition.count is not None:
                rows = rows.withColumn(name_count(index), condition.count)
                counts[name_count(index)] = T.LongType()
            # Spark resolves it, or says why not.
            find_engine(rows.sparkSession).resolve_plan(rows.select(condition.violated))
        name = choose_unused_name(rule.name or name_rule(rule), names)
        nulls = getattr(rule, "column", None) if rule.on_violation == "null" else None
        check = Check(name, rule.on_violation, rule.max_fraction, nulls, keeps_as_read=keep_as_read)
        conditions.append((check, condition.violated, condition.reason))
    schema = schema.with_columns(counts)
    if not conditions:
        return CheckedRows(rows, schema, ())
    masks = []
    for start in range(0, len(conditions), CHECKS_PER_MASK):
        bits = [
            F.when(violated, F.lit(1 << i)).otherwise(F.lit(0)).cast("long")
            for i, (_, violated, _) in enumerate(conditions[start : start + CHECKS_PER_MASK])
        ]
        joined_bits = combine_balanced(bits, lambda first, second: first.bitwiseOR(second))
        masks.append(joined_bits.alias(name_mask(start // CHECKS_PER_MASK)))
    rows = rows.select(*(col(name) for name in schema.names), *masks)
    schema = schema.with_columns({name_mask(i): T.LongType() for i in range(len(masks))})
    schema = schema.with_columns({PROBLEMS: T.StringType()})
    checked = CheckedRows(rows, schema, tuple(check for check, _, _ in conditions))
    reasons = [(checked.violates_check(i), reason) for i, (_, _, reason) in enumerate(conditions)]
    broken = checked.violates_any("quarantine", "drop", "null", "fail")
    assert broken is not None
    rows = rows.withColumn(PROBLEMS, F.when(broken, join_problems(reasons)))
    nulled_columns = list(dict.fromkeys(c.nulls for c in checked.checks if c.nulls))
    if keep_as_read and nulled_columns:
        copies = {name_as_read(c): schema.spark_types[c] for c in nulled_columns}
        rows = rows.select("*", *(col(c).alias(name_as_read(c)) for c in nulled_columns))
        checked = replace(checked, schema=checked.schema.with_columns(copies))
    for column in nulled_columns:
        own = [checked.violates_check(i) for i, c in enumerate(checked.checks) if c.nulls == column]
        is_nulled = combine_balanced(own, lambda first, second: first | second)
        rows = rows.withColumn(column, F.when(~is_nulled, col(column)))
    return replace(checked, rows=rows)


def check_labels(checked: CheckedRows, main: RawTable, texts: Collection[str] = ()) -> CheckedRows:
    """Check labels and weights that were added to rows after `check_rows`, as windows want it.

    A row that violates these checks is taken out itself; windows of other rows keep its values.

    Args:
        checked: the rows, with LABEL and what else labels have.
        main: names the files that reasons tell of.
        texts: columns that were found to hold texts that are no UTF-8.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    rows, schema, checks = checked.rows, checked.schema, [*checked.checks]
    conditions = _build_text_checks({*texts} & {LABEL}, schema, main)
    for check, violated, reason in [*conditions, *_build_weight_checks(schema)]:
        position = len(checks)
        checks.append(replace(check, name=choose_unused_name(check.name, {c.name for c in checks})))
        mask = name_mask(position // CHECKS_PER_MASK)
        bit = F.lit(1 << (position % CHECKS_PER_MASK)).cast("long")
        before = F.col(mask) if mask in schema.names else F.lit(0).cast("long")
        rows = rows.withColumn(mask, F.when(violated, before.bitwiseOR(bit)).otherwise(before))
        problem = join_problems([(violated, reason)], first=position)
        known = F.col(PROBLEMS) if PROBLEMS in schema.names else F.lit(None).cast("string")
        both = F.concat_ws(PROBLEM_SEPARATOR, known, problem)
        rows = rows.withColumn(PROBLEMS, F.when(violated, both).otherwise(known))
        schema = schema.with_columns({mask: T.LongType(), PROBLEMS: T.StringType()})
    return CheckedRows(rows, schema, tuple(checks))


def _build_text_checks(
    columns: Collection[str], schema: RawSchema, main: RawTable
) -> "list[tuple[Check, Column, Column]]":
    """Build the checks of columns that were found to hold texts that are no UTF-8."""
    checks = []
    for column in sorted(columns):
        name = "the label" if column == LABEL else column
        check = Check(f"{name} is UTF-8", "quarantine", texts=column)
        violated = is_invalid(column, schema.spark_types[column])
        checks.append((check, violated, describe_invalid_text(column, schema, main)))
    return checks


def _build_weight_checks(schema: RawSchema) -> "list[tuple[Check, Column, Column]]":
    """Build the check of the sample weight, where rows have one."""
    import pyspark.sql.functions as F

    if WEIGHT not in schema.names:
        return []
    weight = F.col(WEIGHT)
    good = (weight >= 0) & ~F.isnan(weight) & (weight < float("inf"))
    violated = ~F.coalesce(good, F.lit(False)) & F.col(LABEL).isNotNull()
    reason = F.concat(F.lit("label.sample_weight: "), quote_value(WEIGHT), F.lit(" is no weight"))
    return [(Check("label.sample_weight", "quarantine"), violated, reason)]


def _build_contract_checks(
    schema: RawSchema, main: RawTable
) -> "list[tuple[Check, Column, Column]]":
    """Build the checks of casts, and of lines that could not be parsed."""
    import pyspark.sql.functions as F

    checks = []
    if MALFORMED in schema.names:
        line = F.substring(col(MALFORMED), 1, 200)
        reason = F.concat(F.lit("the line is no row: "), line)
        checks.append((Check("malformed", "quarantine"), col(MALFORMED).isNotNull(), reason))
    for column, declared in main.casts.items():
        before = name_before_cast(column)
        if declared.startswith("list"):
            violated = has_lost_elements(column, before)
        else:
            violated = is_lost(column, before)
        reason = F.concat(F.lit(f"{column}: "), quote_value(before), F.lit(f" is no {declared}"))
        checks.append((Check(f"{column} is {declared}", "quarantine"), violated, reason))
    return checks
