"""Keep what libraries print at import away from the person who runs the pipeline.

TensorFlow writes its oneDNN and CUDA notices to file descriptor 2 before any log level is read, and
pyspark's launcher does the same; redirecting the descriptor is the only way. What was caught is
shown after all when the block fails, because then it may hold the cause.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_import() -> Iterator[None]:
    """Catch file descriptor 2 and Python warnings for the length of the block.

    Not safe while other threads write to standard error: their lines are dropped too.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        failed = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            if failed:
                caught.seek(0)
                os.write(2, caught.read())


@contextmanager
def stderr_to_file(path: str) -> Iterator[None]:
    """Send file descriptor 2 to the end of `path` for the length of the block.

    A child process started inside the block keeps writing there after it.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(target, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(target)
