"""Check the recipe's text: its lines, the paths and commands in it, and what is commented out."""

from pathlib import Path

import numpy as np
import pytest

from headrace.propose.proposal import propose_recipe
from headrace.propose.text import build_run_command, build_table_path, render_recipe
from headrace.recipe.parse import parse_yaml
from tests.propose.tables import build_orders, build_sample, draft_table, write_table

ROWS = 1_000
NUMBERS = np.arange(ROWS)


def render_lines(columns: dict, label: str | None, *, table_rows: int | None = None) -> list[str]:
    proposal = propose_recipe(build_sample(columns, table_rows=table_rows), label)
    text = render_recipe(proposal, name="n", out="n.yaml", workdir="var")
    assert parse_yaml(text)["name"] == "n"
    return text.splitlines()


def test_a_path_below_the_workdir_is_named_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build_table_path("var/lake/t", "var") == "${workdir}/lake/t"
    assert build_table_path(f"{tmp_path}/var/lake/t", "var") == "${workdir}/lake/t"
    assert build_table_path("lake/t", "var") == "lake/t"
    assert build_table_path("s3://bucket/t", "var") == "s3://bucket/t"


def test_the_run_command_names_what_is_not_the_default() -> None:
    assert build_run_command("t.yaml", "var") == "headrace run t.yaml"
    assert build_run_command("my t.yaml", "/w d") == "headrace run 'my t.yaml' --workdir '/w d'"


def test_lines_are_no_longer_than_people_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = draft_table(write_table(Path("orders"), build_orders()), "late").text
    assert "path: orders # from the working directory" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_table_below_the_workdir_is_named_by_it(tmp_path: Path) -> None:
    write_table(tmp_path / "lake" / "orders", build_orders())
    text = draft_table(tmp_path / "lake" / "orders", "late", workdir=str(tmp_path)).text
    assert "path: ${workdir}/lake/orders" in text


def test_the_first_lines_say_what_the_figures_are_of() -> None:
    columns = {"id": NUMBERS * 3 + 5, "x": NUMBERS % 7 / 7, "y": NUMBERS % 2 == 0}
    assert render_lines(columns, "y")[:5] == [
        "# y of t, proposed by `headrace init`.",
        "#",
        "#   headrace run n.yaml",
        "#",
        "# It is based on all 1,000 rows, from 1 of 1 files; the figures are of these rows. "
        "It is a start for",
    ]
    lines = render_lines(columns, "y", table_rows=50_000)
    assert lines[4].startswith("# It is based on 1,000 of 50,000 rows, from 1 of 1 files")


def test_a_key_that_is_not_certain_is_a_comment() -> None:
    columns = {"device_id": NUMBERS % 50, "hour": NUMBERS // 50, "y": NUMBERS % 2 == 0}
    columns["device_id"] = [f"d{number}" for number in columns["device_id"]]
    lines = render_lines(columns, "y", table_rows=50_000)
    begin = lines.index("# clean:")
    assert lines[begin + 1 : begin + 4] == [
        "#   unique in all 1,000 sampled rows; if it is unique in the whole table, it can drop "
        "duplicates:",
        "#   dedup: {key: [device_id, hour]}",
        "",
    ]
    # Predictions need a key all the same.
    assert "score:" in lines
    assert "  key: [device_id, hour]" in lines


def test_without_a_key_predictions_carry_the_raw_columns_that_are_known() -> None:
    rng = np.random.default_rng(5)
    columns = {f"measured {n}": rng.normal(size=ROWS) for n in range(20)}
    columns |= {"list": [[1.5]] * ROWS, "y": rng.random(ROWS) < 0.5}
    columns["y again"] = columns["y"]
    lines = render_lines(columns, "y")
    assert max(map(len, lines)) <= 100
    recipe = parse_yaml("\n".join(lines))
    measured = [f"measured {n}" for n in range(20)]
    assert recipe["split"]["key"] == list(columns)  # the whole row
    assert recipe["score"]["key"] == measured
    assert recipe["unavailable"] == ["y again"]
    assert "clean" not in recipe
    # One of the likely labels will be one, which new rows do not have.
    recipe = parse_yaml("\n".join(render_lines(columns, None)))
    assert not {"y", "y again"} & {*recipe["score"]["key"]}


def test_what_is_suspicious_is_a_comment_and_stays_a_feature() -> None:
    rng = np.random.default_rng(6)
    label = rng.random(ROWS) < 0.5
    columns = {"strong": label + rng.normal(0, 0.1, ROWS), "x": rng.normal(size=ROWS), "y": label}
    lines = render_lines(columns, "y")
    begin = lines.index("#   strong: explains 100% of y by itself in the sample")
    assert lines[begin - 2].startswith("# Columns that may be known only when the label is.")
    assert "strong" in parse_yaml("\n".join(lines))["features"]


def test_strong_features_are_allowed_by_name() -> None:
    rng = np.random.default_rng(8)
    label = rng.random(ROWS) < 0.5
    columns = {"strong": label + rng.normal(0, 0.5, ROWS), "x": rng.normal(size=ROWS), "y": label}
    lines = render_lines(columns, "y")
    begin = lines.index("evaluate:")
    assert lines[begin + 1].startswith(
        "  # Features that explain much of the label by themselves (in the sample: strong "
    )
    assert "  leakage: {allow: [strong]}" in lines
    assert "  # threshold: {choose: max_f1} # on the validation split" in lines
    assert "    - {kind: metric" not in "".join(lines)
    assert "  #   - {kind: metric, metric: roc_auc, at_least: 0.7}" in lines


def test_a_reason_that_is_too_long_for_its_line_stands_above_it() -> None:
    columns = {"x" * 70: NUMBERS / 7, "y": NUMBERS % 2 == 0}
    lines = render_lines(columns, "y")
    begin = lines.index("features:")
    assert lines[begin + 1 : begin + 3] == [
        "  # 0 to 142.714",
        f"  {'x' * 70}: {{kind: standardize}}",
    ]
