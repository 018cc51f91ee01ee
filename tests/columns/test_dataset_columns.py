"""Names of the columns that hold raw values: valid in a Delta table, and each given once."""

import re

from hypothesis import given
from hypothesis import strategies as st

from headrace.columns.dataset_columns import RESERVED_NAMES, name_raw_columns
from headrace.columns.person_key import PersonKey


def test_names_are_those_of_the_columns_where_that_is_possible() -> None:
    taken = ("raw_wind", "kept_raw_x", "RAW_SIN")
    columns = ("wind", "Wind", "sin", "Höhe (m)", "Höhe [m]", "x y", "label")
    assert name_raw_columns(columns, taken) == {
        "wind": "raw_wind_2",
        "Wind": "raw_Wind_3",
        "sin": "raw_sin_2",
        "Höhe (m)": "raw_H_he__m_",
        "Höhe [m]": "raw_H_he__m__2",
        "x y": "raw_x_y",
        "label": "raw_label",
    }


@given(st.lists(st.text(min_size=1, max_size=6), unique=True), st.lists(st.text(max_size=6)))
def test_no_name_is_given_twice(columns: list[str], taken: list[str]) -> None:
    taken = [*taken, *(f"raw_{name}" for name in taken)]
    names = name_raw_columns(columns, taken)
    assert list(names) == columns
    lowered = [name.lower() for name in (*names.values(), *taken, *RESERVED_NAMES)]
    assert len({*lowered}) == len({n.lower() for n in taken} | RESERVED_NAMES) + len(columns)
    assert all(re.fullmatch("[A-Za-z0-9_]+", name) for name in names.values())


def test_a_person_is_found_by_every_name_that_a_column_has() -> None:
    key = PersonKey({"person id": "7"})
    for name in ("person id", "kept_person id", "raw_person_id"):
        assert key.find_columns(["row_id", name]) == {name: "7"}
    assert key.find_columns(["row_id", "person"]) is None
