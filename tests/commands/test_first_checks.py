"""What would end a command after hours is told in its first second, and leaves nothing behind."""

import errno
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from headrace import spark_gateway
from headrace.commands.first_checks import (
    check_first,
    check_out,
    check_workdir,
    check_writable,
    describe_os_error,
    is_of_environment,
)
from headrace.errors import MachineError, OptionError
from headrace.recipe.sections import Spark
from headrace.spark_gateway import choose_java_folder
from headrace.spark_session import check_user
from tests.commands.stage_outcomes import run_command
from tests.e2e.running import BIN, run
from tests.tiny import tiny_tree, write_tiny_lake


def test_a_workdir_that_cannot_be_made_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/headrace")):
        with pytest.raises(OptionError, match=f"--workdir {folder} cannot be written to: "):
            check_workdir(str(folder))
    check_workdir(str(tmp_path / "new" / "w"))
    assert list((tmp_path / "new" / "w").iterdir()) == []


@pytest.mark.parametrize("url", ["s3://lake/w", "dbfs:/w", "file:///w"])
def test_a_url_is_no_folder_here(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for check, option in ((check_workdir, "--workdir"), (check_out, "--out")):
        with pytest.raises(OptionError, match=f"{option} {url} is a URL, and has to be a folder"):
            check(url)
    assert list(tmp_path.iterdir()) == []


def test_a_user_without_a_name_is_told_what_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    check_user()

    def find_nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", find_nobody)
    with pytest.raises(MachineError, match=r"user id \d+ has no entry .*>> /etc/passwd"):
        check_user()
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")  # the driver's JVM runs already
    check_first("/tmp", spark=Spark())


@pytest.mark.parametrize("below", ["", "a", "a/b/c"])
def test_a_place_that_can_be_written_is_left_as_it_was(below: str, tmp_path: Path) -> None:
    check_writable(str(tmp_path / below), "the dataset")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=f"the dataset: {tmp_path}/file cannot be written to"):
        check_writable(f"{tmp_path}/file", "the dataset")
    with pytest.raises(MachineError, match=r"checkpoints: .* cannot be"):
        check_first(str(tmp_path), checkpoints="/proc/checkpoints")


@pytest.mark.parametrize(
    ("number", "mine"),
    [
        (errno.EROFS, True), (errno.EACCES, True), (errno.ENOSPC, True), (errno.EDQUOT, True),
        (errno.ENOTDIR, True), (errno.EMFILE, True), (errno.EBADF, False), (errno.EINVAL, False),
    ],
)  # fmt: skip
def test_errors_of_the_machine_are_no_defects_of_headrace(number: int, mine: bool) -> None:
    error = OSError(number, os.strerror(number), "/data/x")
    assert is_of_environment(error) == mine
    assert describe_os_error(error) == f"{os.strerror(number)}: '/data/x'"


def test_java_has_a_folder_from_which_it_may_execute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbidden: set[str] = set()
    monkeypatch.setattr(spark_gateway, "forbids_execution", forbidden.__contains__)
    monkeypatch.setattr(spark_gateway.tempfile, "gettempdir", lambda: "/t")
    assert choose_java_folder("/w") == "/t"
    forbidden.add("/t")
    assert choose_java_folder("/w") == "/w"
    with pytest.raises(MachineError, match="/t is mounted with noexec, and Java"):
        choose_java_folder(None)
    forbidden.add("/w")
    with pytest.raises(MachineError, match="/t is mounted with noexec, and so is /w"):
        choose_java_folder("/w")


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    write_tiny_lake(tmp_path / "lake")
    tree = tiny_tree()
    for name, table in tree["source"]["tables"].items():
        table["path"] = f"{tmp_path}/lake/{name}"
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    return str(tmp_path / "tiny.yaml")


@pytest.mark.parametrize(
    "command",
    ["prepare", "train", "evaluate", "run", "tune", "score", "promote", "rollback"],
)
def test_a_command_tells_a_workdir_that_is_read_only_at_once(command: str, recipe: str) -> None:
    options = ["--workdir", "/proc/w"]
    if command == "score":
        options += ["--input", "lake", "--output", "scores"]
    if command == "tune":
        options += ["--set", "tune.parameters={train.epochs: {choices: [1, 2]}}"]
    began = time.monotonic()
    done = run_command(command, recipe, *options)
    assert done.code == 2
    assert "--workdir /proc/w cannot be written to" in done.err
    assert "defect" not in done.err
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("out", ["/proc/w/x.yaml", "{folder}/tiny.yaml/x.yaml"])
@pytest.mark.parametrize("command", ["init", "lake flights", "lake digits", "lake synthetic"])
def test_where_out_cannot_be_written_nothing_is_begun(
    command: str, out: str, recipe: str, tmp_path: Path
) -> None:
    out = out.format(folder=tmp_path)
    words = [str(tmp_path / "lake" / "visits"), "--label", "late"] if command == "init" else []
    if command == "lake synthetic":
        words = ["--workdir", str(tmp_path / "w")]
    done = run_command(*command.split(), *words, "--out", out)
    assert done.code == 2
    assert f"--out {out} cannot be written to" in done.err
    assert done.err.rstrip().endswith("choose another --out")


