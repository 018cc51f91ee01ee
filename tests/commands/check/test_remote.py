"""With --remote a store is asked as a local folder is."""

from pathlib import Path

import botocore.session  # noqa: F401  # its credentials are masked once it is loaded
import pytest

from headrace.commands.check.remark import Kind
from headrace.commands.check.tables import check_tables
from tests.s3 import BUCKET, s3_server
from tests.tiny import tiny_recipe, write_tiny_lake


@pytest.mark.long
def test_tables_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_lake(tmp_path / "lake")
    with s3_server(tmp_path) as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        file = "lake/visits/part-0.parquet"
        s3.files().put_file(str(tmp_path / file), f"{BUCKET}/{file}")
        path = f"source.tables.visits.path=s3://{BUCKET}/lake/visits"
        recipe = tiny_recipe(tmp_path, path, "features.amout={kind: standardize}")
        remarks = check_tables(recipe, remote=True)
        assert {r.where: r.kind for r in remarks} == {
            "source.tables.visits.path": Kind.OK,
            "source.tables.shops.path": Kind.OK,
            "features.amout": Kind.RECIPE,
        }
        recipe = tiny_recipe(tmp_path, f"{path}/nothing")
        kinds = {r.where: r.kind for r in check_tables(recipe, remote=True)}
        assert kinds["source.tables.visits.path"] is Kind.MISSING
    kinds = {r.where: r.kind for r in check_tables(recipe, remote=False)}
    assert kinds["source.tables.visits.path"] is Kind.UNCHECKED
