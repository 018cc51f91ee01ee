"""The data report: one page, complete in itself, with nothing of the lake as markup."""

import re

import pytest

from headrace.lake.build import Build
from headrace.lake.drift import ColumnDrift
from headrace.lake.ledger import Ledger
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
        "15 1%", "r drop 7 x: '<1>'",
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
