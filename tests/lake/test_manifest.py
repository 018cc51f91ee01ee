"""Manifests: lines are applied in order, names are checksums, and damage is named."""

import hashlib
import json
from pathlib import Path

import pytest

from headrace.errors import DamagedError, RemovedError
from headrace.lake import manifest
from headrace.lake.manifest import (
    Change,
    ManifestRef,
    Rows,
    apply_changes,
    is_manifest,
    merge_changes,
    pack_changes,
    parse_changes,
    read_changes,
)

PUT_A, PUT_B = Change("files", ("a",), {"rows": 1}), Change("files", ("b",), {"rows": 2})
DROP_A = Change("files", ("a",), None)


def write(root: Path, *changes: Change, build_id: str = "one") -> ManifestRef:
    ((ref, content),) = pack_changes("files", changes, build_id, 0)
    path = root / ref.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return ref


def test_a_manifest_is_json_lines_named_by_their_checksum() -> None:
    ((ref, content),) = pack_changes("files", [PUT_A, DROP_A], "one", 2)
    assert [json.loads(line) for line in content.splitlines()] == [
        {"list": "files", "key": ["a"], "row": {"rows": 1}},
        {"list": "files", "key": ["a"], "row": None},
    ]
    assert ref.name == f"files-{hashlib.sha256(content).hexdigest()}.jsonl"
    assert (ref.bytes, ref.lines, ref.level) == (len(content), 2, 2)
    assert ref.path == f"_headrace/one/{ref.name}"
    assert parse_changes(content) == [PUT_A, DROP_A]


def test_texts_stay_as_they_are_so_that_they_can_be_searched_for() -> None:
    ((_, content),) = pack_changes("source", [Change("partitions", ("name=Müller\n",), {})], "b", 0)
    assert "name=Müller".encode() in content
    assert parse_changes(content)[0].key == ("name=Müller\n",)


def test_what_is_too_long_for_one_manifest_is_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_BYTES", 100)
    changes = [Change("files", (f"{number}",), {"rows": number}) for number in range(5)]
    packed = pack_changes("files", changes, "one", 0)
    assert [ref.lines for ref, _ in packed] == [2, 2, 1]
    assert [c for _, content in packed for c in parse_changes(content)] == changes


def test_the_last_line_of_a_key_counts() -> None:
    rows: Rows = {}
    apply_changes(rows, [PUT_A, PUT_B, DROP_A, Change("files", ("b",), {"rows": 3})])
    assert rows == {"files": {("b",): {"rows": 3}}}
    apply_changes(rows, [DROP_A])  # of what is not there
    assert rows == {"files": {("b",): {"rows": 3}}}


@pytest.mark.parametrize(("is_whole", "left"), [(True, [PUT_B]), (False, [DROP_A, PUT_B])])
def test_a_removal_is_kept_only_where_something_is_before_it(
    is_whole: bool, left: list[Change]
) -> None:
    assert merge_changes([PUT_A, PUT_B, DROP_A], is_whole=is_whole) == left


def test_manifests_are_read_in_their_order(tmp_path: Path) -> None:
    refs = [write(tmp_path, PUT_A, PUT_B), write(tmp_path, DROP_A, build_id="two")]
    assert read_changes(str(tmp_path), refs) == [[PUT_A, PUT_B], [DROP_A]]


def test_a_manifest_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    ref = write(tmp_path, PUT_A)
    path = tmp_path / ref.path
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(DamagedError, match=rf"{ref.name} is damaged: it is not the file that was"):
        read_changes(str(tmp_path), [ref])
    path.unlink()
    with pytest.raises(RemovedError, match=rf"_headrace/one/{ref.name} is missing.*vacuum"):
        read_changes(str(tmp_path), [ref])


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"list": "files"}', b'{"list":1,"key":5}'])
def test_a_manifest_that_is_no_manifest_is_damaged(tmp_path: Path, content: bytes) -> None:
    name = f"files-{hashlib.sha256(content).hexdigest()}.jsonl"
    ref = ManifestRef(build_id="one", name=name, bytes=len(content), lines=1, level=0)
    with pytest.raises(DamagedError, match="is damaged or of another Headrace"):
        read_changes(str(tmp_path), [ref], {name: content})


@pytest.mark.parametrize(
    "name", ["../x.jsonl", "files-0.jsonl", f"files-{'0' * 64}.json", "", "a/b"]
)
def test_a_name_is_that_of_a_manifest(name: str) -> None:
    assert not is_manifest(name)
    with pytest.raises(ValueError, match="is no name of a manifest"):
        ManifestRef(build_id="one", name=name, bytes=0, lines=0, level=0)
