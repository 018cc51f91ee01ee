"""Check the machine: Python, limits, memory, disk, and the name that other hosts know it by."""

import ipaddress
import os
import platform
import pwd
import resource
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import psutil

from headrace.commands.doctor.finding import Finding, report_failure, report_ok, report_warning
from headrace.errors import MachineError
from headrace.guard import find_usual_temporary_folder
from headrace.spark_gateway import forbids_execution
from headrace.spark_session import check_user

_GIB = 2**30
# Spark's driver takes 3 GiB by default, a rank about 1.
_MEMORY_WARN = 6 * _GIB
_DISK_FAIL, _DISK_WARN = _GIB, 10 * _GIB
# Spark keeps a file open for each shuffle block that it merges, and a rank one for each connection.
_OPEN_FILES_WARN = 4096


def check_python() -> list[Finding]:
    """Check the version of Python."""
    text = f"{platform.python_version()}, {sys.executable}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return [report_ok("python", text)]
    return [report_failure("python", text, "headrace needs Python 3.11 to 3.13")]


def check_open_files() -> list[Finding]:
    """Check how many files a process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES_WARN:
        return [report_ok("open files", f"{soft:,} per process")]
    command = f"ulimit -n {hard if hard != resource.RLIM_INFINITY else 65536}"
    text = f"{soft:,} per process; large lakes need {_OPEN_FILES_WARN:,}"
    return [report_warning("open files", text, f"run {command}")]


def check_memory() -> list[Finding]:
    """Check the free memory, and the size of shared memory where there is some."""
    memory = psutil.virtual_memory()
    text = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    findings = [
        report_ok("memory", text)
        if memory.available >= _MEMORY_WARN
        else report_warning(
            "memory", text,
            "Spark's driver takes 3 GiB (spark.conf.spark.driver.memory), a rank about 1 GiB",
        )
    ]  # fmt: skip
    shared = Path("/dev/shm")  # noqa: S108 - only its size is read
    if shared.exists():
        size = shutil.disk_usage(shared).total
        if size < 64 * 2**20:
            size_text = f"{shared} has {size / 2**20:.0f} MiB"
            fix = "NCCL needs more: docker run --shm-size=1g"
            findings.append(report_warning("shared memory", size_text, fix))
    return findings


def check_disk(workdir: str) -> list[Finding]:
    """Check free space and permission to write, of the workdir and of temporary files."""
    findings = []
    for name, folder in (
        ("workdir", Path(workdir)),
        ("temporary", Path(find_usual_temporary_folder())),
    ):
        existing_folder = _find_existing_folder(folder.absolute())
        free = shutil.disk_usage(existing_folder).free
        text = f"{free / _GIB:.1f} GiB free in {folder}"
        fix = "shuffle files, datasets and checkpoints go there; free some, or use another folder"
        if free < _DISK_FAIL:
            findings.append(report_failure(f"disk, {name}", text, fix))
        elif free < _DISK_WARN:
            findings.append(report_warning(f"disk, {name}", text, fix))
        else:
            findings.append(report_ok(f"disk, {name}", text))
        try:
            with tempfile.TemporaryFile(dir=existing_folder) as probe:
                probe.write(b"headrace")
        except OSError as error:
            findings.append(
                report_failure(
                    f"disk, {name}",
                    f"{existing_folder} cannot be written to: {error}",
                    "check its permissions",
                )
            )
    return findings


def check_user_name() -> list[Finding]:
    """Check that this process's user has a name: Java knows no other."""
    try:
        check_user()
    except MachineError as error:
        text, _, fix = str(error).partition("; ")
        return [report_failure("user", text, fix)]
    return [report_ok("user", pwd.getpwuid(os.getuid()).pw_name)]


def check_executable_folder(workdir: str) -> list[Finding]:
    """Check that Java can load libraries from the folder of temporary files."""
    folder = find_usual_temporary_folder()
    if not forbids_execution(folder):
        return [report_ok("libraries", f"{folder} may hold what Java executes")]
    existing_folder = str(_find_existing_folder(Path(workdir).absolute()))
    if forbids_execution(existing_folder):
        text = f"neither {folder} nor {workdir} may hold what Java executes (noexec)"
        fix = "name a --workdir on a file system without noexec, or set TMPDIR to one"
        return [report_failure("libraries", text, fix)]
    text = f"{folder} may not hold what Java executes (noexec); {workdir} is used in its place"
    return [report_ok("libraries", text)]


def check_host_name() -> list[Finding]:
    """Check that the host's name has an address that other hosts can reach.

    Horovod takes a host's address from its name: a loopback address reaches nobody.
    """
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError as error:
        fix = f"add {name} to /etc/hosts or to DNS, with the address that other hosts reach"
        return [report_warning("host name", f"{name} has no address ({error})", fix)]
    if ipaddress.ip_address(address).is_loopback:
        fix = "fine on one machine; ranks on several need the address that others reach"
        return [report_warning("host name", f"{name} is {address}, a loopback address", fix)]
    return [report_ok("host name", f"{name} is {address}")]


def _find_existing_folder(folder: Path) -> Path:
    """Return the folder, or the first one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
