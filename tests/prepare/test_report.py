"""The data report: one page, complete in itself, with nothing of the lake as markup."""

import base64
import json
import re
from typing import Any

import pytest

from headrace.lake.build import Build
from headrace.lake.data_statistics import (
    Alert,
    ColumnSummary,
    DataStatistics,
    DistinctEstimate,
    QuantileEstimate,
    TopValue,
)
from headrace.lake.drift import ColumnDrift
from headrace.lake.ledger import Ledger
from headrace.lake.night_history import Night, NightHistory
from headrace.lake.profile import Distribution, Profile, RawColumnProfile, RuleCount
from headrace.prepare.report import render_report
from tests.pages.reading import check_page

LEDGER = Ledger(
    read=2000,
    published={"train": 1500, "validation": 300, "test": 100},
    quarantined={"range(<x>)": 40},
    duplicates=50,
    filtered={"label is null": 10},
)


def build_of(**more: object) -> Build:
    defaults: dict[str, object] = {
        "build_id": "b-1",
        "created_at": "2026-01-01T00:00:00+00:00",
        "headrace_version": "1",
        "recipe": {},
        "sources": {"t": {"path": "s3://lake/<t>", "rows": 2000, "extra_columns": ["a", "b"]}},
        "ledger": LEDGER,
        "files": (),
        "label_kind": "binary",
        "transform_digest": "0123456789abcdef",
    }
    return Build(**(defaults | more))  # type: ignore[arg-type]


PROFILE = Profile(
    columns=(
        RawColumnProfile(name="x", kind="real", missing={"train": 15, "validation": 0, "test": 1}),
    ),
    distributions=(
        Distribution(
            name="x",
            kind="numbers",
            edges=(0.0, 5.0, 10.0),
            counts={"train": (3, 1), "validation": (0, 4), "test": (0, 0)},
            quantiles=(0.0, 10.0),
        ),
        Distribution(
            name="<b>",
            kind="ids",
            labels=("missing", "<script>"),
            counts={"train": (1, 3), "validation": (0, 0), "test": (0, 0)},
            unknown={"train": 1, "validation": 0, "test": 0},
        ),
    ),
    rules=(RuleCount(name="r", on_violation="drop", rows=7, examples=("x: '<1>'",)),),
)


def text_of(page: str) -> str:
    """What a reader sees, on one line."""
    return check_page(page).text


def test_the_ledger_is_shown_and_adds_up() -> None:
    text = text_of(render_report("clicks", build_of(), PROFILE))
    assert "clicks: build b-1" in text
    for line in (
        "read 2,000", "published, train 1,500", "quarantined, range(<x>) 40", "duplicates 50",
        "filtered, label is null 10", "accounted for 2,000", "s3://lake/<t> 2,000 a, b",
        "15 1%", "r drop 7 0.35% x: '<1>'",
    ):  # fmt: skip
        assert line in text, line


def test_nothing_of_the_lake_is_markup_and_nothing_is_loaded() -> None:
    page = render_report("<i>", build_of(quarantine="_headrace/b-1/<quarantine>"), PROFILE)
    for markup in ("<i>", "<b>missing", "<quarantine>", "<1>", "<t>"):
        assert markup not in page
    check_page(page)


def test_bars_have_the_height_of_a_split_s_share() -> None:
    page = render_report("clicks", build_of(), PROFILE)
    assert "<title>0 to 5, train: 75%</title>" in page
    assert "<title>5 to 10, validation: 100%</title>" in page
    assert "0 to 5, test" not in page  # it has no values
    bars = re.findall(r'height="([\d.]+)" style="fill:var\(--c0\)"><title>[^<]*train', page)
    assert float(bars[0]) / float(bars[1]) == pytest.approx(3, abs=0.01)  # 75% and 25%
    assert "out of vocabulary: train 25%, validation none, test none" in text_of(page)


