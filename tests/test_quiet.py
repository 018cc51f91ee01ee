"""What libraries write to standard error at import is kept away, unless the import fails."""

import os
import subprocess
import warnings
from pathlib import Path

import pytest

from headrace.quiet import redirect_stderr, silence_imports


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


def test_standard_error_goes_to_the_end_of_a_file_also_that_of_a_child(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    with redirect_stderr(str(path)):
        os.write(2, b"within\n")
        child = subprocess.Popen(["sh", "-c", "read line; echo child >&2"], stdin=subprocess.PIPE)
    os.write(2, b"afterwards\n")
    child.communicate(b"\n")
    assert path.read_text() == "before\nwithin\nchild\n"
    assert capfd.readouterr().err == "afterwards\n"


def test_blocks_of_two_threads_may_overlap(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The one that began first ends first, and must not bring back what it began with."""
    path = tmp_path / "log"
    first, second = silence_imports(), redirect_stderr(str(path))
    filters = list(warnings.filters)
    first.__enter__()
    second.__enter__()
    warnings.filterwarnings("ignore", "of another thread")
    first.__exit__(None, None, None)
    os.write(2, b"within\n")
    second.__exit__(None, None, None)
    os.write(2, b"afterwards\n")
    assert path.read_text() == "within\n"
    assert capfd.readouterr().err == "afterwards\n"
    added = [item for item in warnings.filters if item not in filters]
    assert [str(item[1]) for item in added] == [str(added[0][1])]
    assert "of another thread" in str(added[0][1])
    warnings.filters.remove(added[0])
