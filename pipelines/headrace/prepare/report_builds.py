"""Show what builds did in the data report: ledgers, rejected rows, the history of versions, drift,
sources.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from headrace.lake.build import Build
from headrace.lake.drift import MEASURE_NAMES
from headrace.lake.ledger import Ledger
from headrace.lake.night_history import NightHistory
from headrace.lake.profile import RuleCount
from headrace.number_text import format_beside, format_number, format_share
from headrace.pages.charts.frame import Axis, Figure
from headrace.pages.charts.lines import Line, LineChart
from headrace.pages.markup import Markup, element, join, shorten
from headrace.pages.page import Section
from headrace.pages.table import Cell, Column, Table

_MOST_FILES = 20  # of a quarantine, that are linked


def show_ledgers(build: Build) -> list[Section]:
    """Return what became of every row: of the build, and of the version where it has others."""
    if not build.is_partial:
        return [_show_ledger("Row ledger", build.ledger)]
    return [
        _show_ledger("Rows of this build", build.processed_ledger),
        _show_ledger("Rows of the version", build.ledger),
    ]


def _show_ledger(title: str, ledger: Ledger) -> Section:
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
    return Section(title, [table])


def show_quarantine(
    build: Build, rules: Sequence[RuleCount], files: Sequence[str]
) -> Section | None:
    """Return the rules, the rows that violate them with examples, and downloads of rejected rows.

    Args:
        build: what was built.
        rules: of its rows.
        files: names of the files of rejected rows, in the folder `quarantine` beside the page.
    """
    if not rules and not build.quarantine:
        return None
    read = build.processed_ledger.read
    shown = [
        (
            rule.name,
            rule.on_violation,
            rule.rows,
            Cell(format_share(rule.rows / read) if read else "none", rule.rows / max(1, read)),
            "; ".join(shorten(example, 120) for example in rule.examples[:3]),
        )
        for rule in sorted(rules, key=lambda rule: -rule.rows)
    ]
    columns = [
        Column("rule"), Column("on violation"), Column("rows", is_number=True, digits=15),
        Column("of the rows read (%)", is_number=True), Column("for example"),
    ]  # fmt: skip
    reading = "A row counts at every rule it violates; the ledger has it once."
    parts: list[Any] = [Table(columns, shown, reading)] if shown else []
    if any(rule.examples for rule in rules):
        parts.append(_link_examples(rules))
    if build.quarantine:
        rejected = sum(build.processed_ledger.quarantined.values())
        parts.append(_link_files(build.quarantine, rejected, files))
    return Section("Quarantine and rules", parts, short="Quarantine")


def _link_examples(rules: Sequence[RuleCount]) -> Markup:
    """Return a link to the examples, which are within the page."""
    text = json.dumps([rule.model_dump() for rule in rules], indent=1)
    link = f"data:application/json;base64,{base64.b64encode(text.encode()).decode()}"
    return element(
        "p",
        element("a", "Download rules and examples", href=link, download="rules.json"),
        " (JSON, within this page).",
    )


def _link_files(folder: str, rows: int, files: Sequence[str]) -> Markup:
    """Return links to the files of rejected rows, which lie beside the page."""
    links = (
        element("a", name, href=f"quarantine/{quote(name)}", download=name)
        for name in files[:_MOST_FILES]
    )
    left = len(files) - _MOST_FILES
    return element(
        "p",
        f"{rows:,} rejected rows with all their columns, the rules they broke and why: {folder}. ",
        "Where this page lies beside them: " if files else "",
        join(links, ", "),
        f", and {left:,} more files" if left > 0 else "",
        "." if files else "",
    )


def show_history(history: NightHistory | None) -> Section | None:
    """Return the versions before this one, the newest first; None where this is the first."""
    if history is None or len(history.nights) < 2:
        return None
    columns = [
        Column("version"), Column("built (UTC)"), Column("rows", True, 15),
        Column("change", True, 15), Column("read", True, 15), Column("published", True, 15),
        Column("quarantined", True, 15), Column("quarantined (%)", is_number=True),
        Column("drift"), Column("build"),
    ]  # fmt: skip
    rows = []
    before: int | None = None
    for night in history.nights:
        total = sum(night.rows.values())
        share = night.quarantined / night.read if night.read else None
        change = None if before is None else Cell(f"{total - before:+,}", total - before)
        drift: object = night.what
        if night.drift_measures:
            drift = f"{night.drifted:,} of {night.drift_measures:,} above their limits"
            drift = Cell(drift, night.drifted, "warning" if night.drifted else "ok")
        rows.append(
            (Cell(night.version, night.version), night.created_at[:19].replace("T", " "), total,
             change, night.read, night.published, night.quarantined,
             None if share is None else Cell(format_share(share), 100 * share), drift,
             night.build_id)
        )  # fmt: skip
        before = total
    left = f" {history.left_out:,} earlier builds are not listed." if history.left_out else ""
    table = Table(
        columns, rows[::-1],
        "One line for each version, the newest first: rows of the version, and what its build "
        f"read, published and rejected.{left}",
    )  # fmt: skip
    return Section("History of versions", [_draw_history(history), table], short="History")


def _draw_history(history: NightHistory) -> Figure:
    versions = [float(night.version) for night in history.nights]
    lines = [
        Line("rows of the version", versions,
             [float(sum(night.rows.values())) for night in history.nights], 0),
        Line("read by the build", versions, [float(n.read) for n in history.nights], 1),
        Line("quarantined", versions, [float(n.quarantined) for n in history.nights], 5, "6 3"),
    ]  # fmt: skip
    chart = LineChart(lines, x=Axis("version"), y=Axis("rows", low=0.0))
    return Figure(
        "Rows by version", chart,
        "A version that falls, or a night that reads far more or less than others, deserves a "
        "look.",
    )  # fmt: skip


def show_drift(build: Build) -> Table | None:
    """Return how far the rows of the build are from those that fitted the transform."""
    if not build.drift:
        return None
    far = sorted(build.drift, key=lambda d: d.limit / d.value if d.value else float("inf"))
    rows = [
        (
            d.name,
            MEASURE_NAMES[d.measure],
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


def show_sources(build: Build) -> Table:
    """Return the tables that were read, and what of them was not used."""
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
