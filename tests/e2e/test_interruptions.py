"""Trainings that are ended in forty ways, and started again: as if nothing had been.

What the second command gives is compared with a training that nobody disturbed, bit for bit; where
a setting was changed, it is an error that names it.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.resuming import (
    EPOCHS,
    assert_same,
    build_command,
    prepare_long_training,
    train_undisturbed,
)
from tests.e2e.running import BIN, ROOT, Done, headrace

pytestmark = [pytest.mark.e2e, pytest.mark.long]
STOPPING = ("--set", "train.early_stopping={metric: loss, patience: 4}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_long_training(tmp_path_factory.mktemp("interruptions"))


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict:
    return train_undisturbed(folder, folder / "undisturbed")


@pytest.fixture(scope="module")
def undisturbed_stop(folder: Path) -> dict:
    """The same with early stopping, which stops it."""
    result = train_undisturbed(folder, folder / "stopped", *STOPPING)
    assert result["metrics"]["epochs"] < EPOCHS
    return result


def same(done: Done, expected: dict) -> None:
    assert done.code == 0, done.err
    assert_same(done.result, expected)


Act = Callable[[psutil.Process], None]


def disturb(
    folder: Path, workdir: Path, when: str, act: Act, *options: str, **environment: str
) -> int:
    """Train, and act once a line of the output matches; returns the exit code."""
    process = subprocess.Popen(
        [str(BIN / "headrace"), *build_command(folder, workdir, *options)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stderr is not None
    acted = False
    for line in process.stderr:
        if not acted and re.search(when, line):
            act(psutil.Process(process.pid))
            acted = True
    assert acted, f"no line with {when}"
    return process.wait(timeout=120)


def send(number: int) -> Act:
    """Send a signal to the command itself."""
    return lambda launcher: launcher.send_signal(number)


def send_rank(rank: int, number: int) -> Act:
    """Send a signal to one of its ranks."""
    return lambda launcher: find_ranks(launcher)[rank].send_signal(number)


def send_group(number: int) -> Act:
    return lambda launcher: os.killpg(launcher.pid, number)


def find_ranks(launcher: psutil.Process) -> list[psutil.Process]:
    ranks = [
        child
        for child in launcher.children(recursive=True)
        if "headrace.distributed.rank.main" in child.cmdline()
    ]
    return sorted(ranks, key=lambda rank: rank.pid)


def freeze_and_thaw(launcher: psutil.Process) -> None:
    launcher.suspend()
    time.sleep(3)
    launcher.resume()


def freeze_rank_and_thaw(launcher: psutil.Process) -> None:
    rank = find_ranks(launcher)[1]
    rank.suspend()
    time.sleep(5)
    rank.resume()


def take_memory(launcher: psutil.Process) -> None:
    """Allow a rank no more memory than it has: its next allocation fails."""
    rank = find_ranks(launcher)[0]
    rank.rlimit(psutil.RLIMIT_AS, (rank.memory_info().vms // 4, rank.memory_info().vms // 4))


def take_disk(launcher: psutil.Process) -> None:
    """Allow rank 0 no file of more than 200 bytes: no checkpoint can be written."""
    find_ranks(launcher)[0].rlimit(psutil.RLIMIT_FSIZE, (200, 200))


MIDDLE, LATE = r"epoch (1\d) of", r"epoch (3[5-9]) of"
FIRST, REGISTERING = r"epoch 1 of", "registering the model"
# How a training is ended, when, and its exit code (None: any but 0; 0 where it goes on).
ENDED: dict[str, tuple[str, Act, int | None]] = {
    **{
        f"{name} to the command": (MIDDLE, send(number), code)
        for name, number, code in (
            ("TERM", signal.SIGTERM, 143), ("HUP", signal.SIGHUP, 143),
            ("INT", signal.SIGINT, 130), ("KILL", signal.SIGKILL, -9),
            ("QUIT", signal.SIGQUIT, -3), ("SEGV", signal.SIGSEGV, -11),
            ("ABRT", signal.SIGABRT, -6), ("USR1", signal.SIGUSR1, -10),
            ("ALRM", signal.SIGALRM, -14), ("BUS", signal.SIGBUS, -7),
        )
    },
    **{
        f"{name} to rank {rank}": (MIDDLE, send_rank(rank, number), None)
        for rank in (0, 1)
        for name, number in (
            ("KILL", signal.SIGKILL), ("SEGV", signal.SIGSEGV), ("ABRT", signal.SIGABRT),
        )
    },
    "TERM to rank 0": (MIDDLE, send_rank(0, signal.SIGTERM), None),
    "KILL to all": (LATE, send_group(signal.SIGKILL), -9),
    "TERM to all": (LATE, send_group(signal.SIGTERM), None),
    "KILL in the first epoch": (FIRST, send(signal.SIGKILL), -9),
    "TERM in the first epoch": (FIRST, send(signal.SIGTERM), 143),
    "KILL at registering": (REGISTERING, send_group(signal.SIGKILL), -9),
    "KILL of rank 0 at registering": (REGISTERING, send_rank(0, signal.SIGKILL), None),
    "out of memory": (MIDDLE, take_memory, None),
    "no room for a checkpoint": (MIDDLE, take_disk, None),
}  # fmt: skip


@pytest.mark.parametrize("way", ENDED)
def test_ended(way: str, folder: Path, undisturbed: dict, tmp_path: Path) -> None:
    when, act, code = ENDED[way]
    found = disturb(folder, tmp_path, when, act)
    assert found == code if code is not None else found != 0
    same(headrace(*build_command(folder, tmp_path)), undisturbed)


@pytest.mark.parametrize("act", [freeze_and_thaw, freeze_rank_and_thaw])
def test_frozen_for_a_while(act: Act, folder: Path, undisturbed: dict, tmp_path: Path) -> None:
    """It goes on; what a second command would do is to begin anew."""
    assert disturb(folder, tmp_path, MIDDLE, act) == 0
    again = headrace(*build_command(folder, tmp_path))
    assert "continuing" not in again.err
    same(again, undisturbed)


@pytest.mark.parametrize("when", [r"epoch 2 of", REGISTERING])
def test_one_that_stops_early(
    when: str, folder: Path, undisturbed_stop: dict, tmp_path: Path
) -> None:
    """At registering, it has stopped: no epoch runs that never ran, and none is reported."""
    assert disturb(folder, tmp_path, when, send_group(signal.SIGKILL), *STOPPING) == -9
    done = headrace(*build_command(folder, tmp_path, *STOPPING))
    same(done, undisturbed_stop)
    if when == REGISTERING:
        epochs = undisturbed_stop["metrics"]["epochs"]
        assert f"continuing after epoch {epochs}, where it stopped early" in done.err
        assert not re.search(r"train: epoch \d+ of", done.err.partition("continuing")[2])


def test_ranks_that_start_again_by_themselves(
    folder: Path, undisturbed: dict, tmp_path: Path
) -> None:
    """With --resume never, too, they continue what they began, and nothing older."""
    assert disturb(folder, tmp_path, LATE, send(signal.SIGKILL)) == -9  # an older training
    options = ("--resume", "never", "--set", "train.max_restarts=1")
    workdir = tmp_path
    process = subprocess.Popen(
        [str(BIN / "headrace"), *build_command(folder, workdir, *options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if re.search(r"epoch 3 of", line):
            find_ranks(psutil.Process(process.pid))[1].kill()
            break
    out, rest = process.communicate(timeout=200)
    assert process.returncode == 0, rest
    assert "restarting (1 of 1)" in rest
    assert re.search(r"continuing (in|after) epoch [2-6]\b", rest)
    same(Done(0, out, rest), undisturbed)


SHIM = r"""
#include <errno.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""


