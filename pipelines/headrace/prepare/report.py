"""Render the data report of a version: one page in the design of `headrace.pages`.

The label first, then what deserves a look, then the columns one by one, and what the builds did.
"""

from collections.abc import Sequence

from headrace.lake.build import Build
from headrace.lake.data_statistics import DataStatistics
from headrace.lake.night_history import NightHistory
from headrace.lake.profile import Profile
from headrace.lake.split_definition import describe_split
from headrace.number_text import format_share
from headrace.pages.page import Page, Section
from headrace.pages.tiles import Alert, Alerts, Severity, Tile, Tiles
from headrace.prepare.report_builds import (
    show_drift,
    show_history,
    show_ledgers,
    show_quarantine,
    show_sources,
)
from headrace.prepare.report_columns import (
    describe_source,
    draw_distributions,
    show_columns,
    show_missing,
    show_top_values,
)
from headrace.prepare.report_label import show_label

_TONES: dict[str, Severity] = {"high": "error", "medium": "warning", "low": "info"}


def render_report(
    name: str,
    build: Build,
    profile: Profile,
    statistics: DataStatistics | None = None,
    *,
    version_profile: Profile | None = None,
    history: NightHistory | None = None,
    quarantine_files: Sequence[str] = (),
) -> str:
    """Render the page.

    Args:
        name: the recipe's.
        build: what was built.
        profile: columns and rules of the rows that the build wrote.
        statistics: of the raw columns of the version, with alerts; None where there are none.
        version_profile: of all rows of the version, where it is known and not that of the build.
        history: of the dataset, this version included.
        quarantine_files: names of the files of rejected rows.
    """
    is_whole = statistics is not None and statistics.scope == "version"
    shown = version_profile if version_profile is not None and is_whole else profile
    rows = statistics.rows if statistics else build.processed_ledger.published
    sections = (
        show_label(build, shown, statistics),
        _show_overview(build, statistics),
        Section("Columns", [show_columns(statistics) if statistics else _explain_none(profile)]),
        Section("Missing values by split", [show_missing(shown, rows)], short="Missing"),
        Section("Frequent values", [show_top_values(statistics) if statistics else None]),
        Section(
            "Distributions", draw_distributions(shown, statistics),
            reading="The columns of the dataset, before scaling, by split.",
        ),
        Section("Drift", [show_drift(build)]),
        show_history(history) or Section("History of versions", []),
        show_quarantine(build, profile.rules, quarantine_files) or Section("Quarantine", []),
        *show_ledgers(build),
        Section("Split", [" ".join(describe_split(build))],
                reading="How rows were assigned to train, validation and test."),
        Section("Sources", [show_sources(build)]),
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


def _explain_none(profile: Profile) -> str:
    return (
        f"{len(profile.columns):,} raw columns. This version has no statistics of them, "
        "because its rows were written by an older Headrace; `headrace prepare --full` adds them."
    )


def _show_overview(build: Build, statistics: DataStatistics | None) -> Section:
    ledger = build.ledger
    rows = sum(ledger.published.values())
    splits = [f"{split} {n:,}" for split, n in ledger.published.items()]
    quarantined = sum(ledger.quarantined.values())
    tiles = [
        Tile("rows", f"{rows:,}", [", ".join(splits)]),
        Tile(
            "quarantined", f"{quarantined:,}",
            [f"{format_share(quarantined / ledger.read)} of the rows read"] if ledger.read else [],
        ),
    ]  # fmt: skip
    if statistics is None:
        return Section("Overview", [Tiles(tiles, "The version in a few numbers.")])
    cells = sum(column.row_count for column in statistics.columns)
    missing = sum(column.missing_count for column in statistics.columns)
    described = len(statistics.columns) - (statistics.label is not None)
    tiles.append(Tile("columns", f"{described:,}", ["as they came, before the transform"]))
    if cells:
        tiles.append(Tile("missing", format_share(missing / cells), ["of all values"]))
    alerts = [
        Alert(_TONES[alert.severity], f"{alert.column}: {alert.sentence}", alert.kind)
        for alert in statistics.alerts
    ]
    return Section(
        "Overview",
        [
            Tiles(tiles, "The version in a few numbers."),
            Alerts(
                alerts,
                "What deserves a look before a model is trained, the most severe first. Each rule "
                "and its limit is in docs/data-report.md.",
                none="No alerts: nothing is missing, constant, skewed, leaking or drifting beyond "
                "the limits.",
            ),
        ],
        reading=describe_source(statistics),
    )  # fmt: skip