def test_bins_that_were_split_are_drawn_as_one() -> None:
    edges = sorted({0.5, 1.5, *range(0, 201, 10)})
    counts = (3, 1, 0, *[0] * 18, 4)
    item = Distribution(name="tail", kind="numbers", edges=tuple(edges), counts={"train": counts})
    page = render_report(
        "clicks", build_of(), PROFILE.model_copy(update={"distributions": (item,)})
    )
    assert re.findall(r"<title>(.*?)</title>", page)[-20:] == [
        "0 to 10, train: 50%", *[f"{n} to {n + 10}, train: 0%" for n in range(10, 190, 10)],
        "190 to 200, train: 50%",
    ]  # fmt: skip


@pytest.mark.parametrize("measures", [3, 20])
def test_drift_shows_the_furthest_measures_first(measures: int) -> None:
    drift = tuple(
        ColumnDrift(name=f"c{n:02}", measure="psi", value=n / 10, limit=1.5, rows=9)
        for n in range(measures)
    )
    text = text_of(render_report("clicks", build_of(drift=drift), PROFILE))
    order = re.findall(r"c\d\d", text)
    assert order == sorted(order, reverse=True)
    assert f"{max(0, measures - 16)} of {measures} measures are above their limits" in text


SPLIT_ROWS = {"train": 1500, "validation": 300, "test": 100}


def summarize(name: str, kind: str = "real", **more: Any) -> ColumnSummary:
    """Return statistics of a column of 1,900 rows."""
    missing = more.pop("missing", dict.fromkeys(SPLIT_ROWS, 0))
    values = {split: rows - missing[split] for split, rows in SPLIT_ROWS.items()}
    return ColumnSummary(name=name, kind=kind, values=values, missing=missing, **more)


def describe(*columns: ColumnSummary, alerts: tuple[Alert, ...] = (), sampled: int = 1900,
             scope: Any = "version") -> DataStatistics:  # fmt: skip
    return DataStatistics(
        scope=scope, rows=SPLIT_ROWS, sampled_rows=sampled, exact_up_to=16_384, confidence=0.99,
        columns=columns, alerts=alerts,
    )  # fmt: skip


QUANTILES = tuple(
    QuantileEstimate(share=share, value=value, low=value, high=value)
    for share, value in ((0.01, 0.0), (0.5, 0.0), (0.99, 0.5))
)


def test_the_label_comes_first_and_alerts_by_severity() -> None:
    alerts = tuple(
        Alert(severity=severity, column=f"<{severity}>", kind="missing", sentence="Look.",
              figures={})
        for severity in ("low", "high", "medium")
    )  # fmt: skip
    label = Distribution(
        name="label", kind="ids", labels=("false", "true"),
        counts={"train": (1200, 300), "validation": (240, 60), "test": (80, 20)},
    )  # fmt: skip
    profile = PROFILE.model_copy(update={"distributions": (label, *PROFILE.distributions)})
    page = render_report("clicks", build_of(), profile, describe(summarize("x"), alerts=alerts))
    headings = re.findall(r"<h2[^>]*>([^<]*)", page)
    assert headings[:3] == ["Label", "Overview", "Columns"]
    text = text_of(page)
    assert "true, train 20%" in text
    assert text.index("<high>") < text.index("<medium>") < text.index("<low>")
    assert "<low>" not in page


def test_what_is_exact_and_what_is_of_a_sample_is_said() -> None:
    exact = summarize("x", zeros=1881, mean=0.01, low=0.0, high=0.5, quantiles=QUANTILES,
                      sampled=1900,
                      distinct=DistinctEstimate(low=20, estimate=20, high=20))  # fmt: skip
    text = text_of(render_report("clicks", build_of(), PROFILE, describe(exact)))
    assert "Exact, of all 1,900 rows." in text
    assert "x real 1,900 0% 20 99% 0.01 0 0 0 0.5 0.5" in text
    estimated = exact.model_copy(
        update={"rank_error": 0.0127, "distinct": DistinctEstimate(low=20, estimate=30, high=40)}
    )
    text = text_of(render_report("clicks", build_of(), PROFILE, describe(estimated, sampled=1000)))
    assert "a quantile's rank is off by 1.27% at most, in 99% of cases" in text
    assert "≥ 20" in text
    text = text_of(render_report("clicks", build_of(), PROFILE, describe(exact, scope="build")))
    assert "of this build alone, because other rows of the version were written by an older" in text
    assert "has no statistics" in text_of(render_report("clicks", build_of(), PROFILE))


