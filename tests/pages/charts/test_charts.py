"""Charts draw the values they are given, name their axes, and survive what data may hold."""

import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pages.charts.bars import BarChart, Series
from headrace.pages.charts.density import Density
from headrace.pages.charts.frame import Axis, Figure, Figures, choose_ticks, cut_text, measure_text
from headrace.pages.charts.lines import Line, LineChart
from headrace.pages.charts.matrix import Matrix
from headrace.pages.charts.rows import RowChart, RowMark, RowSeries
from tests.pages.reading import NUMBERS, STRANGE, TEXTS, Reader


def read_numbers(markup: str, name: str, attribute: str) -> list[float]:
    return [float(str(a[attribute])) for a in Reader(markup).find(name) if attribute in a]


def check_drawing(markup: str) -> Reader:
    """Assert that a drawing is closed, lies within its frame, and has no number that is none."""
    markup.encode()
    reader = Reader(markup)
    (svg,) = [a for a in reader.find("svg") if a.get("role") == "img"]
    assert svg["aria-label"]
    width, height = map(float, str(svg["viewbox"]).split()[2:])
    for name, attributes in reader.elements:
        for key in ("x", "x1", "x2", "cx"):
            if key in attributes and name != "svg":
                assert -1 <= float(str(attributes[key])) <= width + 1, (name, attributes)
        for key in ("y", "y1", "y2", "cy"):
            if key in attributes and name != "svg":
                assert -1 <= float(str(attributes[key])) <= height + 1, (name, attributes)
        for key in ("d", "width", "height", "transform"):
            assert "nan" not in str(attributes.get(key, "")), (name, attributes)
            assert "inf" not in str(attributes.get(key, "")), (name, attributes)
    return reader


def test_bars_are_as_high_as_their_values() -> None:
    chart = BarChart(
        [Series("train", [0.5, 1.0, 0.0], 0), Series("test", [0.25, math.nan, 0.1], 2)],
        Axis("share", is_share=True), Axis("miles"), edges=[0, 10, 20, 30],
    )  # fmt: skip
    markup = chart.draw("d")
    check_drawing(markup)
    heights = read_numbers(markup, "rect", "height")
    assert [round(h / heights[1], 2) for h in heights] == [0.5, 1.0, 0.0, 0.25, 0.1]
    titles = Reader(markup).titles
    assert titles[:2] == ["0 to 10, train: 50%", "10 to 20, train: 100%"]
    assert "miles" in Reader(markup).texts and "share" in Reader(markup).texts
    assert [name for name, _, _ in chart.list_legend()] == ["train", "test"]


def test_a_line_goes_through_its_points_and_leaves_out_what_is_none() -> None:
    line = Line("val", [1, 2, 3, 4], [0.0, 1.0, math.inf, 0.5], 1)
    markup = LineChart([line], Axis("epoch"), Axis("loss")).draw("d")
    check_drawing(markup)
    ys = read_numbers(markup, "circle", "cy")
    assert len(ys) == 3
    assert (ys[0] - ys[2]) / (ys[0] - ys[1]) == pytest.approx(0.5, abs=0.01)
    assert Reader(markup).titles == ["val: 1, 0", "val: 2, 1", "val: 4, 0.5"]


def test_rows_show_values_with_their_intervals() -> None:
    marks = [RowMark(0.6, 0.5, 0.7), RowMark(math.nan), RowMark(0.9)]
    chart = RowChart(["a", "b", "c"], [RowSeries("", marks, 0)], Axis("AUC"), (0.8, "all rows"))
    markup = chart.draw("d")
    check_drawing(markup)
    assert Reader(markup).titles == ["a: 0.6 (0.5 to 0.7)", "c: 0.9"]
    assert "all rows" in Reader(markup).texts
    bars = RowChart(["a"], [RowSeries("x", [RowMark(-2.0, -3, -1)], 0)], Axis("x"), are_bars=True)
    check_drawing(bars.draw("d"))


