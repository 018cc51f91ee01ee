"""The recipe's keys about rows: where they come from, which may pass, the label, the split."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from headrace.labels.kinds import KindName
from headrace.recipe.base import declare_later_key
from headrace.recipe.declared_types import DeclaredType
from headrace.recipe.times import is_distance
from headrace.recipe_section import (
    Count,
    Finite,
    Fraction,
    IndexLimit,
    Name,
    Section,
    ShareLimit,
    Text,
)


class Table(Section):
    """One raw table of the lake: files under `path`, or a table of Spark's catalog."""

    path: Text | None = None
    """Folder or file; relative paths are taken from the working directory."""
    table: Text | None = None
    """Name in Spark's catalog, for example `sales.orders`; instead of `path`."""
    format: Literal["parquet", "csv", "json", "orc", "delta", "iceberg"] = "parquet"
    """Of the files. A Delta or Iceberg table is read by its log, whether that is said or not; where
    it has features that its files alone do not obey, delta and iceberg have Spark read it with
    their JARs."""
    metadata: Text | None = None
    """Current metadata file of an Iceberg table (its catalog's `metadata_location`): a path, a URL,
    or a name in the table's folder `metadata`. By default the one that its version hint names."""
    version_as_of: Annotated[int, Field(ge=0)] | None = None
    """Version of a Delta table, or id of an Iceberg table's snapshot, to read; the newest by
    default. A change of it is like a change of the table: an increment processes the files in which
    the two versions differ."""
    timestamp_as_of: Text | None = None
    """Time, as `2026-03-01T06:00:00Z`, whose newest version of a Delta or Iceberg table is read;
    UTC where it names no zone."""
    read_with: Literal["auto", "spark"] = "auto"
    """auto: feature columns of Parquet files on a file system that all hosts share, if they are not
    cast, are read by the tasks with pyarrow, several times as fast. spark: all by Spark."""
    options: dict[str, str | int | float | bool] = {}
    """For Spark's reader of that format, for example `{sep: ";"}`; CSV files have a header line
    unless `header: false` is said. One that has no effect, or does not exist, is refused."""
    partitions: Text | None = None
    """SQL condition on partition columns, for example `month >= 6`; the rest is not read."""
    where: Text | None = None
    """SQL condition on the columns as they are read; Spark passes it on to the files. Rows of the
    main table where it is not true are counted by the ledger as filtered."""
    columns: dict[str, DeclaredType] = {}
    """Column contract of the table: a value that does not cast sends its row to quarantine. Columns
    that are not listed keep the type that the source has (text, in CSV and JSON). Types: integer,
    real, string, boolean, timestamp, date, binary, list[integer], list[real], list[string].
    Times that are written in another way than 2024-01-31 10:30 say how: `date(MMM d yyyy)`,
    `timestamp(dd.MM.yyyy HH:mm)`, by the letters of Java's DateTimeFormatter; and numbers that
    count from 1970-01-01 UTC their unit: `timestamp(seconds)`, or milliseconds, microseconds,
    nanoseconds."""

    @property
    def file_format(self) -> str:
        """Return the format of the table's files."""
        return "parquet" if self.format in ("delta", "iceberg") else self.format


class Join(Section):
    """A lookup of columns in another table; rows without a match are kept, with nulls."""

    table: Name
    key: Annotated[list[str], Field(min_length=1)]
    columns: Annotated[dict[str, str], Field(min_length=1)]
    """New column name -> column of the joined table."""
    cardinality: Literal["many_to_one", "one_to_one"] = "many_to_one"
    """What is checked: the joined table has one row per key; one_to_one wants the same of the main
    table, as it is read or by its deduplication."""
    on_change: Literal["reprocess", "keep"] = "reprocess"
    """What a change of the joined table does to rows that were published before: they are looked up
    again, which processes every source partition; or they keep what was looked up for them."""


