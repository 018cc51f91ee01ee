"""Keep the output of libraries at import away from the person who runs the pipeline.

TensorFlow writes its oneDNN and CUDA notices to file descriptor 2 before any log level is read, and
pyspark's launcher does the same; redirecting the descriptor is the only way. What was captured is
shown after all when the block fails, because it may have the cause.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence_imports() -> Iterator[None]:
    """Capture file descriptor 2 and ignore Python warnings for the length of the block.

    Not safe while other threads write to standard error: their lines are dropped too.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
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
                captured.seek(0)
                os.write(2, captured.read())


@contextmanager
def redirect_stderr(path: str) -> Iterator[None]:
    """Send file descriptor 2 to the end of `path` for the length of the block.

    A file that is made is for this user alone: it may come to have addresses and rows. A child
    process that is started in the block keeps writing there afterwards.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(target)
