"""What libraries write to standard error at import is kept away, unless the import fails."""

import logging
import os
import signal
import subprocess
import warnings
from pathlib import Path

import pytest

from headrace.quiet import (
    ignore_warnings,
    keep_interrupt_handler,
    open_log,
    silence_imports,
    silence_py4j,
)


def test_a_block_that_ends_well_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with silence_imports():
            os.write(2, b"a notice of a C++ core\n")
            warnings.warn("deprecated", stacklevel=1)
        os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
    assert caught == []


def test_a_block_that_fails_shows_what_was_written(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), silence_imports():
        os.write(2, b"no libcuda\n")
        raise ImportError
    assert capfd.readouterr().err == "no libcuda\n"


def test_a_childs_standard_error_goes_to_the_end_of_a_log_of_this_user_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    for word in ("first", "second"):
        descriptor = open_log(str(path))
        subprocess.run(["sh", "-c", f"echo {word} >&2"], stderr=descriptor, check=True)
        os.close(descriptor)
    assert path.read_text() == "first\nsecond\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_blocks_that_ignore_warnings_may_overlap_and_undo_nothing_else() -> None:
    """As blocks of two threads do: the one that began first ends first."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = ignore_warnings(), ignore_warnings()
        first.__enter__()
        second.__enter__()
        warnings.filterwarnings("ignore", "of another thread")
        first.__exit__(None, None, None)
        warnings.warn("a deprecation", stacklevel=1)  # ignored yet
        second.__exit__(None, None, None)
        warnings.warn("of another thread", stacklevel=1)
        with pytest.raises(UserWarning, match="a deprecation"):
            warnings.warn("a deprecation", stacklevel=1)


def test_who_ignores_warnings_already_goes_on_ignoring_them() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ignore_warnings(), ignore_warnings():
            pass
        assert ("ignore", None, Warning, None, 0) in warnings.filters


def test_py4j_logs_nothing_by_the_root_logger_and_others_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As it does by `logging.exception` where Ctrl-C interrupts a call of the JVM."""
    filters = list(logging.getLogger().filters)
    for item in filters:  # another test may have started Spark in this process
        logging.getLogger().removeFilter(item)
    try:
        silence_py4j()
        silence_py4j()
        assert len(logging.getLogger().filters) == 1
        text = "import logging; logging.error('KeyboardInterrupt while sending command.')"
        exec(compile(text, "/lib/site-packages/py4j/java_gateway.py", "exec"))
        logging.error("of another")
    finally:
        logging.getLogger().filters[:] = filters
    assert caplog.messages == ["of another"]


def test_what_ctrl_c_does_is_what_it_did_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with keep_interrupt_handler():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is before
