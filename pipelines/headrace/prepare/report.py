"""Render the data report of a build: one small HTML page, without scripts or network."""

import html

from headrace.lake.build import Build
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import DataStatistics
from headrace.lake.ledger import Ledger
from headrace.lake.profile import Distribution, Profile
from headrace.lake.split_definition import describe_split
from headrace.number_text import format_beside, format_number, format_share

_COLORS = {"train": "#3b6ea5", "validation": "#d08a2e", "test": "#4f9a5a"}
_WIDTH, _HEIGHT = 420, 90
_SHOWN_DRIFT = 12  # measures; those above their limits are all shown
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1000px;color:#222;
padding:0 1rem}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.15rem .8rem;border-bottom:1px
solid #ddd;text-align:left;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:
tabular-nums}h2{margin-top:2rem}.c{display:grid;grid-template-columns:1fr 440px;gap:1rem;border-top:
1px solid #ddd;padding:.6rem 0}.c h3{margin:0;font-size:1rem}.m{color:#666}svg{background:#fafafa}
.k{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em}"""


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
    title = f"{_escape(name)}: build {_escape(build.build_id)}"
    parts = [
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
        f"<p class=m>{_escape(build.created_at)}, Headrace {_escape(build.headrace_version)}, "
        f"transform {build.transform_digest[:12]}</p>",
        _render_ledgers(build),
        _render_split(build),
        _render_drift(build),
        _render_sources(build),
        _render_rules(profile),
        _render_columns(build, profile),
        "<h2>Distributions</h2><p>Share of a split's values in each bin",
        *(f"<span class=k style='background:{_COLORS[s]}'></span>{s}" for s in SPLITS),
        "</p>",
        *(_render_distribution(item, profile) for item in profile.distributions),
        "</body></html>",
    ]
    return "".join(parts)


def _render_ledgers(build: Build) -> str:
    if not build.is_partial:
        return _render_ledger("Row ledger", build.ledger, build)
    return _render_ledger("Rows of this build", build.processed_ledger, build) + _render_ledger(
        "Rows of the version", build.ledger, None
    )


def _render_ledger(title: str, ledger: Ledger, build: Build | None) -> str:
    rows = [("read", ledger.read)]
    rows += [(f"published, {split}", n) for split, n in ledger.published.items()]
    rows += [(f"quarantined, {rule}", n) for rule, n in ledger.quarantined.items()]
    rows += [("duplicates", ledger.duplicates)]
    rows += [(f"filtered, {reason}", n) for reason, n in ledger.filtered.items()]
    rows += [("accounted for", ledger.accounted_rows)]
    body = "".join(f"<tr><td>{_escape(k)}<td class=n>{n:,}" for k, n in rows)
    folder = build.quarantine if build else None
    rejected = f"<p>Rejected rows: {_escape(folder)}</p>" if folder else ""
    return f"<h2>{title}</h2><table>{body}</table>{rejected}"


def _render_drift(build: Build) -> str:
    if not build.drift:
        return ""
    far = sorted(build.drift, key=lambda d: d.limit / d.value if d.value else float("inf"))
    rows = [
        f"<tr><td>{_escape(d.name)}<td>{d.measure}"
        f"<td class=n>{format_beside(d.value, d.limit, 3)}<td class=n>{format_number(d.limit, 3)}"
        f"<td>{'<b>drifted</b>' if d.has_drifted else ''}"
        for d in far
    ]
    above = sum(d.has_drifted for d in far)
    note = (
        f"<p class=m>The rows of this build beside the train rows of build "
        f"{_escape(build.transform_of or build.build_id)}, which fitted the transform: {above} of "
        f"{len(far)} measures are above their limits.</p>"
    )
    head = "<tr><th>column<th>measure<th class=n>value<th class=n>limit<th>"
    shown = max(_SHOWN_DRIFT, above)
    table = f"<table>{head}{''.join(rows[:shown])}</table>"
    rest = f"<table>{head}{''.join(rows[shown:])}</table>" if rows[shown:] else ""
    more = f"<details><summary>{len(rows) - shown} more</summary>{rest}</details>" if rest else ""
    return f"<h2>Drift</h2>{note}{table}{more}"


def _render_split(build: Build) -> str:
    lines = "<br>".join(_escape(line) for line in describe_split(build))
    return f"<h2>Split</h2><p>{lines}</p>"


def _render_sources(build: Build) -> str:
    body = "".join(
        f"<tr><td>{_escape(name)}<td>{_escape(source['path'])}<td class=n>{source['rows']:,}"
        f"<td>{_escape(', '.join(source.get('extra_columns', [])))}"
        f"<td>{_escape(', '.join(source.get('skipped_paths', [])))}"
        f"<td>{_escape('; '.join(source.get('differences', [])))}"
        f"<td>{_escape(', '.join(source.get('unread_columns', {})))}"
        for name, source in build.sources.items()
    )
    head = "<tr><th>table<th>path<th class=n>rows<th>columns outside the contract"
    head += "<th>names that are no data<th>differences of its files<th>columns not read"
    return f"<h2>Sources</h2><table>{head}{body}</table>"


def _render_rules(profile: Profile) -> str:
    if not profile.rules:
        return ""
    body = "".join(
        f"<tr><td>{_escape(rule.name)}<td>{rule.on_violation}<td class=n>{rule.rows:,}"
        f"<td>{'<br>'.join(_escape(e[:120]) for e in rule.examples[:3])}"
        for rule in profile.rules
    )
    head = "<tr><th>rule<th>on violation<th class=n>rows<th>for example"
    note = "<p class=m>A row counts at every rule it violates; the ledger has it once.</p>"
    return f"<h2>Rules</h2>{note}<table>{head}{body}</table>"


def _render_columns(build: Build, profile: Profile) -> str:
    published = build.processed_ledger.published
    head = "<tr><th>raw column<th>kind" + "".join(
        f"<th class=n>missing, {split}" for split in SPLITS
    )
    body = "".join(
        f"<tr><td>{_escape(c.name)}<td>{c.kind}"
        + "".join(
            f"<td class=n>{c.missing[s]:,} ({_format_share(c.missing[s], published.get(s, 0))})"
            for s in SPLITS
        )
        for c in profile.columns
    )
    return f"<h2>Raw columns in the published rows</h2><table>{head}{body}</table>"


def _render_distribution(item: Distribution, profile: Profile) -> str:
    totals = {split: sum(item.counts[split]) for split in SPLITS}
    facts = [f"{split}: {totals[split]:,} values" for split in SPLITS]
    if item.unknown:
        shares = (f"{s} {_format_share(item.unknown[s], totals[s])}" for s in SPLITS)
        facts.append(f"out of vocabulary: {', '.join(shares)}")
    if item.quantiles:
        shown = ", ".join(f"{format_number(q, 4)}" for q in item.quantiles)
        facts.append(f"train, quantiles 0 1 5 25 50 75 95 99 100%: {shown}")
    text = "<br>".join(_escape(fact) for fact in facts)
    words = f"<div><h3>{_escape(item.name)}</h3><p class=m>{text}</p></div>"
    return f"<div class=c>{words}{_plot_bars(item)}</div>"


def _plot_bars(item: Distribution) -> str:
    """Plot bars by bin as SVG, the splits beside each other."""
    bins = len(next(iter(item.counts.values())))
    shares = {
        split: [n / max(1, sum(counts)) for n in counts] for split, counts in item.counts.items()
    }
    top = max((max(values) for values in shares.values()), default=0) or 1.0
    width = _WIDTH / bins
    bars = []
    for number, split in enumerate(SPLITS):
        for position, share in enumerate(shares[split]):
            height = share / top * (_HEIGHT - 18)
            x = position * width + (number + 0.3) * width / 3.6
            where = _describe_bin(item, position)
            bars.append(
                f"<rect x='{x:.1f}' y='{_HEIGHT - height:.1f}' width='{width / 3.6:.1f}' "
                f"height='{height:.1f}' fill='{_COLORS[split]}'>"
                f"<title>{_escape(where)}, {split}: {format_share(share)}</title></rect>"
            )
    left, right = _describe_bin(item, 0), _describe_bin(item, bins - 1)
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT + 16}' width={_WIDTH} height={_HEIGHT + 16}>"
        f"<text x=2 y=12 font-size=11 fill='#666'>{format_share(top)}</text>{''.join(bars)}"
        f"<text x=0 y={_HEIGHT + 13} font-size=11>{_escape(left[:24])}</text>"
        f"<text x={_WIDTH} y={_HEIGHT + 13} font-size=11 text-anchor=end>"
        f"{_escape(right[:24])}</text>"
        "</svg>"
    )


def _describe_bin(item: Distribution, position: int) -> str:
    """Return the label of a bin, or its edges."""
    if item.labels:
        return item.labels[position]
    return " to ".join(format_number(edge, 4) for edge in item.edges[position : position + 2])


def _format_share(part: int, whole: int) -> str:
    return format_share(part / whole) if whole else "none"


def _escape(value: object) -> str:
    return html.escape(str(value))
