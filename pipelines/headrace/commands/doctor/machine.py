"""The machine: Python, limits, memory, disk, and the name that other hosts know it by."""

import ipaddress
import platform
import resource
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import psutil

from headrace.commands.doctor.finding import Finding, fail, ok, warn

_GIB = 2**30
# Spark's driver takes 3 GiB by default, a rank about 1.
_MEMORY = 6 * _GIB
_DISK_FAIL, _DISK_WARN = _GIB, 10 * _GIB
# Spark keeps a file open for each shuffle block that it merges; each connection of a rank is one.
_FILES = 4096


def python() -> list[Finding]:
    found = f"{platform.python_version()}, {sys.executable}"
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return [ok("python", found)]
    return [fail("python", found, "Petastorm, Horovod and TensorFlow want Python 3.11 or 3.12")]


def limits() -> list[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FILES:
        return [ok("open files", f"{soft:,} a process")]
    can = f"ulimit -n {hard if hard != resource.RLIM_INFINITY else 65536}"
    what = f"{soft:,} a process, {_FILES:,} are wanted for large lakes"
    return [warn("open files", what, f"run {can}")]


def memory() -> list[Finding]:
    memory = psutil.virtual_memory()
    found = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    findings = [
        ok("memory", found)
        if memory.available >= _MEMORY
        else warn(
            "memory", found,
            "Spark's driver takes 3 GiB (spark.conf.spark.driver.memory), a rank about 1 GiB",
        )
    ]  # fmt: skip
    shared = Path("/dev/shm")  # noqa: S108 - its size is looked at
    if shared.exists():
        size = shutil.disk_usage(shared).total
        if size < 64 * 2**20:
            what = f"{shared} has {size / 2**20:.0f} MiB"
            fix = "NCCL wants more: docker run --shm-size=1g"
            findings.append(warn("shared memory", what, fix))
    return findings


def disk(workdir: str) -> list[Finding]:
    found = []
    for name, folder in (("workdir", Path(workdir)), ("temporary", Path(tempfile.gettempdir()))):
        there = _nearest(folder.absolute())
        free = shutil.disk_usage(there).free
        what = f"{free / _GIB:.1f} GiB free in {folder}"
        fix = "shuffle files, datasets and checkpoints go there; free some, or choose another"
        if free < _DISK_FAIL:
            found.append(fail(f"disk, {name}", what, fix))
        elif free < _DISK_WARN:
            found.append(warn(f"disk, {name}", what, fix))
        else:
            found.append(ok(f"disk, {name}", what))
        try:
            with tempfile.TemporaryFile(dir=there) as probe:
                probe.write(b"headrace")
        except OSError as error:
            found.append(
                fail(f"disk, {name}", f"{there} cannot be written to: {error}", "see its rights")
            )
    return found


def host_name() -> list[Finding]:
    """Horovod takes a host's address from its name: a loopback address reaches nobody."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError as error:
        fix = f"add {name} to /etc/hosts or to the name server, with the address others reach"
        return [warn("host name", f"{name} has no address ({error})", fix)]
    if ipaddress.ip_address(address).is_loopback:
        fix = "fine on one machine; ranks on several need the address that others reach"
        return [warn("host name", f"{name} is {address}, a loopback address", fix)]
    return [ok("host name", f"{name} is {address}")]


def _nearest(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder
