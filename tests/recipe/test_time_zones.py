"""Names of time zones in a recipe."""

import pytest
from pydantic import ValidationError

from headrace.recipe.feature_sections import TimePart


def make(name: str) -> TimePart:
    return TimePart(kind="time_part", columns=["t"], part="hour", time_zone=name)


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT-14"]
)
def test_names_of_the_database(name: str) -> None:
    assert make(name).time_zone == name


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("Europe/Berlln", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("localtime", "write one such as Europe/Berlin"),  # whatever the machine's zone is
        ("Factory", ""),
        ("../../etc/passwd", ""),
        ("/etc/localtime", ""),
        ("Europe", ""),  # a folder of the database
        ("+02:00", "write one such as Europe/Berlin"),
        ("", ""),
        ("Europe/Berlin\x00", ""),
    ],
)
def test_other_names_are_refused(name: str, fix: str) -> None:
    with pytest.raises(ValidationError, match="a time zone of the IANA database") as caught:
        make(name)
    assert fix in str(caught.value)
