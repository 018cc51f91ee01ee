"""Show the columns in the data report: their statistics, frequent values, missing values by split,
and distributions.

A table of 2,000 columns stays a page: rows of tables and figures are limited, and what is left out
is said with where it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from headrace.columns.histogram import merge_equal_bins
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import (
    LABEL_KIND,
    STATISTICS_FILE,
    Alert,
    ColumnSummary,
    DataStatistics,
    QuantileEstimate,
)
from headrace.lake.profile import Distribution, Profile
from headrace.number_text import format_number, format_share
from headrace.pages.charts.bars import BarChart, Series
from headrace.pages.charts.frame import Axis, Figure, Figures
from headrace.pages.colors import SPLIT_COLORS
from headrace.pages.markup import shorten
from headrace.pages.table import Cell, Column, Table

_MOST_FIGURES = 100  # columns whose distributions are drawn
_MOST_COLUMNS = 2_000
_VALUES_PER_COLUMN, _MOST_VALUES = 5, 400
_LEAST_SHARE, _LEAST_SHARE_OF_NUMBERS = 0.001, 0.01  # of a value that is named
_TONES = {"high": "error", "medium": "warning", "low": "info"}


def describe_source(statistics: DataStatistics) -> str:
    """Return a sentence: of which rows the figures are, and by how much they may be off."""
    rows = sum(statistics.rows.values())
    whose = f"{rows:,} rows"
    if statistics.scope == "build":
        whose += (
            " of this build alone, because other rows of the version were written by an older "
            "Headrace (`headrace prepare --full` adds them)"
        )
    if statistics.is_exact:
        return f"Exact, of all {whose}."
    error = max((column.rank_error for column in statistics.columns), default=0.0)
    return (
        f"Of {whose}. Values, missing, zeros, mean and limits are exact; the rest is of a uniform "
        f"sample of {statistics.sampled_rows:,} rows: a quantile's rank is off by "
        f"{format_share(error)} at most, in {format_share(statistics.confidence)} of cases, and "
        f"distinct values are at least so many. Up to {statistics.exact_up_to:,} rows all is exact."
    )


def show_columns(statistics: DataStatistics) -> Table:
    """Return the table of all raw columns."""
    columns = [
        Column("column"), Column("kind"), Column("alerts"), Column("values", True, 15),
        Column("missing (%)", True), Column("distinct", True, 15),
        Column("zeros (%)", True), Column("mean", True), Column("lowest", True),
        Column("1%", True), Column("median", True), Column("99%", True),
        Column("highest", True),
    ]  # fmt: skip
    alerts: dict[str, list[Alert]] = {}
    for alert in statistics.alerts:
        alerts.setdefault(alert.column, []).append(alert)
    shown = [c for c in statistics.columns if c.kind != LABEL_KIND]
    rows = [_make_row(column, alerts.get(column.name, [])) for column in shown]
    return Table(
        columns, rows,
        f"Each column as it came, before the transform. {describe_source(statistics)}",
        most=_MOST_COLUMNS, left_out=STATISTICS_FILE,
    )  # fmt: skip


def _make_row(column: ColumnSummary, alerts: Sequence[Alert]) -> tuple[object, ...]:
    kinds = ", ".join(dict.fromkeys(alert.kind for alert in alerts))
    mark: object = Cell(kinds, tone=_TONES[alerts[0].severity]) if alerts else ""
    missing = column.missing_count / column.row_count if column.row_count else None
    zeros = None
    if column.zeros is not None and column.value_count:
        zeros = column.zeros / column.value_count
    limit = "" if column.is_limit_exact else "about "
    return (
        column.name,
        column.kind,
        mark,
        column.value_count,
        _show_share(missing),
        _show_distinct(column),
        _show_share(zeros),
        _show_value(column.mean, column.kind),
        _show_value(column.low, column.kind, limit),
        *(_show_quantile(column, share) for share in (0.01, 0.5, 0.99)),
        _show_value(column.high, column.kind, limit),
    )


def _show_share(share: float | None) -> Cell | None:
    return None if share is None else Cell(format_share(share), 100 * share)


def _show_distinct(column: ColumnSummary) -> Cell | None:
    count = column.distinct
    if count is None:
        return None
    return Cell(f"{'' if count.is_exact else '≥ '}{count.low:,}", count.low)


def _show_value(value: float | None, kind: str, prefix: str = "") -> Cell | None:
    return None if value is None else Cell(f"{prefix}{format_value(value, kind)}", value)


def _show_quantile(column: ColumnSummary, share: float) -> Cell | None:
    found = column.find_quantile(share)
    return None if found is None else Cell(format_value(found.value, column.kind), found.value)


def format_quantile(quantile: QuantileEstimate, column: ColumnSummary) -> str:
    """Return a quantile with the limits that it lies between, where it is not exact."""
    text = format_value(quantile.value, column.kind)
    low, high = (format_value(v, column.kind) for v in (quantile.low, quantile.high))
    return text if low == text == high else f"{text} ({low} to {high})"


def format_value(value: float, kind: str) -> str:
    """Return a value of a raw column for people: of a timestamp, microseconds since 1970, a date.

    Args:
        value: the number.
        kind: of the column.
    """
    if kind == "timestamp":
        try:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(value))
        except OverflowError:  # before the year 1 or after 9999
            return format_number(value, 4)
        return moment.isoformat(" ", "seconds").removesuffix("+00:00")
    return format_number(value, 4).replace("-", "−", 1 if value < 0 else 0)


def show_missing(profile: Profile, rows: Mapping[str, int]) -> Table | None:
    """Return the columns with missing values, by split; None where nothing is missing.

    Args:
        profile: of the rows that are described.
        rows: split -> rows.
    """
    found = [c for c in profile.columns if any(c.missing.values())]
    if not found:
        return None
    splits = [split for split in SPLITS if rows.get(split)]
    columns = [Column("column")]
    for split in splits:
        columns += [Column(f"{split} (rows)", True, 15), Column(f"{split} (%)", True)]
    shown = []
    for column in sorted(found, key=lambda c: -sum(c.missing.values())):
        cells: list[object] = [column.name]
        for split in splits:
            count = column.missing.get(split, 0)
            cells += [count, _show_share(count / rows[split])]
        shown.append(tuple(cells))
    full = len(profile.columns) - len(found)
    reading = (
        "Rows without a value, where there are any: shares of a line that differ are times at "
        f"which a column began or ended. {full:,} columns have a value in every row."
    )
    return Table(columns, shown, reading, most=_MOST_COLUMNS, left_out="profile.json")


def show_top_values(statistics: DataStatistics) -> Table | None:
    """Return the most frequent values of columns; None where no value comes again."""
    rows: list[tuple[object, ...]] = []
    for column in statistics.columns:
        if column.kind == LABEL_KIND:
            continue
        least = _LEAST_SHARE if column.kind == "string" else _LEAST_SHARE_OF_NUMBERS
        for top in column.top[:_VALUES_PER_COLUMN]:
            if top.share < least:
                break
            count = round(top.share * column.value_count)
            about = "" if column.is_exact else "≈ "
            rows.append(
                (column.name, shorten(top.value, 80) or "(empty text)",
                 Cell(f"{about}{format_share(top.share)}", 100 * top.share),
                 Cell(f"{about}{count:,}", count))
            )  # fmt: skip
    if not rows:
        return None
    columns = [Column("column"), Column("value"), Column("share of values (%)", is_number=True),
               Column("rows", is_number=True)]  # fmt: skip
    reading = (
        "The most frequent values by name: texts that 0.1% of the values are, and numbers that 1% "
        "are."
    )
    return Table(columns, rows, reading, most=_MOST_VALUES, left_out=STATISTICS_FILE)


def draw_distributions(
    profile: Profile, statistics: DataStatistics | None
) -> list[Figures | str | None]:
    """Return figures of the columns' values by split, those with alerts first."""
    alerts = Counter[str](alert.column for alert in (statistics.alerts if statistics else ()))
    items = [item for item in profile.distributions if item.name != "label"]
    items.sort(key=lambda item: -alerts[item.name])  # stable: others in the recipe's order
    if not items:
        return []
    left = len(items) - _MOST_FIGURES
    more = None
    if left > 0:
        more = (
            f"Columns with alerts are drawn first; the distributions of {left:,} more are in "
            "profile.json."
        )
    figures = [draw_distribution(item, statistics) for item in items[:_MOST_FIGURES]]
    return [Figures(figures), more]


