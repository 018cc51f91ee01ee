"""Describe the raw columns of a dataset version: counts, limits, quantiles, frequent values, and
alerts of what deserves a look, as plain values.

They are computed where the version is published (`prepare/statistics`) and stored in its sidecar.
Counts, sums and limits are exact; what is computed of a sample says so, with its error.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from headrace.columns.dataset_columns import LABEL
from headrace.errors import DatasetError, RemovedError
from headrace.formats import STATISTICS
from headrace.lake.damage import explain_damage
from headrace.lake.sidecar import read_sidecar_text

STATISTICS_FILE = "statistics.json"
"""File of the statistics of a version, in the sidecar of its build."""
AlertKind = Literal["missing", "constant", "skew", "high cardinality", "drift", "leak suspicion"]
Severity = Literal["high", "medium", "low"]
LABEL_KIND = "label"
"""Kind of the column that has the label."""
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Alert(_Frozen):
    """Something about a column that deserves a look before a model is trained on it."""

    severity: Severity
    column: str
    kind: AlertKind
    sentence: str
    """What was found, and what to do, for people."""
    figures: dict[str, float]
    """The numbers that the sentence is about."""


class QuantileEstimate(_Frozen):
    """A quantile of a column's values."""

    share: float
    value: float
    low: float
    high: float
    """The true quantile lies from `low` to `high` with the confidence of the statistics; all three
    are equal where it is exact."""


class DistinctEstimate(_Frozen):
    """The number of distinct values; `low` and `high` are equal where it is exact."""

    low: int
    estimate: int
    high: int

    @property
    def is_exact(self) -> bool:
        """Return whether it is known exactly."""
        return self.low == self.high


class TopValue(_Frozen):
    """One of the most frequent values of a column."""

    value: str
    sampled: int
    """Rows of the sample that have it."""
    share: float
    """Of the column's values; exact where the column's rank error is 0."""


class StoredTotals(_Frozen):
    """Exact totals of a column of numbers in one split, for the versions after this one."""

    values: int
    zeros: int
    sum: str
    low: str | None
    high: str | None


class ColumnSummary(_Frozen):
    """The statistics of a raw column, or of the label, over all splits."""

    name: str
    kind: str
    """Kind of a raw column; of a list column the numbers are the lengths of its lists. The label's
    is `LABEL_KIND`."""
    values: dict[str, int]
    """Split -> values that are not missing."""
    missing: dict[str, int]
    """Split -> rows where it is missing."""
    zeros: int | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    is_limit_exact: bool = True
    """Whether `low` and `high` occur; else rows that had them were replaced, and these are the
    limits of the sample."""
    quantiles: tuple[QuantileEstimate, ...] = ()
    skewness: float | None = None
    """Third standardized moment of the values in the sample."""
    sampled: int = 0
    """Values in the sample."""
    rank_error: float = 0.0
    """By how much the share of values below a quantile is off at most; 0 where it is exact."""
    distinct: DistinctEstimate | None = None
    top: tuple[TopValue, ...] = ()
    label_strength: float | None = None
    """How well it predicts the label by itself, 0 to 1; None where that was not measured."""
    totals: dict[str, StoredTotals] = {}

    @property
    def value_count(self) -> int:
        """Return the number of values of all splits."""
        return sum(self.values.values())

    @property
    def missing_count(self) -> int:
        """Return the number of missing values of all splits."""
        return sum(self.missing.values())

    @property
    def row_count(self) -> int:
        """Return the number of rows of all splits."""
        return self.value_count + self.missing_count

    @property
    def is_exact(self) -> bool:
        """Return whether quantiles, distinct values and frequencies are those of all rows."""
        return self.rank_error == 0.0

    def find_quantile(self, share: float) -> QuantileEstimate | None:
        """Return the quantile of this share; None where it was not computed."""
        return next((q for q in self.quantiles if q.share == share), None)


class DataStatistics(_Frozen):
    """The statistics of a version's raw columns."""

    format_version: int = STATISTICS.current
    scope: Literal["version", "build"]
    """Whose rows: of the whole version; or of its build alone, where the version has rows that an
    older Headrace wrote."""
    rows: dict[str, int]
    """Split -> rows that are described."""
    sampled_rows: int
    exact_up_to: int
    """Rows up to which everything is exact."""
    confidence: float
    """Probability that a figure of the sample is within its error."""
    columns: tuple[ColumnSummary, ...]
    alerts: tuple[Alert, ...] = ()
    """By severity, the highest first, and then by column."""

    @property
    def is_exact(self) -> bool:
        """Return whether the sample has all rows."""
        return self.sampled_rows >= sum(self.rows.values())

    def find_column(self, name: str) -> ColumnSummary | None:
        """Return the statistics of a raw column; None where there are none."""
        return next((c for c in self.columns if c.name == name and c.kind != LABEL_KIND), None)

    def list_quantiles(self, dataset_column: str, shares: Sequence[float]) -> tuple[float, ...]:
        """Return quantiles of the raw column that has a dataset column's name; none where it has
        none."""
        column = self.label if dataset_column == LABEL else self.find_column(dataset_column)
        found = [column.find_quantile(share) for share in shares] if column is not None else []
        return tuple(quantile.value for quantile in found if quantile is not None)

    @property
    def label(self) -> ColumnSummary | None:
        """Return the statistics of the label, before scaling; None where it is no number."""
        return next((column for column in self.columns if column.kind == LABEL_KIND), None)


def read_statistics(root: str, build_id: str) -> DataStatistics | None:
    """Read the statistics that a build left; None where an older Headrace left none, or they were
    removed since.

    Raises:
        DamagedError: they are not as they were written.
        DatasetError: they are of a newer Headrace.
    """
    try:
        text = read_sidecar_text(root, build_id, STATISTICS_FILE)
    except RemovedError:
        return None
    where = f"dataset {root}: {STATISTICS_FILE} of build {build_id}"
    with explain_damage(where):
        return DataStatistics.model_validate_json(
            STATISTICS.migrate_text(text, where, DatasetError)
        )
