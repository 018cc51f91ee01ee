"""Formats of artifacts: older ones are migrated a version at a time, newer ones refused by name."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from headrace.errors import DatasetError
from headrace.formats import FORMATS, Format, describe_invalid

THREE = Format(
    "box",
    current=4,
    oldest=2,
    steps={
        2: lambda tree: {**tree, "width": tree["size"][0], "height": tree["size"][1]},
        3: lambda tree: {k: v for k, v in tree.items() if k != "size"},
    },
)
OLD = {"format_version": 2, "size": [3, 5]}
NEW = {"format_version": 4, "width": 3, "height": 5}


def test_an_older_one_goes_through_every_step_and_stays_as_it_is() -> None:
    old = json.loads(json.dumps(OLD))
    assert THREE.migrate_tree(old, "box.json", DatasetError) == NEW
    assert old == OLD


def test_todays_text_is_not_touched() -> None:
    text = json.dumps(NEW, indent=3)
    assert THREE.migrate_text(text, "box.json", DatasetError) is text
    older = THREE.migrate_text(json.dumps(OLD), "box.json", DatasetError)
    assert json.loads(older) == NEW


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({**NEW, "format_version": 5}, r"box\.json is of format 5, this Headrace knows format 2 to "
         r"4 of a box; a newer Headrace wrote it: update this one"),
        ({"size": [1, 1]}, r"is of format 1, .*; read it with the Headrace that wrote it"),
        ({"format_version": "4"},
         r"box\.json is damaged: got '4', expected the format version of a box"),
        ({"format_version": True}, "is damaged: got True, expected"),
        ({"format_version": 0}, "is damaged: got 0, expected"),
        ([1], "is damaged: got list, expected"),
    ],
)  # fmt: skip
def test_what_it_cannot_read_is_named(tree: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        THREE.migrate_tree(tree, "box.json", DatasetError)


@pytest.mark.parametrize("item", FORMATS, ids=lambda item: item.artifact)
def test_of_every_artifact_the_next_format_is_refused(item: Format) -> None:
    newer = {item.key: item.current + 1, "of_then": 1}
    with pytest.raises(DatasetError, match=f"is of format {item.current + 1}, this Headrace knows"):
        item.migrate_text(json.dumps(newer), "it", DatasetError)
    for version in range(item.oldest, item.current + 1):
        migrated = item.migrate_tree({item.key: version}, "it", DatasetError)
        assert item.read_version(migrated) == item.current


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.integers(1, 10**9))
def test_the_version_in_a_text_is_that_of_its_object(tree: dict, version: int) -> None:
    """Wherever the key stands, and whatever text looks like it."""
    for whole in ({"format_version": version, **tree}, {**tree, "format_version": version}):
        for indent in (None, 1):
            text = json.dumps(whole, indent=indent)
            expected = THREE.read_version(json.loads(text))
            assert THREE.parse_version(text) == expected
            assert THREE.parse_version(text.encode()) == expected


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_what_is_no_json_has_no_version(text: str | bytes) -> None:
    try:
        json.loads(text)
    except ValueError:
        assert THREE.parse_version(text) is None
        assert THREE.migrate_text(text, "it", DatasetError) == text


class _File(BaseModel):
    path: str


class _Artifact(BaseModel):
    files: list[_File]


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({}, "files: Field required"),
        ({"files": [{}]}, "files.0.path: Field required"),
        ([], "Input should be a valid dictionary or instance of _Artifact"),
    ],
)
def test_what_is_invalid_is_named_by_its_path(tree: object, text: str) -> None:
    with pytest.raises(ValidationError) as error:
        _Artifact.model_validate(tree)
    assert describe_invalid(error.value) == text
