"""Publishing and opening dataset versions, on real Delta tables."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import DatasetError, UnreachableError
from headrace.lake import DataFile, DatasetVersion, publish_build
from headrace.lake.data_file import SplitName
from headrace.lake.newest_table import open_newest_table
from headrace.lake.profile import Distribution, FileTally, Profile, RawColumnProfile
from headrace.lake.version import find_newest_version
from tests.lake.building import SCHEMA, make_build, make_increment, publish_first_version
from tests.lake.sidecar_files import rewrite


def test_versions_are_numbered_and_old_ones_stay_readable(tmp_path: Path) -> None:
    root = str(tmp_path / "ds")
    assert publish_build(root, make_build(tmp_path / "ds", "one", 10), SCHEMA, "{}") == 0
    second = make_build(tmp_path / "ds", "two", 20, base=0, transform='{"x":1}')
    assert publish_build(root, second, SCHEMA, '{"x":1}') == 1
    newest, old = DatasetVersion.open(root), DatasetVersion.open(root, 0)
    assert (newest.version, newest.count_rows("train"), newest.transform_json) == (1, 20, '{"x":1}')
    assert (old.version, old.count_rows("train"), old.build.build_id) == (0, 10, "one")
    assert old.digest != newest.digest
    # any Delta reader sees the pinned rows too
    assert DeltaTable(root, version=0).count() == 10
    assert DeltaTable(root).count() == 20


def test_the_digest_depends_on_rows_and_transform_not_on_names(tmp_path: Path) -> None:
    roots = [tmp_path / "a", tmp_path / "b"]
    for root, build_id in zip(roots, ["one", "other"], strict=True):
        publish_build(str(root), make_build(root, build_id), SCHEMA, "{}")
    a, b = (DatasetVersion.open(str(root)) for root in roots)
    assert a.build.build_id != b.build.build_id
    assert a.digest == b.digest


def test_a_version_that_is_not_there_names_the_newest(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one"), SCHEMA, "{}")
    with pytest.raises(DatasetError, match="no version 7, the newest is 0"):
        DatasetVersion.open(str(root), 7)


def test_a_delta_table_of_someone_else_is_refused(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"a": [1]}))
    with pytest.raises(DatasetError, match="was not published by Headrace"):
        DatasetVersion.open(str(tmp_path / "t"))


def test_a_damaged_or_missing_sidecar_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one"), SCHEMA, "{}")
    sidecar = root / "_headrace" / "one" / "build.json"
    whole = json.loads(sidecar.read_text())
    rewrite(sidecar, json.dumps({**whole, "files": []}))
    with pytest.raises(DatasetError, match="they differ in split=train/part-one"):
        DatasetVersion.open(str(root))
    rewrite(sidecar, "{")
    with pytest.raises(DatasetError, match="damaged"):
        DatasetVersion.open(str(root))
    sidecar.unlink()
    with pytest.raises(DatasetError, match=r"build\.json"):
        DatasetVersion.open(str(root))


def test_a_relative_root_means_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publish_build("ds", make_build(tmp_path / "ds", "one"), SCHEMA, "{}")
    assert DatasetVersion.open("ds").root == str(tmp_path / "ds")


def make_file(split: SplitName, name: str = "a", **changes: Any) -> DataFile:
    fields = {"bytes": 9, "row_groups": (2, 1), "content": "c"} | changes
    return DataFile(path=f"split={split}/{name}.parquet", split=split, **fields)


def make_version(root: Path, *files: DataFile, transform_digest: str = "t") -> DatasetVersion:
    """Make a version that was never published, of files that were never written."""
    changes = {"files": files, "transform_digest": transform_digest}
    return DatasetVersion(str(root), 0, make_build(root, "one").model_copy(update=changes), "{}")


def test_the_digest_is_the_sha_256_of_transform_splits_row_groups_and_content(
    tmp_path: Path,
) -> None:
    version = make_version(
        tmp_path,
        make_file("test", content="3"),
        make_file("train", "b", content="2"),
        make_file("train", "a", content="1", row_groups=(5,)),
    )
    text = "ttrain (5,) 1\ntrain (2, 1) 2\ntest (2, 1) 3\n"
    assert version.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        make_file("validation"),  # the same rows, in another split
        make_file("train", row_groups=(1, 2)),
        make_file("train", content="d"),
    ],
)
def test_the_digest_depends_on_split_row_groups_and_content(
    tmp_path: Path, other: DataFile
) -> None:
    digest = make_version(tmp_path, make_file("train")).digest
    assert make_version(tmp_path, other).digest != digest


def test_the_digest_tells_which_split_has_which_rows(tmp_path: Path) -> None:
    """Of two files that change places, and of one that moves into a split beside its own."""
    first, second = make_file("train", content="1"), make_file("test", content="2")
    swapped = make_file("train", content="2"), make_file("test", content="1")
    moved = make_file("train", content="1"), make_file("validation", content="2")
    digests = {make_version(tmp_path, *files).digest for files in ((first, second), swapped, moved)}
    assert len(digests) == 3


def test_the_digest_depends_on_the_transform_and_not_on_names_or_sizes(tmp_path: Path) -> None:
    file = make_file("train")
    digest = make_version(tmp_path, file).digest
    assert make_version(tmp_path, file, transform_digest="u").digest != digest
    renamed = make_file("train", "z", bytes=10, partition="day=1", footer="00000000")
    assert make_version(tmp_path, renamed).digest == digest


def test_files_of_a_split_are_in_the_order_of_their_paths(tmp_path: Path) -> None:
    files = [make_file("train", "b"), make_file("test", "a"), make_file("train", "a")]
    version = make_version(tmp_path, *files)
    assert version.list_files("train") == (files[2], files[0])
    assert (version.count_rows("train"), version.count_rows("validation")) == (6, 0)


def test_columns_are_read_in_the_order_of_the_files(tmp_path: Path) -> None:
    base = publish_first_version(tmp_path)
    publish_build(str(tmp_path), make_increment(base, "second", 2), SCHEMA, "")
    version = DatasetVersion.open(str(tmp_path))
    table = version.read_columns("train", ["row_id"])
    assert table["row_id"].to_pylist() == [*range(10), 0, 1]
    assert version.column_types == {"row_id": "long", "split": "string"}


def test_a_file_that_is_gone_or_damaged_is_named(tmp_path: Path) -> None:
    version = publish_first_version(tmp_path)
    file = tmp_path / version.build.files[0].path
    file.write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match=r"part-first-00000-0\.parquet is damaged"):
        version.read_columns("train", ["row_id"])
    file.unlink()
    with pytest.raises(UnreachableError, match=r"part-first-00000-0\.parquet"):
        version.read_columns("train", ["row_id"])


def test_lists_have_the_type_of_their_elements(tmp_path: Path) -> None:
    schema = pa.schema([("tags", pa.list_(pa.string())), ("x", pa.float32())])
    publish_build(str(tmp_path), make_build(tmp_path, "one"), schema, "{}")
    types = DatasetVersion.open(str(tmp_path)).column_types
    assert types == {"tags": "array of string", "x": "float", "split": "string"}


def test_raw_examples_are_a_table_or_none(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1.5, None]}), sink)
    examples = {"raw_examples.parquet": bytes(sink.getvalue()), "report.html": "<p>"}
    publish_build(str(tmp_path), make_build(tmp_path, "one"), SCHEMA, "{}", examples)
    publish_build(str(tmp_path), make_build(tmp_path, "two", base=0), SCHEMA, "{}")
    with_examples = DatasetVersion.open(str(tmp_path), 0)
    table = with_examples.read_raw_examples()
    assert table is not None
    assert table.to_pydict() == {"x": [1.5, None]}
    assert with_examples.read_text("report.html") == "<p>"
    assert DatasetVersion.open(str(tmp_path), 1).read_raw_examples() is None


def make_profile(count: int) -> Profile:
    return Profile(
        columns=(RawColumnProfile(name="raw", kind="real", missing={"train": count}),),
        distributions=(
            Distribution(name="x", kind="numbers", edges=(0, 1, 2), counts={"train": (count, 0)}),
        ),
        rules=(),
    )


def make_sidecar(path: str, counts: list[int]) -> dict[str, str | bytes]:
    tallies = [
        FileTally(path, {"x": np.array(counts)}, {"x": 0}, {"raw": 1}),
        # a file of the same build that a later one removed
        FileTally(f"{path}.removed", {"x": np.array([50, 50])}, {"x": 0}, {"raw": 50}),
    ]
    return {
        "profile.json": make_profile(sum(counts)).model_dump_json(),
        "tallies.parquet": FileTally.write_tallies(tallies),
    }


def test_the_profile_of_an_increment_sums_the_tallies_of_its_files(tmp_path: Path) -> None:
    base = publish_first_version(tmp_path)
    second = make_increment(base, "second", 5)
    sidecar = make_sidecar(second.files[-1].path, [2, 3])
    publish_build(str(tmp_path), second, SCHEMA, "", sidecar)
    # as if the first build had been published with its tallies
    for name, content in make_sidecar(base.build.files[0].path, [9, 1]).items():
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / "_headrace" / "first" / name).write_bytes(raw)
    assert DatasetVersion.open(str(tmp_path), 0).profile == make_profile(10)
    version = DatasetVersion.open(str(tmp_path), 1)
    assert version.build_profile == make_profile(5)
    assert version.fitted_profile == make_profile(10)
    (distribution,) = version.profile.distributions
    assert distribution.counts == {"train": (11, 4)}
    assert version.profile.columns[0].missing == {"train": 2}


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    publish_first_version(tmp_path)
    assert find_newest_version(str(tmp_path)) == 0
    for file in (tmp_path / "_delta_log").glob("*.json"):
        file.write_text("{")
    with pytest.raises(DatasetError, match="its _delta_log is damaged"):
        open_newest_table(str(tmp_path))


def test_there_may_be_no_table(tmp_path: Path) -> None:
    assert open_newest_table(str(tmp_path / "nowhere")) is None
    assert find_newest_version(str(tmp_path / "nowhere")) is None