class Windows(Section):
    """Sliding windows over a keyed, ordered table: past steps as lists, a later value as target.

    Every row stays a row, anchored at its own time: it gets lists of the values of the last `past`
    steps, itself included, oldest first, and the values `ahead` steps later. Steps for which the
    table has no row are null.
    """

    key: Annotated[list[str], Field(min_length=1)]
    """One series per key, for example the airport."""
    order: str
    """Timestamp column."""
    step: Annotated[int, Field(ge=1)]
    """Seconds between two steps."""
    past: Count
    """Steps a window has."""
    ahead: Count
    """Steps from the window's last step to the target."""
    columns: Annotated[dict[Name, str], Field(min_length=1)]
    """New list column -> column it is taken from."""
    targets: Annotated[dict[Name, str], Field(min_length=1)]
    """New column -> column whose value `ahead` steps later it holds; for the label."""


class Source(Section):
    """The tables, and how they become one row per training example."""

    tables: Annotated[dict[Name, Table], Field(min_length=1)]
    main: Name
    """The table whose rows are counted by the ledger; joins only add columns to it."""
    joins: list[Join] = []
    windows: Windows | None = None


class Dedup(Section):
    """Keep one row per key."""

    key: Annotated[list[str], Field(min_length=1)]
    latest_by: str | None = None
    """Keep the row with the largest value here, a number or a time (a column of texts has to be
    declared); ties and `None` are settled by the whole row."""


# `null` is YAML's for nothing; here it is meant as the word.
OnViolation = Annotated[
    Literal["quarantine", "drop", "null", "fail"],
    BeforeValidator(lambda value: "null" if value is None else value),
    WithJsonSchema({"enum": ["quarantine", "drop", "null", "fail", None]}),
]


class _Rule(Section):
    name: Name | None = None
    """In the ledger and in messages; made from the rule where it is left out."""
    on_violation: OnViolation = "quarantine"
    """quarantine: out, and kept beside the dataset. drop: out. null: the column becomes null. fail:
    the build aborts."""
    max_fraction: Fraction | None = None
    """Share of all rows from which on the build aborts."""


class _ColumnRule(_Rule):
    if TYPE_CHECKING:  # declared by each rule, to fix the order of its keys
        column: str

    def list_columns(self) -> list[str]:
        """Return the column that the rule is about."""
        return [self.column]


class _ColumnsRule(_Rule):
    if TYPE_CHECKING:  # declared by each rule, to fix the order of its keys
        columns: list[str]

    def list_columns(self) -> list[str]:
        """Return the columns that the rule is about."""
        return self.columns


class NotNull(_ColumnsRule):
    """The columns are there; NaN and the infinities are not."""

    kind: Literal["not_null"]
    columns: Annotated[list[str], Field(min_length=1)]


class Range(_ColumnRule):
    """min <= column <= max; null passes."""

    kind: Literal["range"]
    column: str
    min: float | int | str | None = None
    max: float | int | str | None = None
    """Numbers, or texts such as dates for columns of that type."""


class In(_ColumnRule):
    """The column is one of `values`, which are read by its type: 00501 is a text or a number by
    that. Null passes."""

    kind: Literal["in"]
    column: str
    values: Annotated[list[str | int | float | bool], Field(min_length=1)]


class Regex(_ColumnRule):
    """The pattern (Java's) is found in the column's text; null passes. Anchor it with ^ and $."""

    kind: Literal["regex"]
    column: str
    pattern: Text


class Expr(_Rule):
    """A Spark SQL condition that must not be false; null passes, as in a CHECK constraint."""

    kind: Literal["expr"]
    expression: Text

    def list_columns(self) -> list[str]:
        """Return no column: what the expression reads is left to Spark."""
        return []


class Unique(_ColumnsRule):
    """No two rows share the columns' values; all rows that do violate. A null equals nothing."""

    kind: Literal["unique"]
    columns: Annotated[list[str], Field(min_length=1)]


Rule = Annotated[NotNull | Range | In | Regex | Expr | Unique, Field(discriminator="kind")]


class Clean(Section):
    """Rows that may pass: casts, then rules (all, on the row as it was cast), then dedup."""

    dedup: Dedup | None = None
    rules: list[Rule] = []


