"""What `pip install headrace` brings is enough for its commands: everything else is not found here.

A clean environment is in test_pip.py; this is the same without an installation.
"""

import json
from pathlib import Path

import pytest
import yaml

from tests.commands.stage_outcomes import write_recipe
from tests.e2e.running import BIN, Done, headrace, run
from tests.install.blocked import BROUGHT, OF_EXTRAS, block_modules
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = pytest.mark.e2e

# Command -> the extra it asks for. A new command is put here, or runs below.
OF_TRAIN = ("train", "tune", "evaluate", "promote", "rollback", "score", "run", "erase",
            "install-horovod")  # fmt: skip
OF_EXAMPLES = ("lake flights",)
OF_BASE = ("doctor", "init", "check", "schema", "prepare", "inspect", "diff", "restore", "vacuum",
           "optimize", "vacuum-checkpoints", "lake digits", "lake synthetic")  # fmt: skip
OPTIONS = {
    "score": ["--input", "in", "--output", "out"],
    "erase": ["--key", "user=1"],
    "lake flights": ["--out", "out"],
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return block_modules(tmp_path_factory.mktemp("base"), OF_EXTRAS | BROUGHT)


def test_every_command_is_of_base_or_asks_for_an_extra() -> None:
    from headrace.cli import app
    from headrace.commands import lake_app

    names = {(c.name or c.callback.__name__).replace("_", "-") for c in app.registered_commands}
    names |= {f"lake {c.callback.__name__}" for c in lake_app.registered_commands}
    assert names == {*OF_TRAIN, *OF_EXAMPLES, *OF_BASE}


def test_commands_that_need_an_extra_say_so_in_one_line_before_anything(
    base: dict[str, str], tmp_path: Path
) -> None:
    """All in one process: what is imported for one command would be there for the next."""
    workdir = tmp_path / "w"
    recipe = write_recipe(tmp_path)
    lines = []
    for command in (*OF_TRAIN, *OF_EXAMPLES):
        of_recipe = command not in (*OF_EXAMPLES, "install-horovod")
        options = [recipe, "--workdir", str(workdir)] if of_recipe else []
        lines.append([*command.split(), *options, *OPTIONS.get(command, [])])
    code = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from headrace.cli import app\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    ended = CliRunner().invoke(app, words)\n"
        "    print(json.dumps([ended.exit_code, ended.stdout, ended.stderr]))\n"
    )
    done = run(str(BIN / "python"), "-P", "-c", code, json.dumps(lines), **base)
    assert done.code == 0, done.err
    for command, line in zip((*OF_TRAIN, *OF_EXAMPLES), done.out.splitlines(), strict=True):
        exit_code, out, err = json.loads(line)
        extra = "examples" if command in OF_EXAMPLES else "train"
        assert (exit_code, out) == (2, ""), (command, err)
        (message,) = err.splitlines()
        assert message.startswith(f"headrace {command}: ")
        assert f"the extra {extra} is not installed" in message
        assert message.endswith(f"; run: pip install 'headrace[{extra}]'")
    assert not workdir.exists()


def test_several_ranks_ask_for_horovod_and_one_does_not(tmp_path: Path) -> None:
    environment = block_modules(tmp_path / "site", ["horovod"])
    recipe = write_recipe(tmp_path)
    several = headrace("train", recipe, "--ranks", "2", "--workdir", str(tmp_path), **environment)
    assert several.code == 2
    assert several.err.strip() == (
        "headrace train: 2 ranks are to communicate by Horovod: Horovod is not installed; run: "
        "pip install 'headrace[horovod]' && headrace install-horovod; or set train.collectives: "
        "tensorflow, or train.ranks: 1"
    )
    one = headrace("train", recipe, "--ranks", "1", "--workdir", str(tmp_path), **environment)
    assert one.code == 1
    assert "there is no dataset at" in one.err


