"""A table in an object store is looked at there, and named by its URL."""

from pathlib import Path

import numpy as np
import pytest

from headrace.errors import LakeError
from headrace.propose.sample import sample_table
from tests.propose.tables import drafted, written
from tests.s3 import BUCKET, s3_server


def test_a_table_in_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.arange(500)
    written(tmp_path / "t", {"id": numbers, "x": numbers % 7 / 7, "y": numbers % 2})
    (tmp_path / "t" / "more.csv").write_text("id,x\n1,2\n")
    with s3_server(tmp_path) as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        files = s3.files()
        files.put_file(str(tmp_path / "t" / "part-0.parquet"), f"{BUCKET}/t/month=1/a.parquet")
        files.put_file(str(tmp_path / "t" / "more.csv"), f"{BUCKET}/more/a.csv")
        found = sample_table(f"s3a://{BUCKET}/t")
        assert (found.rows, found.partitions) == (500, ("month",))
        assert sample_table(f"s3://{BUCKET}/more/*.csv").rows == 1
        draft = drafted(f"s3a://{BUCKET}/t", "y")
        assert f'path: "s3a://{BUCKET}/t"' in draft.text
        with pytest.raises(LakeError, match="there is no file at s3://lake/nothing"):
            sample_table(f"s3://{BUCKET}/nothing")
