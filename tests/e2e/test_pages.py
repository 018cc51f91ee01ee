"""Both reports in a real browser: they fit, they can be read by everyone, and their tables work.

The pages are what `headrace run` wrote of the tiny lake, and one with what data may hold at worst.
`--screenshots docs/images` writes the pictures of docs/reports.md.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.e2e.browser import MODES, WIDTHS, open_browser, open_page
from tests.e2e.running import headrace
from tests.pages.reading import EVIL, STRANGE
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PAGES = ("data", "evaluation", "strange")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The path of each page."""
    folder = tmp_path_factory.mktemp("pages")
    write_tiny_lake(folder / "lake")
    tree = tiny_tree()
    tree["train"]["epochs"] = 4
    tree["evaluate"] = {"slices": [{"columns": ["shop"]}], "min_rows": 20}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tree))
    done = headrace("run", str(folder / "tiny.yaml"), "--workdir", str(folder))
    assert done.code in {0, 3}, done.err  # two epochs of so few rows may not pass a gate
    (data,) = (folder / "dataset/_headrace").rglob("report.html")
    (evaluation,) = (path for path in folder.rglob("evaluation/test/report.html"))
    assert (evaluation.parent / "card.md").read_text().startswith("# tiny: `models:/tiny/1`")
    strange = folder / "strange.html"
    strange.write_text(make_strange_page())
    return {"data": data, "evaluation": evaluation, "strange": strange}


