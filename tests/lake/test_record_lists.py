"""Lists of records in manifests: every version has its own, shared as far as they agree."""

import json
import re
from pathlib import Path

import pytest

from headrace.errors import ConflictError, DamagedError, DatasetError, RemovedError
from headrace.lake import DatasetVersion, publish_build, record_lists
from headrace.lake.build import LISTS, Build, read_build
from headrace.lake.commit import discard_build, find_published_version
from headrace.lake.manifest_merge import MAX_OPEN
from headrace.lake.predictions import find_newest_predictions, open_predictions
from headrace.lake.record_lists import is_stored
from headrace.lake.source_partition import CrossPartitionDuplicate
from tests.lake.building import SCHEMA, make_build
from tests.lake.nights import (
    make_id,
    make_night,
    make_source_files,
    publish_night,
    score_night,
)
from tests.lake.sidecar_files import rewrite


@pytest.fixture(autouse=True)
def manifests_from_the_first_night_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_lists, "INLINE_BYTES", 0)


def list_manifests(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.jsonl")}


def list_days(build: Build) -> list[str]:
    return [partition.name for partition in build.partitions]


def test_every_version_of_forty_nights_has_its_own_lists(tmp_path: Path) -> None:
    """Each third night the day of two nights before goes; manifests are merged in between."""
    expected: list[set[str]] = []
    days: set[str] = set()
    for night in range(40):
        without = night - 2 if night % 3 == 2 else -1
        publish_night(tmp_path, night, without=without)
        days = (days | {f"day={night:04d}"}) - {f"day={without:04d}"}
        expected.append(days)
    for version, of_version in enumerate(expected):
        build = DatasetVersion.open(str(tmp_path), version).build
        assert list_days(build) == sorted(of_version)
        assert {file.partition for file in build.files} == of_version
        assert build.partitions[0].files == make_source_files(build.partitions[0].name)
        assert build.file_columns == {"ab12": (("row_id", "int64"),)}
        assert build.lists is not None
        assert all(len(refs) <= MAX_OPEN for refs in build.lists.manifests.values())
        if version:
            assert (build.is_partial, build.processed_ledger.read) == (True, 5)
        assert build.ledger.read == 5 * len(of_version)


def test_the_record_itself_has_no_lists_and_says_how_many_there_are(tmp_path: Path) -> None:
    for night in range(3):
        publish_night(tmp_path, night)
    tree = json.loads((tmp_path / "_headrace" / make_id(2) / "build.json").read_text())
    assert not {kind.name for kind in LISTS} & tree.keys()
    assert tree["lists"]["counts"] == {
        "files": 3, "partitions": 3, "lookups": 0, "file_columns": 1, "crossings": 0,
    }  # fmt: skip
    builds = [ref["build_id"] for ref in tree["lists"]["manifests"]["files"]]
    assert builds == [make_id(0), make_id(1), make_id(2)]


def test_lists_are_read_when_they_are_asked_for_and_no_others(tmp_path: Path) -> None:
    publish_night(tmp_path, 0)
    build = read_build(str(tmp_path), make_id(0))
    for path in tmp_path.rglob("source-*.jsonl"):
        path.unlink()
    assert is_stored(build.partitions)
    assert len(build.files) == 1
    with pytest.raises(RemovedError, match=r"source-[0-9a-f]{64}\.jsonl is missing"):
        len(build.partitions)
    with pytest.raises(RemovedError, match=r"source-[0-9a-f]{64}\.jsonl is missing"):
        build.model_dump()


def test_short_lists_lie_in_the_record_until_they_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_lists, "INLINE_BYTES", 1500)
    for night in range(4):
        publish_night(tmp_path, night)
    texts = [
        json.loads((tmp_path / "_headrace" / make_id(night) / "build.json").read_text())
        for night in range(4)
    ]
    assert ["files" in tree for tree in texts] == [True, True, False, False]
    assert [len(DatasetVersion.open(str(tmp_path), v).build.files) for v in range(4)] == [
        1,
        2,
        3,
        4,
    ]