def test_a_server_that_cannot_be_told_is_refused_before_the_build(
    base: dict[str, str], tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path)
    done = headrace(
        "prepare", recipe, "--workdir", str(tmp_path / "w"),
        MLFLOW_TRACKING_URI="http://127.0.0.1:9", **base,
    )  # fmt: skip
    assert done.code == 2
    assert "run: pip install 'headrace[tracking]'" in done.err
    assert not (tmp_path / "w" / "dataset").exists()


def test_base_checks_a_recipe_against_its_lake(base: dict[str, str], tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "lake")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_tree()))
    recipe = str(tmp_path / "tiny.yaml")
    done = headrace("check", recipe, "--workdir", str(tmp_path), **base)
    assert done.code == 1, done.err
    (missing,) = [line for line in done.out.splitlines() if line.startswith("missing")]
    assert missing.endswith("run: pip install 'headrace[train]'")


def test_stores_whose_package_is_not_installed_are_named(
    base: dict[str, str], tmp_path: Path
) -> None:
    for url, extra in (("s3://bucket/ds", "s3"), ("gs://bucket/ds", "gcs")):
        done = headrace("inspect", url, **base)
        assert done.code == 2
        assert done.err.rstrip().endswith(f"run: pip install 'headrace[{extra}]'")


@pytest.fixture(scope="module")
def road(base: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The tiny lake, prepared with nothing but base, in the driver and in Spark's workers."""
    workdir = tmp_path_factory.mktemp("road")
    write_tiny_lake(workdir / "lake")
    (workdir / "tiny.yaml").write_text(yaml.safe_dump(tiny_tree()))
    recipe = str(workdir / "tiny.yaml")
    return workdir, run(
        str(BIN / "headrace"), "prepare", recipe, "--workdir", str(workdir), "--json", **base
    )


@pytest.mark.long
def test_base_prepares(road: tuple[Path, Done]) -> None:
    workdir, done = road
    assert done.code == 0, done.err
    assert done.result["ledger"]["published"] == {"train": 344, "validation": 118, "test": 127}
    assert "MLflow is not installed here, so it has no record of the build" in done.err
    assert not (workdir / "mlflow").exists()


@pytest.mark.long
def test_base_inspects_compares_restores_and_vacuums(
    road: tuple[Path, Done], base: dict[str, str]
) -> None:
    workdir, _ = road
    dataset = str(workdir / "dataset")
    for words in (
        ["inspect", dataset],
        ["diff", dataset, "0", "0"],
        ["vacuum", dataset],
    ):
        done = run(str(BIN / "headrace"), *words, "--json", **base)
        assert done.code == 0, (words, done.err)
    restored = headrace("restore", dataset, "0", **base)
    assert "version 0 is the newest; there is nothing to restore" in restored.err
    shuffle = headrace("inspect", dataset, "--shuffle", **base)
    assert shuffle.code == 2
    assert "the extra train is not installed" in shuffle.err


@pytest.mark.long
def test_base_writes_a_recipe_and_a_synthetic_lake(base: dict[str, str], tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "lake")
    out = str(tmp_path / "new.yaml")
    done = headrace("init", f"{tmp_path}/lake/visits", "--label", "late", "--out", out, **base)
    assert done.code == 0, done.err
    lake = ["--out", f"{tmp_path}/clicks", "--rows", "200", "--workdir", str(tmp_path)]
    done = headrace("lake", "synthetic", *lake, **base)
    assert done.code == 0, done.err


@pytest.mark.long
def test_the_doctor_says_what_is_not_installed(base: dict[str, str], tmp_path: Path) -> None:
    done = headrace("doctor", "--workdir", str(tmp_path / "w"), "--json", **base)
    assert done.code == 0, done.err
    findings = {finding["name"]: finding for finding in done.result["findings"]}
    assert findings["headrace[train]"]["state"] == "ok"
    assert "not installed" in findings["headrace[train]"]["what"]
    assert "pip install 'headrace[train]'" in findings["headrace[train]"]["fix"]
    assert "tensorflow" not in findings