def make_strange_page() -> str:
    """An evaluation of 1,000 classes and 2,000 columns whose names are what data may hold."""
    from headrace.evaluate import plots
    from headrace.evaluate.bootstrap import Interval
    from headrace.evaluate.headline import Headline
    from headrace.evaluate.leakage import FeatureStrength
    from headrace.evaluate.report import render_report
    from headrace.evaluate.slices import SliceResult
    from headrace.evaluate.worst_rows import WorstRows

    nan = float("nan")
    names = [*STRANGE, *(f"{text}{n}" for n in range(1000) for text in ("class ", "日本 "))][:1000]
    classes = np.arange(1000)
    labels = [{"label": n, "rows": 5.0, "precision": 0.5, "recall": nan, "f1": 0.2} for n in names]
    slices = [
        SliceResult(("c",), n, 500, False, {"f1": 0.5}, {"f1": Interval(0.5, 0.4, nan)})
        for n in names
    ]
    return render_report(
        title=EVIL,
        facts=dict.fromkeys(names[:20], "x" * 2000),
        verdict={"passed": False, "gates": [
            {"gate": {"kind": n}, "passed": False, "text": n * 3} for n in STRANGE]},
        metrics=dict.fromkeys(names[:20], nan),
        intervals={},
        confidence=0.95,
        figures={
            "confusion_matrix.png": plots.plot_confusion(classes, classes[::-1], names, "Matrix"),
            "labels.png": plots.plot_labels(labels),
            "slices.png": plots.plot_worst_slices(slices, "f1", nan),
            "learning_curves.png": plots.plot_learning_curves(
                {"train_loss": [(0, nan), (1, float("inf"))], "val_loss": [(0, 1e300)]}
            ),
        },
        thresholds=[],
        labels=labels,
        slices=slices,
        metric="f1",
        strengths=[FeatureStrength(f"column {n}", 0.5, 0.95) for n in range(2000)],
        headlines=[Headline(n, nan, (nan, nan), {n: nan}, "lower") for n in STRANGE[:5]],
        worst=WorstRows([0], [nan], [STRANGE[6]], [STRANGE[8]], {n: [n] for n in STRANGE if n}),
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_everyone_can_read_it(
    browser: Any, pages: dict[str, Path], name: str, width: int, mode: str
) -> None:
    with open_page(browser, pages[name].as_uri(), width, mode) as opened:
        assert opened.measure_overflow() <= 0
        assert opened.page.locator("main > section").count() >= 5
        dark = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(255, 255, 255)") is (mode == "light")
        assert opened.list_faults() == []
        assert opened.errors == []


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_sorted_by_their_headings(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    with open_page(browser, pages[name].as_uri()) as opened:
        table = opened.page.locator("table:has(thead th.n button)").first
        position = table.evaluate("t => [...t.tHead.rows[0].cells].findIndex("
                                  "c => c.className === 'n' && c.firstElementChild)")  # fmt: skip
        heading = table.locator("thead th").nth(position)
        before = sorted(table.locator("tbody tr").all_inner_texts())
        orders = {}
        for way in ("descending", "ascending"):
            heading.locator("button").click()
            assert heading.get_attribute("aria-sort") == way
            orders[way] = _read_numbers(table, position)
        assert orders["descending"] == sorted(orders["descending"], reverse=True)
        assert orders["ascending"] == sorted(orders["ascending"])
        assert sorted(table.locator("tbody tr").all_inner_texts()) == before
        assert opened.errors == []


def _read_numbers(table: Any, position: int) -> list[float]:
    """The numbers of a column in the order of its rows, without those that are none."""
    texts = table.evaluate(
        "(t, n) => [...t.tBodies[0].rows].map(r => r.cells[n].dataset.v ?? r.cells[n].innerText)",
        position,
    )
    numbers = []
    for text in texts:
        try:
            numbers.append(float(text.replace(",", "").replace("%", "").replace("−", "-")))
        except ValueError:
            continue
    return [number for number in numbers if number == number]


def test_tables_are_searched(browser: Any, pages: dict[str, Path]) -> None:
    with open_page(browser, pages["strange"].as_uri()) as opened:
        box = opened.page.locator("input[type=search]").last
        table = opened.page.locator(".find + .scroll table").last
        rows = table.locator("tbody tr:visible")
        before = rows.count()
        some = table.locator("tbody tr").nth(3).locator("td, th").first.inner_text()
        box.fill(some.upper())
        assert 1 <= rows.count() < before
        assert "of" in opened.page.locator(".find [role=status]").last.inner_text()
        box.fill("no row has this")
        assert rows.count() == 0
        box.fill("")
        assert rows.count() == before


def test_contents_lead_to_their_sections_and_colours_can_be_chosen(
    browser: Any, pages: dict[str, Path]
) -> None:
    with open_page(browser, pages["evaluation"].as_uri(), 390) as opened:
        page = opened.page
        assert page.locator("nav details").get_attribute("open") is None
        page.locator("nav summary").click()
        page.locator("nav a").last.click()
        page.wait_for_function("scrollY > 0")
        page.locator("button.theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert opened.errors == []


def test_in_a_frame_without_rights_as_mlflow_has_it_everything_works(
    browser: Any, pages: dict[str, Path]
) -> None:
    import html

    source = html.escape(pages["evaluation"].read_text())
    outer = f'<iframe sandbox="allow-scripts" width=1200 height=800 srcdoc="{source}"></iframe>'
    with open_page(browser, f"<!doctype html>{outer}") as opened:
        frame = opened.page.frame_locator("iframe")
        frame.locator("button.theme").click()
        frame.locator("nav a").last.click()
        frame.locator("table thead th button").first.click()
        assert frame.locator("th[aria-sort=ascending], th[aria-sort=descending]").count() == 1
        assert opened.errors == []


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_nothing_is_missing(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    with open_page(browser, pages[name].as_uri(), java_script_enabled=False) as opened:
        page = opened.page
        assert page.locator("main table").count() > 0
        assert page.locator("nav a").first.is_visible()
        assert page.locator("button").count() == 0  # none that does nothing


def test_a_script_that_slips_in_does_not_run(browser: Any, pages: dict[str, Path]) -> None:
    page = pages["evaluation"].read_text()
    evil = "<script>window.slipped = 1</script><img src=x onerror='window.slipped = 1'>"
    with open_page(browser, page.replace("<main", f"{evil}<main", 1)) as opened:
        assert opened.page.evaluate("window.slipped === undefined")
        assert any("Content Security Policy" in error for error in opened.errors)


@pytest.mark.parametrize("name", PAGES)
def test_printed_pages_are_light_and_complete(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    with open_page(browser, pages[name].as_uri(), mode="dark") as opened:
        page = opened.page
        page.emulate_media(media="print", color_scheme="dark")
        style = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert style == "rgb(255, 255, 255)"
        assert not page.locator("nav").is_visible()
        assert not page.locator("button.theme").is_visible()
        cut = page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(e => e.scrollHeight > e.clientHeight"
            " + 2).length"
        )
        assert cut == 0
        assert page.pdf(format="A4", print_background=True)[:4] == b"%PDF"


def test_screenshots(
    browser: Any, pages: dict[str, Path], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Written where `--screenshots` says; their sizes are checked either way."""
    folder = request.config.getoption("--screenshots")
    for name in ("data", "evaluation"):
        text = pages[name].read_text().replace(str(pages["strange"].parent), "/lake")
        (tmp_path / f"{name}.html").write_text(text)
        for width, mode in ((390, "light"), (1280, "light"), (1280, "dark")):
            with open_page(browser, (tmp_path / f"{name}.html").as_uri(), width, mode) as opened:
                picture = opened.page.screenshot(scale="css")
            assert 5_000 < len(picture) < 400_000
            if folder:
                Path(folder).mkdir(parents=True, exist_ok=True)
                (Path(folder) / f"report-{name}-{width}-{mode}.png").write_bytes(picture)