def test_a_matrix_has_shares_of_its_rows_and_the_numbers() -> None:
    markup = Matrix(["late", "on time"], [[30, 10], [0, 0]], "truth", "predicted").draw("d")
    reader = check_drawing(markup)
    assert "75%" in reader.texts and "25%" in reader.texts and "30" in reader.texts
    assert reader.texts.count("no rows") == 2
    assert "late predicted as on time: 10 rows, 25% of its row" in reader.titles


@pytest.mark.parametrize("classes", [1, 2, 7, 12, 13, 40, 41, 1000])
def test_a_matrix_of_many_classes_stays_small(classes: int) -> None:
    counts = [[float(row == column) for column in range(classes)] for row in range(classes)]
    markup = Matrix([f"class {n}" for n in range(classes)], counts, "truth", "predicted").draw("d")
    check_drawing(markup)
    assert len(markup) < 100_000


def test_a_density_has_cells_where_there_are_rows() -> None:
    counts = [[0, 1], [2, 1000]]
    density = Density([0, 1, 2], [0, 1, 2], counts, Axis("truth"), Axis("prediction"))
    reader = check_drawing(density.draw("d"))
    assert sum(str(a["d"]).count("z") for a in reader.find("path")) == 3
    assert density.list_legend()[0][0] == "from 1 rows"
    check_drawing(Density([0, 1], [0, 1], [[0]], Axis("x"), Axis("y")).draw("d"))


def test_every_figure_says_how_to_read_it_and_tells_its_lines_apart() -> None:
    lines = [Line(f"m{n}", [0, 1], [n, n], n) for n in range(9)]
    chart = LineChart(lines, Axis("x"), Axis("y"))
    looks = [(color, dashes) for _, color, dashes in chart.list_legend()]
    assert len(set(looks)) == 9
    figure = Figure("Title", chart, "How to read it.", "Nothing is left out.")
    reader = Reader(Figures([figure]).render())
    assert "How to read it." in reader.text and "Nothing is left out." in reader.text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 97, [0, 20, 40, 60, 80]), (-1e-9, 1e-9, None),
     (1e300, 1.7e308, None), (5, 5, [5])],
)  # fmt: skip
def test_ticks_are_round(low: float, high: float, ticks: list[float] | None) -> None:
    chosen = choose_ticks(low, high)
    assert 1 <= len(chosen) <= 12
    if ticks is not None:
        assert chosen == pytest.approx(ticks)


def test_cut_texts_fit() -> None:
    for text in STRANGE:
        assert measure_text(cut_text(text, 100)) <= 110


VALUES = st.lists(NUMBERS.map(float), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(TEXTS, VALUES, st.booleans())
def test_no_values_and_no_names_break_a_chart(
    name: str, values: Sequence[float], is_share: bool
) -> None:
    axis = Axis(name, is_share=is_share)
    edges = [float(n) for n in range(len(values) + 1)]
    marks = [RowMark(v, v, v) for v in values]
    charts: list[Any] = [
        BarChart([Series(name, values, 0)], axis, axis, edges=edges),
        BarChart([Series(name, values, 0)], axis, axis, names=[name] * len(values)),
        LineChart([Line(name, values, values, 0), Line(name, edges[:-1], values, 1, "6 3")],
                  axis, axis, has_diagonal=True, mark=(values[0], name), level=(values[0], name)),
        RowChart([name] * len(values), [RowSeries(name, marks, 0)], axis, (values[0], name)),
        RowChart([name] * len(values), [RowSeries(name, marks, 0)], axis, are_bars=True),
        Matrix([name] * 2, [[1, 2], [3, 4]], name, name),
    ]  # fmt: skip
    for chart in charts:
        reader = check_drawing(chart.draw(name or "d"))
        assert {n for n, _ in reader.elements} <= {
            "svg", "text", "title", "line", "rect", "circle", "path"
        }  # fmt: skip
        assert not re.search("<(script|img)", chart.draw("d"))