def test_missing_values_are_shown_where_there_are_any() -> None:
    page = render_report("clicks", build_of(), PROFILE, describe(summarize("x")))
    assert "Missing values by split" in page
    none = RawColumnProfile(name="x", kind="real", missing=dict.fromkeys(SPLIT_ROWS, 0))
    full = PROFILE.model_copy(update={"columns": (none,)})
    page = render_report("clicks", build_of(), full, describe(summarize("x")))
    assert "Missing values by split" not in page


def test_top_values_have_names_that_are_no_markup() -> None:
    top = (TopValue(value="<script>alert(1)</script>", sampled=950, share=0.5),
           TopValue(value="", sampled=19, share=0.01))  # fmt: skip
    page = render_report("c", build_of(), PROFILE, describe(summarize("shop", "string", top=top)))
    assert "shop <script>alert(1)</script> 50% 950" in text_of(page)
    assert "(empty text)" in page
    assert "<script>alert" not in page
    check_page(page)


def test_the_history_has_the_newest_version_first() -> None:
    nights = tuple(
        Night(version=n, build_id=f"b{n}", created_at=f"2026-01-0{n + 1}T02:00:00+00:00",
              rows={"train": 100 * (n + 1)}, read=120, published=100, quarantined=12 * n,
              duplicates=0, drift_measures=3 * bool(n), drifted=n // 2)
        for n in range(3)
    )  # fmt: skip
    history = NightHistory(nights=nights, left_out=7)
    page = render_report("c", build_of(), PROFILE, history=history)
    text = text_of(page)
    assert "2 2026-01-03 02:00:00 300 +100 120 100 24 20% 1 of 3 above their limits b2" in text
    assert text.index("b2") < text.index("b1") < text.index("b0")
    assert "7 earlier builds are not listed" in text
    assert "History" not in text_of(render_report("c", build_of(), PROFILE))


def test_rejected_rows_can_be_downloaded() -> None:
    build = build_of(quarantine="_headrace/b-1/quarantine")
    files = [f"part-{n} <&>.parquet" for n in range(25)]
    page = render_report("c", build, PROFILE, quarantine_files=files)
    assert 'href="quarantine/part-0%20%3C%26%3E.parquet"' in page
    assert "and 5 more files" in page
    (link,) = re.findall(r'href="data:application/json;base64,([^"]*)"', page)
    assert json.loads(base64.b64decode(link)) == [PROFILE.rules[0].model_dump(mode="json")]
    check_page(page)


def test_2000_columns_stay_a_page() -> None:
    columns = tuple(
        summarize(f"c{n}", zeros=3, mean=0.5, low=0.0, high=1.0, quantiles=QUANTILES)
        for n in range(2500)
    )
    items = tuple(PROFILE.distributions[0].model_copy(update={"name": c.name}) for c in columns)
    alerts = (Alert(severity="low", column="c2400", kind="skew", sentence="Look.", figures={}),)
    profile = PROFILE.model_copy(update={"distributions": items})
    page = render_report("wide", build_of(), profile, describe(*columns, alerts=alerts))
    assert len(page) < 6_000_000
    text = text_of(page)
    assert "500 more rows are not on this page: they are in statistics.json" in text
    assert "the distributions of 2,400 more are in profile.json" in text
    assert "<h3>c2400</h3>" in page  # an alert is drawn first
