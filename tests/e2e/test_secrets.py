"""Secrets go into every input there is, and come out nowhere: printed, written, or in `ps`."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml

from tests.e2e.running import BIN, prepared_tiny
from tests.mlflow_store import copy_empty_store
from tests.test_redaction import FORMS
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = pytest.mark.e2e
SECRET = "hunter2-Xy/z@9"
# What of it may be nowhere: the last part stands behind its `@`, where a host could be.
TRACES = [SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET), "hunter2"]
# Addresses that refuse at once.
TEXTS = [
    form.replace("@host", "@127.0.0.1:9").replace("@db", "@127.0.0.1:9").format(s=SECRET)
    for form in FORMS
]
ENVIRONMENT = {
    "DB_PASS": SECRET,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "MLFLOW_TRACKING_PASSWORD": SECRET,
    "MLFLOW_TRACKING_USERNAME": "me",
    "OPENLINEAGE_URL": f"http://me:{SECRET}@127.0.0.1:9/?sig={SECRET}",
    "OPENLINEAGE_API_KEY": SECRET,
    "HEADRACE_METRICS_PUSH": f"http://me:{SECRET}@127.0.0.1:9/{SECRET}?token={SECRET}",
}


@contextmanager
def watched_processes() -> Iterator[list[str]]:
    """Read the command lines of all processes again and again, as any user of the machine can."""
    found: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            for entry in Path("/proc").iterdir():
                try:
                    line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                except OSError:
                    continue
                if any(trace.encode() in line for trace in TRACES):
                    found.append(line.replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def search_files(folder: Path, allowed: set[Path]) -> list[str]:
    """The files below a folder that have a trace of the secret, besides those that may."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path not in allowed:
            content = path.read_bytes()
            found += [str(path) for trace in TRACES if trace.encode() in content]
    return found


def check_command(folder: Path, tree: dict[str, Any], *arguments: str) -> tuple[int, str]:
    """Run a command of a recipe with secrets; nothing that it prints, writes or starts has them."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    copy_empty_store(folder / "w/mlflow/mlflow.db")
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    command, *options = arguments
    with watched_processes() as shown:
        done = subprocess.run(
            [str(BIN / "headrace"), command, str(recipe), "--workdir", str(folder / "w"), *options],
            env={**inherited, **ENVIRONMENT, "TMPDIR": str(temporary)},
            capture_output=True, text=True, check=False, timeout=300, cwd=folder,
        )  # fmt: skip
    printed = done.stdout + done.stderr
    for trace in TRACES:
        assert trace not in printed
    assert shown == []
    best = folder / "w/tune/tiny.best.yaml"  # as it was asked for, for its owner alone
    assert not best.exists() or best.stat().st_mode & 0o777 == 0o600
    assert search_files(folder, {recipe, best}) == []
    assert search_files(temporary, set()) == []
    assert "***, a loopback" not in printed
    return done.returncode, printed


def secret_tree() -> dict[str, Any]:
    """A recipe that works, with every form of the secret among the settings of Spark."""
    tree = tiny_tree()
    conf = {f"spark.hadoop.headrace.n{n}": text for n, text in enumerate(TEXTS)}
    tree["spark"]["conf"] = {
        **tree["spark"].get("conf", {}),
        **conf,
        "spark.hadoop.fs.s3a.secret.key": SECRET,
        "spark.driver.extraJavaOptions": f"-Dx.keyStorePassword={SECRET} '-Dx.y=a b'",
    }
    return tree


def test_prepare_shows_no_secret(tmp_path: Path) -> None:
    tree = secret_tree()
    write_tiny_lake(tmp_path / "lake")
    tree["source"]["tables"] = {
        name: {"path": f"{tmp_path}/lake/{name}"} for name in ("visits", "shops")
    }
    tree["dataset"]["path"] = f"{tmp_path}/dataset"
    code, printed = check_command(tmp_path, tree, "prepare", "--log-format", "json")
    assert code == 0, printed
    assert "could not be published" in printed  # the metrics: that was tried
    private = [
        *(tmp_path / "dataset").rglob("raw_examples.parquet"),
        tmp_path / "w/spark/spark.log",
    ]
    assert len(private) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in private)


@pytest.mark.long
@pytest.mark.parametrize("command", ["train", "evaluate", "tune", "doctor"])
def test_commands_that_work_show_no_secret(
    tmp_path_factory: pytest.TempPathFactory, command: str
) -> None:
    plain = tiny_tree()
    folder = prepared_tiny(tmp_path_factory.mktemp("secret"), plain)
    tree = {**plain, "spark": secret_tree()["spark"]}
    tree["train"] |= {"epochs": 1}
    tree["tune"] = {
        "parameters": {"train.global_batch_size": {"choices": [64, 128]}}, "trials": 2,
    }  # fmt: skip
    if command == "evaluate":
        assert check_command(folder, tree, "train")[0] == 0
    # An address that a recipe's author gives with --set is on the command line by their own hand.
    code, printed = check_command(folder, tree, command)
    assert code in (0, 1 if command == "doctor" else 0), printed


QUICK = [(0, "everywhere"), (5, "everywhere"), (5, "tracking")]
COMMANDS = ("prepare", "train", "evaluate", "tune", "doctor", "score")


@pytest.mark.parametrize(
    ("number", "where"),
    [
        pytest.param(n, where, marks=[] if (n, where) in QUICK else [pytest.mark.long])
        for n in range(len(TEXTS))
        for where in (("source", "dataset", "tracking")[n % 3], "everywhere")
    ],
)
def test_commands_that_fail_show_no_secret(
    tmp_path_factory: pytest.TempPathFactory, number: int, where: str
) -> None:
    """Each form as an address, of a source, of MLflow, of the dataset, of checkpoints, of all."""
    plain = tiny_tree()
    folder = prepared_tiny(tmp_path_factory.mktemp("secret"), plain)
    tree = {**secret_tree(), "source": plain["source"], "dataset": plain["dataset"]}
    text = TEXTS[number]
    everywhere = where == "everywhere"
    if where == "source" or everywhere:
        tree["source"]["tables"]["visits"]["path"] = text
    if where == "tracking" or everywhere:
        tree["tracking"] = {"uri": text}
    if where == "dataset" or everywhere:
        tree["dataset"]["path"] = text
    if everywhere:
        tree["name"] = text
        tree["train"]["checkpoint"] = {"path": text}
        tree["tune"] = {"parameters": {"train.optimizer": {"choices": [text]}}}
    # By turns, and such that each place fails what reads it.
    reads = {"source": ("prepare", "doctor"), "tracking": ("train", "evaluate", "tune", "doctor")}
    commands = reads.get(where, COMMANDS)
    command = commands[number % len(commands)]
    code, printed = check_command(folder, tree, command)
    assert code != 0 or where == "dataset", printed  # a relative name, as odd as it is
    assert "Traceback" not in printed
