"""Vocabularies in files beside the transform: the ids, texts and increments of those within it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.columns.person_key import PersonKey
from headrace.errors import DamagedError, RemovedError
from headrace.features import stored_texts
from headrace.features.stored_texts import StoredTexts
from headrace.features.text_file import open_text_file
from headrace.lake import DatasetVersion
from headrace.lake.erase import find_person
from headrace.lake.transform_file import compute_transform_digest
from headrace.lake.vacuum import vacuum_dataset
from headrace.prepare.erase import _is_in_transform
from headrace.prepare.restore import restore_version
from headrace.transform.spec import TransformSpec
from tests.prepare.daily import assert_same_rows, build, rebuild, write_day
from tests.prepare.tiny_builds import build_anew, read_rows
from tests.tiny import write_tiny_lake

pytestmark = pytest.mark.spark

FEATURES = (
    "features={shop: {kind: vocabulary}, hour: {kind: vocabulary, oov_ids: 3},"
    "often: {kind: vocabulary, column: hour, min_count: 15},"
    "few: {kind: vocabulary, column: hour, max_size: 3, impute: most_frequent},"
    "none: {kind: vocabulary, column: note, min_count: 999, impute: most_frequent},"
    "note: {kind: text, length: 2}}"
)


@pytest.fixture(scope="module")
def built(
    spark: object, tmp_path_factory: pytest.TempPathFactory
) -> tuple[DatasetVersion, DatasetVersion]:
    """The dataset with all texts in the transform, and the one with most of them in files."""
    datasets = []
    for most in (stored_texts.INLINE_TEXTS, 3):
        workdir = tmp_path_factory.mktemp("texts")
        write_tiny_lake(workdir / "lake")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stored_texts, "INLINE_TEXTS", most)
            datasets.append(build_anew(workdir, FEATURES))
    return datasets[0], datasets[1]


def read_spec(dataset: DatasetVersion) -> TransformSpec:
    return TransformSpec.from_json(dataset.transform_json, files=dataset.text_files)


def test_rows_and_texts_are_the_same(built: tuple[DatasetVersion, DatasetVersion]) -> None:
    inline, stored = built
    specs = [read_spec(dataset).features for dataset in built]
    assert [list(feature.values) for feature in specs[0]] == [
        list(feature.values) for feature in specs[1]
    ]
    assert [feature.cardinality for feature in specs[0]] == [
        feature.cardinality for feature in specs[1]
    ]
    assert [f.name for f in specs[1] if isinstance(f.values, StoredTexts)] == [
        "shop", "hour", "often"
    ]  # fmt: skip
    assert specs[1][1].values.file == specs[1][2].values.file  # one file for all of a column
    assert specs[0][4] == specs[1][4]  # an empty vocabulary, and what stands for missing values
    rows = [read_rows(d).sort_values("row_id", ignore_index=True) for d in built]
    assert rows[0].equals(rows[1])
    assert inline.profile == stored.profile
    formats = [json.loads(dataset.transform_json)["format_version"] for dataset in built]
    assert formats == [d.build.transform_format for d in built] == [4, 5]
    assert len(stored.transform_json) < len(inline.transform_json)


def test_sizes_are_known_without_opening_a_file(
    built: tuple[DatasetVersion, DatasetVersion],
) -> None:
    spec = TransformSpec.from_json(built[1].transform_json)
    assert spec.features[1].cardinality == 1 + 3 + 24
    assert TransformSpec.from_json(spec.to_json()) == spec
    assert compute_transform_digest(spec.to_json()) == built[1].build.transform_digest
    with pytest.raises(Exception, match="read without the files beside it"):
        list(spec.features[1].values)


def test_a_person_in_a_file_is_found(built: tuple[DatasetVersion, DatasetVersion]) -> None:
    dataset = built[1]
    assert _is_in_transform(dataset, PersonKey({"shop": "a"}))
    assert not _is_in_transform(dataset, PersonKey({"shop": "zz"}))
    assert not _is_in_transform(dataset, PersonKey({"nobody": "a"}))  # no column of the transform
    assert not [n for n in find_person(dataset.root, PersonKey({"x": "nobody"})) if "texts-" in n]


def test_damage_and_loss_are_named(
    built: tuple[DatasetVersion, DatasetVersion], tmp_path: Path
) -> None:
    texts = read_spec(built[1]).features[1].values
    path = Path(built[1].text_files.locate_file(texts.file))
    content = bytearray(path.read_bytes())
    copy = tmp_path / texts.file
    for position in (8, len(content) // 2, len(content) - 20):
        damaged = content.copy()
        damaged[position] ^= 1
        copy.write_bytes(damaged)
        open_text_file.cache_clear()
        with pytest.raises(DamagedError, match=r"texts-.* is damaged: its SHA-256 is not"):
            open_text_file(str(copy), texts.file)
    hidden = path.rename(tmp_path / "hidden")
    try:
        with pytest.raises(RemovedError, match="the file of a vocabulary, is missing"):
            read_spec(built[1]).features[1].values.open_index()
    finally:
        hidden.rename(path)


def test_the_file_is_small_and_mapped(built: tuple[DatasetVersion, DatasetVersion]) -> None:
    index = read_spec(built[1]).features[1].values.open_index()
    allocated = pa.total_allocated_bytes()
    assert index.find_positions(pa.array(["0", "23", "24", None])).tolist()[2:] == [-1, -1]
    assert pa.total_allocated_bytes() <= allocated
    assert np.all(np.diff(index.hashes) > 0)


@pytest.mark.long
def test_increments_restoring_and_removing_versions_keep_the_file(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_texts, "INLINE_TEXTS", 1)
    first = build(lake).dataset
    (texts,) = read_spec(first).stored_texts
    monkeypatch.undo()
    write_day(lake, 4)
    second = build(lake).dataset
    assert (second.transform_json, second.text_files) == (first.transform_json, first.text_files)
    assert_same_rows(second, rebuild(lake, second))
    third = restore_version(first.root, first.version)
    assert third.text_files == first.text_files
    later = datetime.now(UTC) + timedelta(days=30)
    removed = vacuum_dataset(
        first.root, keep=timedelta(), leftovers_after=timedelta(), now=later, dry_run=False
    )
    assert removed.versions
    assert not [path for path in removed.files if texts.file in path]
    assert list(read_spec(DatasetVersion.open(first.root)).features[2].values) == list(texts)
