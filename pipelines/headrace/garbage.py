"""Keep Python's collector of cyclic garbage from going through modules again and again.

Importing a library makes hundreds of thousands of objects that stay; the collector looks through
all of them each time that they have grown by a quarter, and several times more as the interpreter
ends. That was a fifth of the time of `import tensorflow`, a third of MLflow's, and a second at the
end of a command.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# New objects before the youngest are looked through: 700 by default.
_MANY_OBJECTS = 50_000


class _Pauses:
    """Counts the blocks in which collection is paused."""

    def __init__(self) -> None:
        self._lock, self._count, self._was_enabled = threading.Lock(), 0, False

    def begin(self) -> None:
        with self._lock:
            if not self._count:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._count += 1

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count and self._was_enabled:
                gc.enable()


_pauses = _Pauses()


@contextmanager
def pause_collection() -> Iterator[None]:
    """Leave out the collection of garbage for the length of the block, for all threads.

    For imports, and for what makes many objects and few cycles. Blocks may be nested, and in
    several threads: with the last one collection goes on, unless it was off before the first.
    """
    _pauses.begin()
    try:
        yield
    finally:
        _pauses.end()


def collect_rarely() -> None:
    """Have the collector begin less often from now on, in a process that is Headrace's alone.

    What it looks at is the same in the end; a process holds some ten thousand objects more that
    only refer to each other.
    """
    _, *older = gc.get_threshold()
    gc.set_threshold(_MANY_OBJECTS, *older)


def freeze_objects() -> None:
    """Take all objects that exist out of collection: of an own process that has imported what it
    needs, or that is about to end, when the system takes its memory at once."""
    gc.freeze()
