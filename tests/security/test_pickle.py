"""No road through Petastorm leads to un-pickling what a dataset holds."""

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import StreamError
from headrace.stream import petastorm_api


class _Attack:
    """What leaves a mark where it is un-pickled, by functions that Petastorm's filter allows."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.mark)!r}, 'w')",)


def test_the_attack_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(_Attack(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("key", ["dataset-toolkit.unischema.v1", "dataset-toolkit.num_row_groups"])
def test_a_pickled_schema_is_refused(tmp_path: Path, key: str) -> None:
    from petastorm.etl import dataset_metadata

    blob = pickle.dumps(_Attack(tmp_path / "mark"))
    schema = pa.schema([("a", pa.int64())], metadata={key: blob})
    pq.write_metadata(schema, tmp_path / "_common_metadata")
    metadata = pq.read_metadata(tmp_path / "_common_metadata")
    dataset = SimpleNamespace(
        common_metadata=metadata, metadata=None, paths=str(tmp_path), fs=fsspec.filesystem("file"),
        pieces=[],
    )  # fmt: skip
    with pytest.raises(Exception, match=r"un-pickle|metadata") as refused:
        dataset_metadata.get_schema(dataset)
    assert not (tmp_path / "mark").exists()
    if key.endswith("unischema.v1"):
        assert isinstance(refused.value, StreamError)


def test_a_pickled_index_is_refused(tmp_path: Path) -> None:
    from petastorm.etl import legacy, rowgroup_indexing

    blob = pickle.dumps(_Attack(tmp_path / "mark"))
    for function in (
        rowgroup_indexing.depickle_legacy_package_name_compatible,
        legacy.depickle_legacy_package_name_compatible,
        legacy.restricted_loads,
    ):
        with pytest.raises(StreamError, match="un-pickle"):
            function(blob)
    assert not (tmp_path / "mark").exists()


def test_no_module_of_petastorm_has_its_unpickler() -> None:
    """Also where Petastorm was imported first, by whoever."""
    program = (
        "import sys, headrace.stream.petastorm_api as api\n"
        "import petastorm.etl.rowgroup_indexing\n"
        "names = ('restricted_loads', 'RestrictedUnpickler', "
        "'depickle_legacy_package_name_compatible')\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if name.startswith('petastorm'):\n"
        "        for key in names:\n"
        "            found = getattr(module, key, api.refuse_pickle)\n"
        "            assert found is api.refuse_pickle, (name, key)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert petastorm_api.Reader is not None
