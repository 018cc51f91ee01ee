"""Wait for a command's end, then end its processes and remove its folders: the guard's process.

It is run as text, by a Python without its site packages: standard library only. Arguments are the
variable of the environment that marks the command's processes (`NAME=VALUE`), and the process id of
the command. Standard input has folders to remove, each with a NUL behind it.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time

_PARENT_SECONDS = 0.5
_END_SECONDS = 15.0


def main(marker: str, parent: int) -> None:
    """Wait until the command has closed its end of standard input, or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    received = b""
    while True:
        # A process that the command forked may hold the pipe open: the parent tells.
        if select.select([0], [], [], _PARENT_SECONDS)[0]:
            part = os.read(0, 65536)
            if not part:
                break
            received += part
        elif os.getppid() != parent:
            break
    deadline = time.monotonic() + _END_SECONDS
    while end_processes(marker) and time.monotonic() < deadline:
        time.sleep(0.01)
    for folder in received.split(b"\0")[:-1]:
        shutil.rmtree(folder, ignore_errors=True)


def end_processes(marker: str) -> int:
    """Kill every process whose environment has the marker; returns how many there were."""
    wanted = marker.encode()
    count = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:  # noqa: PTH112, PTH208
        if not name.isdigit() or int(name) == os.getpid() or not has_marker(name, wanted):
            continue
        with contextlib.suppress(OSError):
            count += 1
            descriptor = os.pidfd_open(int(name))
            try:
                # Another process may have got the number meanwhile, and none can after this.
                if has_marker(name, wanted):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)
    return count


def has_marker(name: str, wanted: bytes) -> bool:
    """Return whether the environment that a process was started with has the marker."""
    try:
        with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
            return wanted in file.read().split(b"\0")
    except OSError:  # it is gone, or of another user
        return False


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
