"""Folders with Petastorm's pickled metadata are refused, and others are not."""

from pathlib import Path

import pytest

from headrace.errors import StreamError
from headrace.stream.pickled_metadata import refuse_pickled_metadata


def test_pickled_metadata_is_refused(tmp_path: Path) -> None:
    refuse_pickled_metadata(str(tmp_path))
    (tmp_path / "_common_metadata").write_bytes(b"PAR1")
    with pytest.raises(StreamError, match="would run code from the dataset"):
        refuse_pickled_metadata(str(tmp_path))
