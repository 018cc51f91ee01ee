"""The front page of `headrace.lake`: every name that it promises can be imported."""

import pytest

from headrace import lake


@pytest.mark.parametrize("name", lake.__all__)
def test_every_name_is_found_in_its_module(name: str) -> None:
    assert getattr(lake, name).__name__ == name


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match=r"'headrace\.lake' has no attribute 'nothing'"):
        _ = lake.nothing
