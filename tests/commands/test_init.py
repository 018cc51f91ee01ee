"""Check `headrace init`: exit codes, what it prints, and what it does not overwrite."""

import json
from pathlib import Path

import jsonschema
import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from headrace.cli import app
from headrace.recipe import load_recipe
from headrace.recipe.parse import parse_yaml
from tests.propose.tables import build_orders, write_table

REFUND = "0.0 in all 403 sampled rows of one label, and in no other row"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a working directory with the orders in it."""
    monkeypatch.chdir(tmp_path)
    return write_table(tmp_path / "orders", build_orders())


def run_init(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def test_it_writes_a_recipe_named_like_the_table_and_says_how_to_go_on() -> None:
    result = run_init("orders", "--label", "late")
    assert result.exit_code == 0, result.stderr
    assert load_recipe("orders.yaml", environment={}).label.expression == "late"
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "Table          orders: 600 rows, 600 sampled, in 1 of 1 files" in lines
    assert f"Known too late refund: {REFUND}" in lines
    assert lines[-1] == "headrace run orders.yaml"


def test_editors_find_the_schema_beside_the_recipe() -> None:
    result = run_init("orders", "--label", "late", "--out", "recipes/r.yaml")
    assert result.exit_code == 0, result.stderr
    text = Path("recipes/r.yaml").read_text()
    assert text.splitlines()[0] == "# yaml-language-server: $schema=recipe.schema.json"
    schema = json.loads(Path("recipes/recipe.schema.json").read_text())
    assert list(jsonschema.Draft7Validator(schema).iter_errors(parse_yaml(text))) == []
    assert sorted(path.name for path in Path("recipes").iterdir()) == [
        "r.yaml",
        "recipe.schema.json",
    ]


def test_a_file_of_another_kind_in_the_schemas_place_stays() -> None:
    Path("recipe.schema.json").write_text("{}")
    result = run_init("orders", "--label", "late", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["schema"] is None
    assert "recipe.schema.json is another file" in result.stderr
    assert Path("recipe.schema.json").read_text() == "{}"
    assert "$schema" not in Path("orders.yaml").read_text()


def test_json_is_the_last_line_of_standard_output() -> None:
    result = run_init("orders", "--label", "late", "--name", "shop", "--workdir", "w", "--json")
    assert result.exit_code == 0, result.stderr
    (line,) = result.stdout.splitlines()
    summary = json.loads(line)
    assert (summary["recipe"], summary["name"]) == ("shop.yaml", "shop")
    assert (summary["unavailable"], summary["suspicious"]) == ({"refund": REFUND}, {})
    assert summary["left_out"]["nothing"] == "null in all 600 sampled rows"
    assert summary["next"] == ["headrace run shop.yaml --workdir w"]


def test_without_a_label_both_ways_on_are_told() -> None:
    result = run_init("orders", "--json")
    assert json.loads(result.stdout)["candidates"] == ["late", "amount", "refund"]
    assert json.loads(result.stdout)["next"] == [
        "choose the label in orders.yaml, or: headrace init orders --label late "
        "--out orders.yaml --force",
        "headrace run orders.yaml",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing", "--label", "x"], 1, "there is nothing at nothing; check the path"),
        (["orders", "--label", "lates"], 2, "no such column; did you mean late?"),
        (["orders", "--label", "nothing"], 2, "all 600 sampled values are null"),
        (["orders", "--label", "ordered_at"], 2, "is a time, which cannot be a label"),
        (
            ["orders", "--label", "late", "--format", "xml"],
            2,
            "--format xml: expected one of csv, json, parquet",
        ),
        (["orders", "--label", "late", "--name", "1"], 2, "--name 1: letters, digits and _ only"),
        (["orders", "--label", "late", "--format", "json"], 1, "no JSON object in its files"),
        (["broken", "--label", "late"], 1, "is not a readable Parquet file"),
        (["empty", "--label", "late"], 1, "is empty: it has no rows"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_written(
    arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.parquet").write_bytes(b"PAR1 and nothing")
    write_table(tmp_path / "empty", {"late": pa.array([], pa.bool_())})
    before = sorted(tmp_path.rglob("*"))
    result = run_init(*arguments, "--json")
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert json.loads(result.stdout)["exit_code"] == code
    assert sorted(tmp_path.rglob("*")) == before


def test_a_recipe_is_no_table_and_is_not_overwritten(tmp_path: Path) -> None:
    assert run_init("orders", "--label", "late").exit_code == 0
    before = (tmp_path / "orders.yaml").read_text()
    for options in ([], ["--force"], ["--format", "csv", "--force"]):
        result = run_init("orders.yaml", *options)
        assert result.exit_code == 1
        assert "orders.yaml is a recipe, and init writes one for a table" in result.stderr
        assert "headrace run orders.yaml" in result.stderr
    assert (tmp_path / "orders.yaml").read_text() == before
    names = ["orders", "orders.yaml", "recipe.schema.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("out", [["--out", "orders.yaml"], []], ids=["named", "by default"])
def test_a_recipe_that_is_there_is_replaced_only_by_force(out: list[str], tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text("mine")
    result = run_init("orders", "--label", "late", *out)
    assert result.exit_code == 2
    assert "orders.yaml already exists; choose another --out, or use --force" in result.stderr
    assert (tmp_path / "orders.yaml").read_text() == "mine"
    assert run_init("orders", "--label", "late", "--force", *out).exit_code == 0
    assert load_recipe("orders.yaml", environment={}).name == "orders"
    names = ["orders", "orders.yaml", "recipe.schema.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