def draw_distribution(item: Distribution, statistics: DataStatistics | None = None) -> Figure:
    """Return the figure of a dataset column's values by split."""
    totals = {split: sum(item.counts[split]) for split in SPLITS if split in item.counts}
    facts = [f"{split}: {rows:,} values" for split, rows in totals.items()]
    if item.unknown:
        shares = (f"{s} {_format_part(item.unknown[s], rows)}" for s, rows in totals.items())
        facts.append(f"out of vocabulary: {', '.join(shares)}")
    column = statistics.find_column(item.name) if statistics else None
    if column is not None and column.quantiles:
        shown = (format_value(q.value, column.kind) for q in column.quantiles)
        names = ", ".join(f"{100 * q.share:g}" for q in column.quantiles)
        facts.append(f"quantiles {names}%: {', '.join(shown)}")
    elif item.quantiles:
        shown = (format_number(q, 4) for q in item.quantiles)
        facts.append(f"train, quantiles 0 1 5 25 50 75 95 99 100%: {', '.join(shown)}")
    edges, counts = item.edges, dict[str, Sequence[int]](item.counts)
    if edges:
        for split in totals:
            edges, counts[split] = merge_equal_bins(item.edges, item.counts[split])
    series = [
        Series(split, [n / rows for n in counts[split]], SPLIT_COLORS[split])
        for split, rows in totals.items()
        if rows
    ]
    chart = BarChart(
        series,
        y=Axis("share of the split's values", is_share=True),
        x=Axis("value"),
        edges=edges,
        names=item.labels,
    )
    reading = "Bars of one place are equally high where the splits are alike."
    return Figure(item.name, chart, reading, f"{'; '.join(facts)}.")


def _format_part(part: int, whole: int) -> str:
    return format_share(part / whole) if whole else "none"
