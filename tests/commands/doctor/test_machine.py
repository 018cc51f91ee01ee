"""Checks of the machine, with limits, memory, disk and names that are not well."""

import resource
import socket
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from headrace.commands.doctor import machine
from headrace.commands.doctor.finding import State
from tests.commands.doctor.findings import find_finding

GIB = 2**30


class Memory(NamedTuple):
    """The fields of psutil's answer that are read."""

    available: int
    total: int


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ((3, 10, 1), State.FAIL),
        ((3, 11, 0), State.OK),
        ((3, 12, 9), State.OK),
        ((3, 13, 1), State.OK),
        ((3, 14, 0), State.FAIL),
    ],
)
def test_versions_of_python(
    version: tuple[int, int, int], state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    (finding,) = machine.check_python()
    assert finding.state is state
    assert sys.executable in finding.what


@pytest.mark.parametrize(
    ("limits", "state", "fix"),
    [
        ((4096, 4096), State.OK, ""),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), State.OK, ""),
        ((1024, 524288), State.WARN, "run ulimit -n 524288"),
        ((1024, resource.RLIM_INFINITY), State.WARN, "run ulimit -n 65536"),
    ],
)
def test_limits_of_open_files(
    limits: tuple[int, int], state: State, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    (finding,) = machine.check_open_files()
    assert (finding.state, finding.fix) == (state, fix)


def test_the_limit_is_that_of_this_process() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        (finding,) = machine.check_open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert finding.state is State.WARN
    assert finding.what == "1,024 per process; large lakes need 4,096"


@pytest.mark.parametrize(("available", "state"), [(6 * GIB, State.OK), (5 * GIB, State.WARN)])
def test_free_memory(available: int, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: Memory(available, 8 * GIB))
    finding = find_finding(machine.check_memory(), "memory")
    assert finding.state is state
    assert finding.what == f"{available / GIB:.1f} of 8.0 GiB free"


def test_disk_space_and_the_folder_that_will_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workdir = str(tmp_path / "not/yet")
    states = {}
    for threshold in ("_DISK_FAIL", "_DISK_WARN"):
        with monkeypatch.context() as patch:
            patch.setattr(machine, "_DISK_FAIL", 0)
            patch.setattr(machine, "_DISK_WARN", 0)
            assert find_finding(machine.check_disk(workdir), "disk, workdir").state is State.OK
            patch.setattr(machine, threshold, 2**60)
            states[threshold] = find_finding(machine.check_disk(workdir), "disk, workdir").state
    assert states == {"_DISK_FAIL": State.FAIL, "_DISK_WARN": State.WARN}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "state", "text"),
    [
        ("10.0.0.7", State.OK, "node is 10.0.0.7"),
        ("127.0.1.1", State.WARN, "node is 127.0.1.1, a loopback address"),
        (None, State.WARN, "node has no address (unknown host)"),
    ],
)
def test_host_names(
    address: str | None, state: State, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(name: str) -> str:
        if address is None:
            raise socket.gaierror("unknown host")
        return address

    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    monkeypatch.setattr(socket, "gethostbyname", resolve)
    (finding,) = machine.check_host_name()
    assert (finding.state, finding.what) == (state, text)