def test_all_lists_come_back_as_they_were_written(tmp_path: Path) -> None:
    files = make_source_files("t")
    crossings = (CrossPartitionDuplicate(loser="day=2", winner="day=1"),)
    lookups = {"empty": (), "planes": files}
    columns = {"ab12": (("tags", {"list": "string"}), ("at", {"struct": [["x", "int64"]]}))}
    build = make_build(tmp_path, "one").model_copy(
        update={"lookups": lookups, "crossings": crossings, "file_columns": columns}
    )
    publish_build(str(tmp_path), build, SCHEMA, "{}")
    found = DatasetVersion.open(str(tmp_path)).build
    assert (found.lookups, found.crossings) == (lookups, crossings)
    assert (found.files, found.partitions) == (build.files, ())
    assert found.file_columns == {
        "ab12": (("tags", {"list": "string"}), ("at", {"struct": [["x", "int64"]]}))
    }
    assert found.model_dump()["lookups"]["planes"][0] == files[0].model_dump()
    without = found.model_copy(update={"build_id": "two", "lookups": {"planes": files[:1]}})
    without = without.model_copy(update={"base": 0, "files": make_build(tmp_path, "two").files})
    publish_build(str(tmp_path), without, SCHEMA, "{}", like=found)
    assert DatasetVersion.open(str(tmp_path)).build.lookups == {"planes": files[:1]}
    assert DatasetVersion.open(str(tmp_path), 0).build.lookups == lookups


def test_a_version_that_is_published_again_writes_no_manifest(tmp_path: Path) -> None:
    for night in range(3):
        publish_night(tmp_path, night)
    origin = DatasetVersion.open(str(tmp_path), 1).build
    before = list_manifests(tmp_path)
    again = origin.model_copy(
        update={"build_id": "again", "transform_of": make_id(0), "base": 2, "restored": 1}
    )
    publish_build(str(tmp_path), again, SCHEMA, "{}", like=origin)
    assert list_manifests(tmp_path) == before
    found = DatasetVersion.open(str(tmp_path)).build
    assert list_days(found) == ["day=0000", "day=0001"]
    assert (found.is_partial, found.processed_ledger.read) == (True, 0)


def test_of_a_build_like_none_no_older_manifest_is_named(tmp_path: Path) -> None:
    """So what was erased is in no manifest of the version."""
    publish_night(tmp_path, 0)
    base = DatasetVersion.open(str(tmp_path))
    build = make_night(tmp_path, 1, base, without=0)
    publish_build(str(tmp_path), build, SCHEMA, "{}")
    lists = DatasetVersion.open(str(tmp_path)).build.lists
    assert lists is not None
    refs = [ref for refs in lists.manifests.values() for ref in refs]
    assert {ref.build_id for ref in refs} == {make_id(1)}
    assert not any("day=0000" in (tmp_path / ref.path).read_text() for ref in refs)


def test_a_manifest_that_vacuum_took_meanwhile_ends_the_build_before_its_commit(
    tmp_path: Path,
) -> None:
    publish_night(tmp_path, 0)
    base = DatasetVersion.open(str(tmp_path))
    build = make_night(tmp_path, 1, base)
    _ = base.build.partitions[0], base.build.file_columns["ab12"]  # they are read
    next(tmp_path.rglob("source-*.jsonl")).unlink()
    with pytest.raises(DatasetError, match=r"source-.*\.jsonl is missing here"):
        publish_build(str(tmp_path), build, SCHEMA, "{}", like=base.build)
    assert DatasetVersion.open(str(tmp_path)).version == 0


def test_manifests_of_a_build_that_came_second_go_with_it(tmp_path: Path) -> None:
    publish_night(tmp_path, 0)
    base = DatasetVersion.open(str(tmp_path))
    builds = [make_night(tmp_path, night, base) for night in (1, 2)]
    publish_build(str(tmp_path), builds[0], SCHEMA, "{}", like=base.build)
    before = list_manifests(tmp_path)
    with pytest.raises(ConflictError):
        publish_build(str(tmp_path), builds[1], SCHEMA, "{}", like=base.build)
    assert list_manifests(tmp_path) > before
    discard_build(str(tmp_path), make_id(2))
    discard_build(str(tmp_path), make_id(1))  # was published
    assert list_manifests(tmp_path) == before
    assert list_days(DatasetVersion.open(str(tmp_path)).build) == ["day=0000", "day=0001"]