class Label(Section):
    """The label: what is predicted."""

    expression: Text
    """Spark SQL over the main table's and joined columns; rows where it is null are filtered. Its
    value is the row's: no function of chance, and no other row but with increments.by: table."""
    kind: KindName = "binary"
    """A row of another split with a class or label that the train split does not have is
    filtered."""
    standardize: bool = False
    """Regression: train on (y - mean) / standard deviation; predictions are in y's own unit."""
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Factor of the loss by class; balanced: rows / (classes x rows of the class), on the train
    split. Classes are named as texts; those of a condition are "true" and "false"."""
    sample_weight: Text | None = None
    """Spark SQL giving a factor of each row's loss, 0 or more."""
    baseline: Text | None = None
    """Regression: Spark SQL giving what one would predict without a model; it is judged beside the
    model."""


class Fractions(Section):
    """Share of split keys (not rows) a split gets; they add up to 1."""

    train: Fraction
    validation: Fraction
    test: Fraction


class TimeSplit(Section):
    """Split by time: train before `validation_from`, validation before `test_from`, test after.

    Dates stay where they are. Distances from the newest row, or shares of the newest rows, become
    dates where the transform is fitted, from the rows that are published; the version records them,
    increments use them, and a refit moves them on, see docs/lakes.md. With windows, a row whose
    window or target reaches over a boundary is filtered.
    """

    column: str
    """Timestamp or date column; rows where it is null are filtered."""
    validation_from: Text | None = None
    """ISO 8601 date or time, UTC, for example 2013-10-01; or a distance from the time of the newest
    row, for example -90 days (seconds, minutes, hours, days, weeks). The row at that very time is
    in the later split."""
    test_from: Text | None = None
    """Of the same form as `validation_from`."""
    validation: Finite | None = declare_later_key(None)
    """Share, between 0 and 1, of the newest rows before those of test; instead of `validation_from`
    and `test_from`. Rows of one time stay together, so it is met as nearly as they allow."""
    test: Finite | None = declare_later_key(None)
    """Share of the newest rows."""

    @property
    def has_shares(self) -> bool:
        """Return whether the boundaries are given as shares of the newest rows."""
        return self.validation is not None or self.test is not None

    @property
    def is_relative(self) -> bool:
        """Return whether the boundaries follow from the rows, and are no dates."""
        dates = (self.validation_from, self.test_from)
        return self.has_shares or any(is_distance(text) for text in dates if text is not None)

    def describe(self) -> str:
        """Return how the boundaries are given, as `validation_from: -90 days, test_from: …`."""
        keys = ("validation", "test") if self.has_shares else ("validation_from", "test_from")
        return ", ".join(f"{key}: {getattr(self, key)}" for key in keys)


class Split(Section):
    """The split of a row: a pure function of its key and the seed, or of its time."""

    key: Annotated[list[str], Field(min_length=1)] | None = None
    """Rows with equal values here always share a split, for example the calendar day."""
    fractions: Fractions = Fractions(train=0.8, validation=0.1, test=0.1)
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the split by key, and of the order of rows."""
    time: TimeSplit | None = None
    """Instead of `key`."""


class Increments(Section):
    """Builds on a dataset that has a version already, see `prepare/plan.py`."""

    by: (
        Literal["auto", "partition", "file", "table"] | Annotated[list[str], Field(min_length=1)]
    ) = "auto"
    """What is processed again when a file of it changes: the folder of all partition columns
    (partition), or of some of them (a list), the file, or the whole table. auto: the folder; of a
    table with a log (Delta, Iceberg), the files that its newest commits added and removed, unless
    its partition columns are part of the dedup key."""
    refit: Literal["never", "always"] = "never"
    """Whether a build whose lake changed fits the transform again, on all rows."""
    on_drift: Literal["warn", "fail", "refit"] = "warn"
    """Where new rows differ from those that the transform was fitted on: say so in the ledger, the
    report and MLflow; publish nothing; or fit again on all rows."""
    max_psi: IndexLimit = 0.2
    """Population stability index of a numeric column; the limit is higher where rows are few."""
    max_distance: ShareLimit = 0.1
    """Largest difference of a value's share of a categorical column (L-infinity)."""
    max_unknown: ShareLimit = 0.05
    """Rise of the share of values that are out of the vocabulary."""
