"""Render the data report of a build: one page in the design of `headrace.pages`."""

from collections.abc import Sequence

from headrace.lake.build import Build
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import DataStatistics
from headrace.lake.ledger import Ledger
from headrace.lake.profile import Distribution, Profile, RuleCount
from headrace.lake.split_definition import describe_split
from headrace.number_text import format_beside, format_number, format_share
from headrace.pages.charts.bars import BarChart, Series
from headrace.pages.charts.frame import Axis, Figure, Figures
from headrace.pages.colors import SPLIT_COLORS
from headrace.pages.page import Page, Section
from headrace.pages.table import Cell, Column, Table

_MOST_FIGURES = 200  # columns whose distributions are drawn


def render_report(
    name: str, build: Build, profile: Profile, statistics: DataStatistics | None = None
) -> str:
    """Render the page: ledger, drift, rules, raw columns, and distributions by split.

    Args:
        name: the recipe's.
        build: what was built.
        profile: its columns and rules.
        statistics: of the version's raw columns; None where there are none.
    """
    sections = (
        *_show_ledgers(build),
        Section("Split", [" ".join(describe_split(build))],
                reading="How rows were assigned to train, validation and test."),
        Section("Drift", [_show_drift(build)]),
        Section("Sources", [_show_sources(build)]),
        Section("Rules", [_show_rules(profile.rules)]),
        Section("Raw columns", [_show_columns(build, profile)]),
        Section("Distributions", _show_distributions(profile.distributions)),
    )  # fmt: skip
    page = Page(
        title=f"{name}: build {build.build_id}",
        subtitle="Data report",
        sections=sections,
        facts={
            "built": build.created_at,
            "Headrace": build.headrace_version,
            "transform": build.transform_digest[:12],
        },
    )
    return page.render()


def _show_ledgers(build: Build) -> list[Section]:
    if not build.is_partial:
        return [_show_ledger("Row ledger", build.ledger, build.quarantine)]
    return [
        _show_ledger("Rows of this build", build.processed_ledger, build.quarantine),
        _show_ledger("Rows of the version", build.ledger, None),
    ]


def _show_ledger(title: str, ledger: Ledger, quarantine: str | None) -> Section:
    rows: list[tuple[str, int]] = [("read", ledger.read)]
    rows += [(f"published, {split}", n) for split, n in ledger.published.items()]
    rows += [(f"quarantined, {rule}", n) for rule, n in ledger.quarantined.items()]
    rows += [("duplicates", ledger.duplicates)]
    rows += [(f"filtered, {reason}", n) for reason, n in ledger.filtered.items()]
    rows += [("accounted for", ledger.accounted_rows)]
    table = Table(
        [Column("what became of them"), Column("rows", is_number=True, digits=15)],
        rows,
        reading="Every row that was read is published, quarantined, a duplicate or filtered: the "
        "last line is the sum of those between, and equals the first.",
    )
    return Section(title, [table, f"Rejected rows: {quarantine}" if quarantine else None])


def _show_drift(build: Build) -> Table | None:
    if not build.drift:
        return None
    far = sorted(build.drift, key=lambda d: d.limit / d.value if d.value else float("inf"))
    rows = [
        (
            d.name,
            d.measure,
            Cell(format_beside(d.value, d.limit, 3), d.value),
            Cell(format_number(d.limit, 3), d.limit),
            Cell("drifted", tone="error") if d.has_drifted else "",
        )
        for d in far
    ]
    above = sum(d.has_drifted for d in far)
    reading = (
        f"The rows of this build beside the train rows of build "
        f"{build.transform_of or build.build_id}, which fitted the transform: {above} of "
        f"{len(far)} measures are above their limits."
    )
    columns = [Column("column"), Column("measure"), Column("value", is_number=True),
               Column("limit", is_number=True), Column("verdict")]  # fmt: skip
    return Table(columns, rows, reading)


def _show_sources(build: Build) -> Table:
    columns = [
        Column("table"),
        Column("path"),
        Column("rows", is_number=True, digits=15),
        Column("columns outside the contract"),
        Column("names that are no data"),
        Column("differences of its files"),
        Column("columns not read"),
    ]
    rows = [
        (
            name,
            source["path"],
            source["rows"],
            ", ".join(source.get("extra_columns", [])),
            ", ".join(source.get("skipped_paths", [])),
            "; ".join(source.get("differences", [])),
            ", ".join(source.get("unread_columns", {})),
        )
        for name, source in build.sources.items()
    ]
    return Table(columns, rows, "Each table that was read, and what of it was not used.")


def _show_rules(rules: Sequence[RuleCount]) -> Table | None:
    if not rules:
        return None
    shown = [
        (rule.name, rule.on_violation, rule.rows, "; ".join(e[:120] for e in rule.examples[:3]))
        for rule in rules
    ]
    columns = [Column("rule"), Column("on violation"), Column("rows", is_number=True, digits=15),
               Column("for example")]  # fmt: skip
    return Table(columns, shown, "A row counts at every rule it violates; the ledger has it once.")


def _show_columns(build: Build, profile: Profile) -> Table:
    published = build.processed_ledger.published
    columns = [Column("raw column"), Column("kind")]
    for split in SPLITS:
        columns += [Column(f"missing, {split} (rows)", is_number=True, digits=15),
                    Column(f"missing, {split} (%)", is_number=True)]  # fmt: skip
    rows = [
        (c.name, c.kind, *(cell for s in SPLITS for cell in (
            c.missing[s], _show_share(c.missing[s], published.get(s, 0)))))
        for c in profile.columns
    ]  # fmt: skip
    reading = "The columns as they came, in the published rows, and how many rows have no value."
    return Table(columns, rows, reading, most=2000, left_out="profile.json")


def _show_distributions(items: Sequence[Distribution]) -> list[Figures | str]:
    if not items:
        return []
    shown = Figures([_show_distribution(item) for item in items[:_MOST_FIGURES]])
    left = len(items) - _MOST_FIGURES
    more = f"The distributions of {left:,} more columns are in profile.json." if left > 0 else ""
    return [shown, *([more] if more else [])]


def _show_distribution(item: Distribution) -> Figure:
    totals = {split: sum(item.counts[split]) for split in SPLITS}
    facts = [f"{split}: {totals[split]:,} values" for split in SPLITS]
    if item.unknown:
        shares = (f"{s} {_format_share(item.unknown[s], totals[s])}" for s in SPLITS)
        facts.append(f"out of vocabulary: {', '.join(shares)}")
    if item.quantiles:
        shown = ", ".join(f"{format_number(q, 4)}" for q in item.quantiles)
        facts.append(f"train, quantiles 0 1 5 25 50 75 95 99 100%: {shown}")
    series = [
        Series(split, [n / max(1, totals[split]) for n in item.counts[split]], SPLIT_COLORS[split])
        for split in SPLITS
        if totals[split]
    ]
    chart = BarChart(
        series,
        y=Axis("share of the split's values", is_share=True),
        x=Axis("value"),
        edges=item.edges,
        names=item.labels,
    )
    reading = "Bars of one place are equally high where the splits are alike."
    return Figure(item.name, chart, reading, f"{'; '.join(facts)}.")


def _show_share(part: int, whole: int) -> Cell:
    return Cell(_format_share(part, whole), 100 * part / whole if whole else None)


def _format_share(part: int, whole: int) -> str:
    return format_share(part / whole) if whole else "none"
