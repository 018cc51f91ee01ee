"""A person is erased from a dataset, its predictions and its model in MLflow, all of them real."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.running import headrace
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = [pytest.mark.e2e, pytest.mark.long]
PERSON = "zoe.q@example.org"


def holds_person(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "mlflow.db":
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += pq.ParquetFile(path).read().to_pandas().to_string().encode()
            if PERSON.encode() in content:
                found.append(str(path.relative_to(folder)))
    return found


def test_nothing_of_a_person_is_left(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path / "lake")
    lake = tmp_path / "lake" / "visits" / "part-0.parquet"
    rows = pq.ParquetFile(lake).read()
    notes = [PERSON if i % 20 == 3 else note for i, note in enumerate(rows["note"].to_pylist())]
    position = rows.schema.get_field_index("note")
    pq.write_table(rows.set_column(position, "note", pa.array(notes)), lake)
    tree = tiny_tree() | {"score": {"key": ["visit", "note"]}}
    tree["dataset"]["raw_examples"] = 400
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    recipe, workdir = str(tmp_path / "tiny.yaml"), str(tmp_path)
    predictions = str(tmp_path / "predictions")
    for arguments in (
        ["run", recipe],
        ["score", recipe, "--input", str(lake.parent), "--output", predictions,
         "--model", "models:/tiny/1"],
    ):  # fmt: skip
        done = headrace(*arguments, "--workdir", workdir)
        assert done.code == 0, done.err
    places = {path.partition("/")[0] for path in holds_person(tmp_path)}
    assert places == {"lake", "dataset", "predictions", "mlflow"}
    done = headrace(
        "erase", str(tmp_path / "dataset"), "--key", f"note={PERSON}", "--predictions", predictions,
        "--workdir", workdir, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    result = done.result
    assert (result["version"], result["removed_versions"], result["left"]) == (1, [0], [])
    assert result["predictions"][predictions]["erased"] == 30
    assert result["mlflow"]["models"] == ["models:/tiny/1"]
    (taken,) = result["mlflow"]["rows"].items()
    assert taken[0].endswith("golden.parquet")
    assert holds_person(tmp_path) == ["lake/visits/part-0.parquet"]
    # The model still shows that it predicts as it did, on the rows of others.
    promoted = headrace("promote", recipe, "--workdir", workdir, "--json")
    assert promoted.code in (0, 3), promoted.err
    # The lake still has the rows: the next builds leave them out.
    built = headrace("prepare", recipe, "--workdir", workdir, "--full", "--json")
    assert built.code == 0, built.err
    assert built.result["ledger"]["filtered"]["erased on request"] == 30
    assert holds_person(tmp_path) == ["lake/visits/part-0.parquet"]
