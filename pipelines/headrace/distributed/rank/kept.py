"""Run tasks of ranks one after the other: `python -m headrace.distributed.rank.kept TASKS EVENTS
PARENT MODULE...`.

`supervise/kept_ranks.py` starts this process, which imports what ranks need (TensorFlow, and the
modules) while other work goes on. The folder of each task comes as a line through file descriptor
TASKS; what happens in it is described in `main.py`. After a task whose function has returned, an
empty line goes to descriptor EVENTS and `done` is in the folder; after any other this process ends.
"""

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from headrace.distributed.rank.import_tensorflow import import_tensorflow
from headrace.distributed.rank.main import end_on_failure, prepare_process, run_task
from headrace.distributed.rank_folder import RankFolder
from headrace.garbage import freeze_objects, pause_collection
from headrace.output import guard_output
from headrace.quiet import silence_imports
from headrace.signals import raise_on_termination
from headrace.work_note import VARIABLE


def main(arguments: list[str]) -> int:
    tasks, events, parent = (int(word) for word in arguments[:3])
    prepare_process(parent)
    try:
        import_tensorflow()
        with silence_imports(), pause_collection():
            for name in arguments[3:]:
                importlib.import_module(name)
    except Exception:
        # A rank that is started for a task fails over the same, and reports it.
        return 1
    freeze_objects()
    with (
        os.fdopen(tasks, encoding="utf-8") as lines,
        os.fdopen(events, "w", encoding="utf-8", buffering=1) as stream,
    ):
        for line in lines:
            _run_task(RankFolder(Path(line.rstrip("\n"))), stream)
    freeze_objects()
    return 0


def _run_task(folder: RankFolder, stream: TextIO) -> None:
    with end_on_failure(folder), guard_output():
        with raise_on_termination(), _restore_environment():
            os.environ[VARIABLE] = str(folder.path / "work")
            run_task(folder, stream)
        _reset_keras()
        stream.write("\n")
        folder.mark_done()


@contextmanager
def _restore_environment() -> Iterator[None]:
    """Restore the variables that a task has set for itself."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _reset_keras() -> None:
    """Bring Keras to where it was when it was imported: names, precision, what nobody refers to."""
    import keras

    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session()
    gc.collect()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