def test_a_file_system_without_locks(folder: Path, undisturbed: dict, tmp_path: Path) -> None:
    """A preempted training was taken for one of another process, and began anew for ever."""
    (tmp_path / "shim.c").write_text(SHIM)
    library = tmp_path / "shim.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "shim.c")], check=True
    )
    without = {"LD_PRELOAD": str(library)}
    workdir = tmp_path / "w"
    code = disturb(folder, workdir, MIDDLE, send(signal.SIGTERM), **without)
    assert code == 143
    done = headrace(*build_command(folder, workdir), **without)
    assert re.search(r"continuing (in|after) epoch 1\d", done.err)
    assert "has no locks: run this training in one process at a time" in done.err
    same(done, undisturbed)


def test_a_tracking_server_that_was_never_there(
    folder: Path, undisturbed: dict, tmp_path: Path
) -> None:
    dead = ("--set", "tracking.uri=http://127.0.0.1:9")
    assert disturb(folder, tmp_path, MIDDLE, send(signal.SIGKILL), *dead) == -9
    same(headrace(*build_command(folder, tmp_path)), undisturbed)


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> str:
    """The newest checkpoint of a training that was killed in the middle."""
    workdir = folder / "killed"
    assert disturb(folder, workdir, MIDDLE, send(signal.SIGKILL)) == -9
    return str(max((workdir / "checkpoints").glob("*/*/step-*.ckpt")))


# Setting -> what is said of it.
CHANGED = {
    "train.optimizer.learning_rate=0.2": "train.optimizer.learning_rate is 0.3 there and 0.2 here",
    "train.optimizer.momentum=0.8": "train.optimizer.momentum is 0.9 there and 0.8 here",
    "train.optimizer={kind: adam}": "fit the recipe's optimizer|train.optimizer.kind",
    "train.seed=5": "train.seed is 0 there and 5 here",
    "train.accumulate=1": "train.accumulate is 2 there and 1 here",
    "train.global_batch_size=128": "global_batch_size",
    "train.schedule.patience=3": "train.schedule.patience is 1 there and 3 here",
    "train.early_stopping={metric: accuracy}": "train.early_stopping",
    "train.compression=bf16": 'train.compression is "none" there and "bf16" here',
    "model.hidden=[16, 9]": "fit the recipe's model|model.hidden",
    "model.dropout=0.5": "model.dropout is 0.2 there and 0.5 here",
    "stream.shuffle=false": "stream.shuffle is true there and false here",
    "train.epochs=2": "train.epochs is 40 there and 2 here",
}


@pytest.mark.parametrize("setting", CHANGED)
def test_a_setting_that_changed(
    setting: str, folder: Path, checkpoint: str, tmp_path: Path
) -> None:
    done = headrace(*build_command(folder, tmp_path, "--resume", checkpoint, "--set", setting))
    assert done.code == 1
    assert re.search(CHANGED[setting], done.err)
    assert "Traceback" not in done.err


def test_the_same_settings_or_more_epochs(
    folder: Path, undisturbed: dict, checkpoint: str, tmp_path: Path
) -> None:
    done = headrace(*build_command(folder, tmp_path, "--resume", checkpoint))
    same(done, undisturbed)
    longer = ("--set", "train.epochs=44")
    more = headrace(*build_command(folder, tmp_path / "more", "--resume", checkpoint, *longer))
    same(more, headrace(*build_command(folder, tmp_path / "anew", *longer)).result)