def test_a_workdir_on_a_full_disk_is_no_wrong_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("headrace.commands.first_checks.tempfile.TemporaryFile", fail)
    with pytest.raises(MachineError, match="No space left on device"):  # a scheduler tries again
        check_workdir(str(tmp_path))


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_model_whose_module_is_nowhere_is_told_before_spark(
    command: str, recipe: str, tmp_path: Path
) -> None:
    model = "model={kind: python, function: 'no_such_module:build'}"
    done = run_command(command, recipe, "--workdir", str(tmp_path / "w"), "--set", model)
    assert done.code == 2
    assert "model.function: no_such_module:build cannot be found" in done.err
    assert not (tmp_path / "w" / "spark").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "run", "tune"])
def test_an_engine_that_is_not_installed_is_told_at_once(
    command: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "petastorm", None)
    options = ["--workdir", str(tmp_path / "w")]
    if command == "tune":
        options += ["--set", "tune.parameters={train.epochs: {choices: [1, 2]}}"]
    done = run_command(command, recipe, *options)
    assert done.code == 1
    assert "stream.engine is petastorm, and Petastorm cannot be imported" in done.err
    assert "or set stream.engine: pyarrow" in done.err
    assert "defect" not in done.err
    assert not (tmp_path / "w" / "spark").exists()


@pytest.mark.parametrize("command", ["prepare", "run"])
def test_a_dataset_that_cannot_be_written_is_told_before_spark(
    command: str, recipe: str, tmp_path: Path
) -> None:
    done = run_command(
        command, recipe, "--workdir", str(tmp_path / "w"), "--set", "dataset.path=/proc/dataset"
    )
    assert done.code == 1
    assert "the dataset: /proc/dataset cannot be written to" in done.err
    assert not (tmp_path / "w" / "spark").exists()


def in_namespace(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", *words], capture_output=True, text=True, check=False, timeout=300
    )


def needs_namespaces(kind: str) -> None:
    if in_namespace(kind, "true").returncode:
        pytest.skip("needs the right to make namespaces")


@pytest.mark.e2e
@pytest.mark.long
def test_a_tmp_without_exec_is_no_error_of_snappys(recipe: str, tmp_path: Path) -> None:
    needs_namespaces("-m")
    # The lake and the workdir lie below /tmp, too, and stay visible.
    script = (
        f"mkdir /mnt/kept && mount --bind {tmp_path} /mnt/kept && "
        f"mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp && mkdir -p {tmp_path} && "
        f"mount --bind /mnt/kept {tmp_path} && "
        f"exec {BIN}/headrace prepare {recipe} --workdir {tmp_path}/w"
    )
    done = in_namespace("-m", "sh", "-c", f"mount -t tmpfs tmpfs /mnt && {script}")
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout


@pytest.mark.e2e
@pytest.mark.long
def test_a_user_id_without_a_name_is_named(recipe: str, tmp_path: Path) -> None:
    needs_namespaces("--user")
    began = time.monotonic()
    done = in_namespace(
        "--user", "--map-user=12345", "--map-group=12345",
        f"{BIN}/headrace", "prepare", recipe, "--workdir", f"{tmp_path}/w",
    )  # fmt: skip
    assert done.returncode == 1
    assert "user id 12345 has no entry in the user database" in done.stderr
    assert time.monotonic() - began < 30


@pytest.mark.e2e
@pytest.mark.long
def test_the_doctor_knows_all_of_these(recipe: str) -> None:
    words = ["doctor", recipe, "--workdir", "/proc/w", "--set", "dataset.path=/proc/d"]
    done = run(str(BIN / "headrace"), *words)
    assert done.code == 1
    assert "fail  dataset: /proc/d cannot be written to" in done.out
    assert "disk, workdir: /proc cannot be written to" in done.out
    for name in ("user", "libraries"):
        assert f"ok    {name}: " in done.out
