"""Raw columns and raw rows that lie beside the features."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.prepare import BuildRequest, prepare
from headrace.progress import ignore_progress
from headrace.transform.arrow import ArrowTransform
from headrace.transform.spec import TransformSpec
from tests import tiny
from tests.prepare.tiny_builds import build_anew, read_rows

KEEP = "dataset.keep=[shop, visit, note]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.write_tiny_lake(tmp_path / "lake")
    return tmp_path


def test_kept_columns_are_as_they_were_read(folder: Path) -> None:
    plain = build_anew(folder)
    dataset = build_anew(folder, KEEP)
    assert dataset.build.kept == {"shop": "string", "visit": "integer", "note": "string"}
    assert dataset.column_types["kept_visit"] == "long"
    # Training data are the same: the same digest.
    assert dataset.digest == plain.digest
    rows = read_rows(dataset).set_index("kept_visit").sort_index()
    raw = tiny.visits().to_pandas().drop_duplicates("visit").set_index("visit")
    assert len(rows) == 589
    for name in ("shop", "note"):
        expected = raw.loc[rows.index, name]
        assert rows[f"kept_{name}"].where(rows[f"kept_{name}"].notna(), None).tolist() == (
            expected.where(expected.notna(), None).tolist()
        )


def test_what_is_kept_decides_about_the_build(folder: Path) -> None:
    first = build_anew(folder, KEEP)
    recipe = tiny.tiny_recipe(folder, KEEP)
    again = prepare(recipe, workdir=str(folder), report=ignore_progress, request=BuildRequest())
    assert not again.published
    other = tiny.tiny_recipe(folder, "dataset.keep=[shop]")
    built = prepare(other, workdir=str(folder), report=ignore_progress, request=BuildRequest())
    assert built.published
    assert "dataset.keep" in built.why
    assert built.dataset.digest == first.digest


def test_a_list_is_not_kept(folder: Path) -> None:
    table = pq.read_table(folder / "lake" / "visits" / "part-0.parquet")
    lists = pa.array([[1, 2]] * table.num_rows)
    pq.write_table(
        table.append_column("lists", lists), folder / "lake" / "visits" / "part-0.parquet"
    )
    with pytest.raises(LakeError, match=r"'lists'.*dataset\.keep"):
        build_anew(folder, "dataset.keep=[lists]")


def test_raw_examples_are_rows_of_the_lake(folder: Path) -> None:
    dataset = build_anew(folder, "dataset.raw_examples=20")
    spec = TransformSpec.from_json(dataset.transform_json)
    examples = dataset.read_raw_examples()
    assert examples is not None
    assert 15 <= examples.num_rows <= 20
    assert examples.column_names == [column.name for column in spec.raw]
    columns = ArrowTransform(spec)(examples)
    published = read_rows(dataset)
    names = list(columns)
    published_rows = {tuple(row) for row in published[names].to_numpy().tolist()}
    rows = [tuple(columns[n][i].item() for n in names) for i in range(examples.num_rows)]
    assert all(row in published_rows for row in rows)


def test_no_raw_rows_where_none_are_wanted(folder: Path) -> None:
    assert build_anew(folder, "dataset.raw_examples=0").read_raw_examples() is None
