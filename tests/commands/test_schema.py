"""`headrace schema` prints or writes the schema of recipes, and overwrites nothing else."""

import json
from pathlib import Path

import pytest

from headrace.recipe.json_schema import build_json_schema
from tests.commands.stage_outcomes import run_command


def test_it_is_printed_as_it_is() -> None:
    ended = run_command("schema")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == build_json_schema()


def test_with_json_it_is_part_of_the_result() -> None:
    result = run_command("schema", "--json").result
    assert (result["command"], result["ok"]) == ("schema", True)
    assert result["schema"] == build_json_schema()


def test_a_file_of_an_older_headrace_is_replaced_and_another_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "deep/recipe.schema.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"title": "Headrace recipe", "properties": {}}))
    assert run_command("schema", "--out", str(file)).code == 0
    assert json.loads(file.read_text()) == build_json_schema()
    file.write_text('{"title": "mine"}')
    ended = run_command("schema", "--out", str(file))
    assert ended.code == 2
    assert "already exists and is no schema of Headrace" in ended.err
    assert file.read_text() == '{"title": "mine"}'


@pytest.mark.parametrize("out", ["/proc/nothing/s.json", "/dev/null/s.json"])
def test_where_nothing_can_be_written_is_said(out: str) -> None:
    ended = run_command("schema", "--out", out)
    assert ended.code == 2
    assert f"--out {out} cannot be written to" in ended.err
