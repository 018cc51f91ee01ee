"""Note which file a process works on, where whoever looks for the cause of its crash can read it.

A library that crashes over a damaged file leaves no error, and so no name of the file. Ranks note
it in memory that their supervisor shares (a file that `HEADRACE_WORK_FILE` names); Spark's Python
workers in the file of their fault handler, whose text Spark puts into its own error.
"""

import contextlib
import mmap
import os
import threading
from pathlib import Path

VARIABLE = "HEADRACE_WORK_FILE"
_SPARK_VARIABLE = "PYTHON_FAULTHANDLER_DIR"
# One slot for each thread that reads; the threads of a pool are few.
_SLOTS, _SLOT_BYTES = 16, 512
_shared: dict[str, mmap.mmap] = {}
_slots: dict[int, int] = {}
_spark_descriptors: dict[str, int] = {}


def note_work(text: str) -> None:
    """Note what this thread works on from now on; "" for nothing.

    Costs a copy into memory, and does nothing outside of ranks and workers. It never fails.

    Args:
        text: normally the path of a file.
    """
    path = os.environ.get(VARIABLE)
    if path:
        with contextlib.suppress(OSError, ValueError):
            slot = _slots.setdefault(threading.get_ident(), len(_slots)) % _SLOTS
            content = text.encode(errors="surrogateescape")[:_SLOT_BYTES].ljust(_SLOT_BYTES, b"\0")
            _open_shared(path)[slot * _SLOT_BYTES : (slot + 1) * _SLOT_BYTES] = content
    elif os.environ.get(_SPARK_VARIABLE):
        with contextlib.suppress(OSError, ValueError):
            _note_for_spark(text)


def read_work(file: Path) -> list[str]:
    """Read what the threads of a process noted last, from the file that it was given."""
    try:
        content = file.read_bytes()
    except OSError:
        return []
    slots = [content[at : at + _SLOT_BYTES] for at in range(0, len(content), _SLOT_BYTES)]
    texts = (slot.rstrip(b"\0").decode(errors="replace") for slot in slots)
    return sorted({text for text in texts if text})


def _open_shared(path: str) -> mmap.mmap:
    if path not in _shared:
        with Path(path).open("a+b") as file:
            file.truncate(_SLOTS * _SLOT_BYTES)
            _shared[path] = mmap.mmap(file.fileno(), _SLOTS * _SLOT_BYTES)
    return _shared[path]


def _note_for_spark(text: str) -> None:
    """Write the note where Spark's fault handler, which is opened anew for every task, begins."""
    wanted = str(Path(os.environ[_SPARK_VARIABLE]) / str(os.getpid()))
    descriptor = _spark_descriptors.get(wanted)
    if descriptor is None or not _is_open_at(descriptor, wanted):
        numbers = (int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
        descriptor = next((n for n in numbers if _is_open_at(n, wanted)), None)
        if descriptor is None:
            return
        _spark_descriptors[wanted] = descriptor
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.ftruncate(descriptor, 0)
    if text:
        os.write(descriptor, f"It was at work on {text}\n".encode(errors="surrogateescape"))


def _is_open_at(descriptor: int, path: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}") == path  # noqa: PTH115
    except OSError:
        return False
