"""The command check: exit codes, lines, what is not looked at, and what is not imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.commands.check import machine
from headrace.commands.check.remark import Kind, Remark, choose_exit_code
from headrace.errors import MachineError
from tests.commands.stage_outcomes import Ended, run_command
from tests.tiny import tiny_tree, write_tiny_lake


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_tiny_lake(tmp_path / "lake")
    return tmp_path


def check(folder: Path, *options: str, **sections: Any) -> Ended:
    """Check the tiny recipe with other sections."""
    tree = tiny_tree()
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    (folder / "r.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return run_command("check", str(folder / "r.yaml"), "--workdir", str(folder), *options)


def find_line(folder: Path, text: str) -> int:
    (line,) = (
        n for n, row in enumerate((folder / "r.yaml").read_text().splitlines(), 1) if text in row
    )
    return line


def test_a_recipe_that_fits_ends_with_0_and_leaves_nothing(lake: Path) -> None:
    ended = check(lake)
    assert ended.code == 0
    assert "0 wrong in the recipe, 0 missing, 0 suspected, 4 not checked" in ended.err + ended.out
    assert sorted(path.name for path in lake.iterdir()) == ["lake", "r.yaml"]


def test_a_key_that_is_wrong_ends_with_2_and_its_line(lake: Path) -> None:
    ended = check(lake, train={"epochs": 2, "epoch": 3})
    line = find_line(lake, "epoch: 3")
    assert ended.code == 2
    assert f"recipe     line {line}: train.epoch: unknown key, value 3" in ended.out


def test_a_recipe_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    ended = run_command("check", str(tmp_path / "nope.yaml"))
    assert ended.code == 2
    assert "recipe     recipe: no such file" in ended.out


def test_a_column_that_is_nowhere_ends_with_2_and_its_line(lake: Path) -> None:
    ended = check(lake, "--json", features={"amout": {"kind": "standardize"}})
    (remark,) = (r for r in ended.result["remarks"] if r["kind"] == "recipe")
    assert (ended.code, ended.result["exit_code"], ended.result["ok"]) == (2, 2, False)
    assert (remark["where"], remark["line"]) == ("features.amout", find_line(lake, "amout"))
    assert ended.result["error"]["type"] == "RecipeError"
    assert "did you mean 'amount'?" in ended.result["error"]["message"]


def test_a_table_that_is_not_there_ends_with_1(lake: Path) -> None:
    ended = check(lake, "--json", "--set", "source.tables.shops.path=${workdir}/nowhere")
    (remark,) = (r for r in ended.result["remarks"] if r["kind"] == "missing")
    assert ended.code == 1
    assert (remark["where"], remark["line"]) == ("source.tables.shops.path", None)


def test_sql_that_does_not_parse_is_suspected_and_ends_with_0(lake: Path) -> None:
    ended = check(lake, label={"expression": "late >> > 1"})
    line = find_line(lake, "late >> > 1")
    assert ended.code == 0
    assert f"suspected  line {line}: label.expression: 'late >> > 1' may be no SQL" in ended.out
    assert "Spark's own parser decides" in ended.out


def test_remote_stores_are_asked_on_request_alone(lake: Path) -> None:
    ended = check(
        lake,
        "--json",
        "--set", "source.tables.visits.path=s3://no-bucket-of-ours/visits",
        "--set", "dataset.path=s3://no-bucket-of-ours/dataset",
    )  # fmt: skip
    unchecked = {
        r["where"]: r["message"] for r in ended.result["remarks"] if r["kind"] == "unchecked"
    }
    assert ended.code == 0
    for key in ("source.tables.visits.path", "dataset.path", "embeddings"):
        assert "--remote" in unchecked[key]


def test_a_dataset_path_that_holds_something_else_ends_with_1(lake: Path) -> None:
    (lake / "dataset").mkdir()
    (lake / "dataset" / "thesis.doc").write_text("")
    ended = check(lake)
    assert ended.code == 1
    assert "which is not a dataset of Headrace" in ended.out


def test_what_is_not_installed_ends_with_1(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> None:
        raise MachineError("Spark needs Java 17 or newer and there is no java on PATH")

    monkeypatch.setattr("headrace.spark_session.check_java", find_none)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    ended = check(lake)
    assert ended.code == 1
    assert "missing    java: Spark needs Java 17" in ended.out


def test_a_workdir_that_is_a_url_is_a_wrong_option() -> None:
    (remark,) = machine.check_workdir("s3://lake/w")
    assert (remark.kind, remark.message) == (
        Kind.OPTION, "s3://lake/w is a URL, and has to be a folder of this machine"
    )  # fmt: skip


def test_places_where_nothing_can_be_written_are_wrong_in_the_recipe(lake: Path) -> None:
    options = ["--set", "dataset.path=dbfs:/ds", "--set", "train.checkpoint.path=https://host/c"]
    ended = check(lake, *options)
    assert ended.code == 2
    for text in (
        "dataset.path: dbfs:/ begins a path of Hadoop",
        "train.checkpoint.path: https:// is no place that Headrace writes to",
    ):
        assert text in ended.out


def test_a_workdir_below_a_file_is_a_wrong_option_as_run_says(lake: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    workdir = str(tmp_path / "file" / "w")
    (remark,) = machine.check_workdir(workdir)
    assert remark.kind is Kind.OPTION
    check(lake)  # writes the recipe
    ended = run_command("check", str(lake / "r.yaml"), "--workdir", workdir, "--json")
    assert (ended.code, ended.result["error"]["type"]) == (2, "OptionError")
    assert "--workdir: " in ended.result["error"]["message"]
    assert "0 wrong in the recipe, 1 in the options" in ended.err
    assert run_command("run", str(lake / "r.yaml"), "--workdir", workdir).code == 2
    (remark,) = machine.check_workdir(str(tmp_path / "a" / "b"))
    assert (remark.kind, (tmp_path / "a").exists()) == (Kind.OK, False)


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ([], 0),
        ([Kind.OK, Kind.UNCHECKED, Kind.SUSPECTED], 0),
        ([Kind.MISSING, Kind.OK], 1),
        ([Kind.MISSING, Kind.RECIPE], 2),
        ([Kind.MISSING, Kind.OPTION], 2),
    ],
)
def test_the_worst_remark_decides_the_exit_code(kinds: list[Kind], code: int) -> None:
    assert choose_exit_code([Remark(kind, "x", "y") for kind in kinds]) == code


def test_secrets_are_not_printed(lake: Path) -> None:
    ended = check(
        lake, "--json", "--set", "source.tables.visits.path=s3://me:hunter2@nowhere/visits"
    )
    assert "hunter2" not in ended.out + ended.err


def test_no_engine_is_imported(lake: Path) -> None:
    (lake / "r.yaml").write_text(yaml.safe_dump(tiny_tree()))
    script = (
        "import json, sys\n"
        "from headrace.cli import app\n"
        f"try: app(['check', {str(lake / 'r.yaml')!r}, '--workdir', {str(lake)!r}])\n"
        "except SystemExit as end: code = end.code\n"
        "names = ('tensorflow', 'keras', 'pyspark', 'py4j', 'mlflow', 'horovod', 'petastorm', "
        "'sklearn', 'pandas')\n"
        "print(json.dumps([code, [name for name in names if name in sys.modules]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


def test_run_refuses_a_column_that_is_nowhere_before_mlflow_starts(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: Any, **__: Any) -> Any:
        raise AssertionError("MLflow was started")

    monkeypatch.setattr("headrace.tracking.run.start_parent_run", start)
    tree = tiny_tree()
    tree["features"]["amout"] = {"kind": "standardize"}
    (lake / "r.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    ended = run_command("run", str(lake / "r.yaml"), "--workdir", str(lake))
    assert ended.code == 2
    assert f"line {find_line(lake, 'amout')}: features.amout: " in ended.err
