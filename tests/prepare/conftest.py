"""A lake of three days."""

from pathlib import Path

import pytest

from tests.prepare.daily import write_day, write_places


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three days."""
    write_places(tmp_path)
    for day in (1, 2, 3):
        write_day(tmp_path, day)
    return tmp_path