def test_a_record_whose_manifests_have_another_number_of_rows_is_damaged(tmp_path: Path) -> None:
    publish_night(tmp_path, 0)
    path = tmp_path / "_headrace" / make_id(0) / "build.json"
    tree = json.loads(path.read_text())
    tree["lists"]["counts"]["files"] = 2
    rewrite(path, json.dumps(tree))
    with pytest.raises(DamagedError, match=r"its manifests have 1 files, and it says 2"):
        DatasetVersion.open(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"list":"files","key":["../x"],"row":{}}', r"its files are damaged .*path"),
        ('{"list":"files","key":["a","b"],"row":{}}', r"its files are damaged"),
        ('{"list":"files","key":["a"],"row":[1]}', r"its files are damaged"),
        ('{"list":"rivers","key":["a"],"row":{}}', "lists that this Headrace does not know: riv"),
    ],
)
def test_rows_that_are_no_rows_are_damaged(tmp_path: Path, text: str, message: str) -> None:
    """Whoever can write a dataset can write a checksum too."""
    import hashlib

    publish_night(tmp_path, 0)
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = tmp_path / "_headrace" / make_id(0)
    (folder / f"files-{digest}.jsonl").write_text(text)
    tree = json.loads((folder / "build.json").read_text())
    tree["lists"]["manifests"]["files"][0]["name"] = f"files-{digest}.jsonl"
    rewrite(folder / "build.json", json.dumps(tree))
    with pytest.raises(DamagedError, match=message):
        DatasetVersion.open(str(tmp_path))


def test_predictions_of_twenty_nights_share_their_manifests(tmp_path: Path) -> None:
    records = [score_night(tmp_path, night) for night in range(20)]
    for version, record in enumerate(records):
        _, found = open_predictions(str(tmp_path), version)
        assert (found.files, found.partitions) == (record.files, record.partitions)
        assert (found.ledger, found.processed_ledger) == (record.ledger, record.processed_ledger)
        assert found.file_columns == record.file_columns
    newest = find_newest_predictions(str(tmp_path))
    assert newest is not None
    assert newest[1].lists is not None
    assert len(newest[1].lists.manifests["files"]) == 4  # 17 are one, and three after it


def test_builds_are_found_by_their_ids_also_by_those_that_an_older_headrace_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.lake import delta

    with monkeypatch.context() as older:
        older.setattr(delta, "_count_version", lambda _: 1)
        older.setattr(delta, "find_committed_version", lambda *_: 0)
        publish_night(tmp_path, 0, given_id="monday")
    for night, given_id in enumerate(["tuesday", "wednesday"], 1):
        publish_night(tmp_path, night, given_id=given_id)
    ids = ["monday", "tuesday", "wednesday", "thursday"]
    assert [find_published_version(str(tmp_path), name) for name in ids] == [0, 1, 2, None]
    (tmp_path / "_headrace" / make_id(2) / "build.json").unlink()
    with pytest.raises(DatasetError, match="published as 'wednesday', and its version was removed"):
        find_published_version(str(tmp_path), "wednesday")


def test_lists_are_read_without_headrace_by_the_program_of_the_docs(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for night in range(20):
        publish_night(tmp_path, night, without=night - 2 if night % 3 == 2 else -1)
    page = (Path(__file__).parents[2] / "docs/outlives.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program = next(text for text in programs if "row_groups = {}" in text)
    names = {"json": json, "Path": Path, "pq": pq, "dataset": tmp_path, "build_id": make_id(19)}
    exec(program, names)
    expected = {
        f.path: (list(f.row_groups),) * 2 for f in read_build(str(tmp_path), make_id(19)).files
    }
    assert names["row_groups"] == expected
    assert names["accounted"] == names["ledger"]["read"]  # type: ignore[index]
