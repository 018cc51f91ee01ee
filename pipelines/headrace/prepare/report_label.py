"""Show the label in the data report: what is to be predicted, before anything else."""

from collections.abc import Sequence

from headrace.labels.kinds import KINDS
from headrace.lake.build import Build
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import ColumnSummary, DataStatistics
from headrace.lake.profile import Distribution, Profile
from headrace.number_text import format_number, format_share
from headrace.pages.page import Section
from headrace.pages.tiles import Tile, Tiles
from headrace.prepare.report_columns import draw_distribution, format_quantile

_LABEL = "label"


def show_label(build: Build, profile: Profile, statistics: DataStatistics | None) -> Section:
    """Return the section of the label: its rows, its values by split, and how they are distributed.

    Args:
        build: what was built.
        profile: of the rows that are described.
        statistics: of the same rows; None where there are none.
    """
    item = next((d for d in profile.distributions if d.name == _LABEL), None)
    summary = statistics.label if statistics else None
    expression = str((build.recipe.get("label") or {}).get("expression", "")) or "the label"
    reading = f"What is to be predicted: {expression}, a label of kind {build.label_kind}."
    if item is None:
        return Section("Label", [reading])
    is_binary = KINDS[build.label_kind].has_positive_share
    item = _name_two(item) if is_binary else item
    tiles = _make_binary_tiles(item) if is_binary else _make_tiles(item, summary)
    return Section(
        "Label",
        [
            Tiles(tiles, "Each split beside the others: where they differ, a model is judged on "
                  "other labels than it learns."),
            draw_distribution(item),
        ],
        reading=reading,
    )  # fmt: skip


def _name_two(item: Distribution) -> Distribution:
    """Return the distribution over false and true, the last of its bins."""
    counts = {split: (sum(own[:-1]), own[-1]) for split, own in item.counts.items()}
    two = {"kind": "ids", "edges": (), "labels": ("false", "true"), "quantiles": ()}
    return item.model_copy(update={**two, "counts": counts})


def _make_binary_tiles(item: Distribution) -> Sequence[Tile]:
    tiles = []
    for split in SPLITS:
        counts = item.counts.get(split, ())
        rows = sum(counts)
        if rows:
            lines = [f"{counts[-1]:,} of {rows:,} rows"]
            tiles.append(Tile(f"true, {split}", format_share(counts[-1] / rows), lines))
    return tiles


def _make_tiles(item: Distribution, summary: ColumnSummary | None) -> Sequence[Tile]:
    tiles = [
        Tile(f"labels, {split}", f"{sum(item.counts[split]):,}", _name_most(item, split))
        for split in SPLITS
        if sum(item.counts.get(split, ()))
    ]
    if summary is not None and summary.mean is not None:
        limits = f"from {_format(summary.low)} to {_format(summary.high)}"
        tiles.append(Tile("mean", _format(summary.mean), [limits]))
        median = summary.find_quantile(0.5)
        if median is not None:
            shown = [
                format_quantile(q, summary) for q in summary.quantiles if q.share in (0.05, 0.95)
            ]
            line = f"5% and 95%: {' and '.join(shown)}"
            tiles.append(Tile("median", format_quantile(median, summary), [line]))
    return tiles


def _name_most(item: Distribution, split: str) -> list[str]:
    counts = item.counts[split]
    if not item.labels:
        return []
    position = max(range(len(counts)), key=lambda n: counts[n])
    share = format_share(counts[position] / sum(counts))
    return [f"most are {item.labels[position]}: {share}"]


def _format(value: float | None) -> str:
    return "" if value is None else format_number(value, 4)
