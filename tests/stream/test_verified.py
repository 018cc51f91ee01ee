"""Fingerprints are compared once in a process, and sums in every epoch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from headrace.errors import StreamError
from headrace.lake.checksums import CHECKSUMS
from headrace.stream import worker
from headrace.stream.cache import MemoryCache
from headrace.stream.row_ranges import index_row_groups
from headrace.stream.verified import VerifiedRowGroups
from tests.stream.rows import make_stream, reindex_file, write_files


def test_row_groups_are_told_apart() -> None:
    verified = VerifiedRowGroups(index_row_groups([[5, 5], [], [5], [5, 5, 5]]))
    known = [(0, 0), (0, 1), (2, 0), (3, 0), (3, 1), (3, 2)]
    for number, one in enumerate(known):
        assert [verified.has(*other) for other in known] == [n < number for n in range(6)]
        verified.add(*one)


def test_each_row_group_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    verify = worker._verify_fingerprints

    def count(location: str, *rest: Any) -> None:
        compared.append(location)
        verify(location, *rest)

    monkeypatch.setattr(worker, "_verify_fingerprints", count)
    stream = make_stream(tmp_path, write_files(tmp_path, [[50, 60], [70]]), canonical_shards=2)
    for _ in stream.read_epochs(range(3)):
        pass
    assert {*compared} == {
        f"{tmp_path}/part-00{file}.parquet row group {group}"
        for file, group in ((0, 0), (0, 1), (1, 0))
    }
    first = len(compared)
    for _ in stream.read_epochs(range(3, 5)):
        pass
    assert len(compared) == first  # a boundary of shards may have two threads compare one


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_damage_is_found_in_whichever_epoch_it_comes(tmp_path: Path, epochs: int) -> None:
    files = write_files(tmp_path, [[50, 60], [70]], plain=True)
    stream = make_stream(tmp_path, files)
    for _ in stream.read_epochs(range(epochs)):
        pass
    path = tmp_path / files[1].path
    content = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(1)
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(StreamError, match=r"part-001.parquet row group 0: the values of column"):
        for _ in stream.read_epochs([epochs]):
            pass


@pytest.mark.parametrize("epochs", [0, 2])
@pytest.mark.parametrize("lacking", ["sums", "nothing, but a cache is filled"])
def test_places_are_compared_again_where_sums_are_not_or_rows_go_to_a_cache(
    tmp_path: Path, epochs: int, lacking: str
) -> None:
    """Values that changed places have the same sum: in every epoch the fingerprint finds them."""
    files = write_files(tmp_path, [[50, 60]], plain=True)
    if lacking == "sums":
        path = tmp_path / files[0].path
        table = pq.read_table(path)
        kept = {k: v for k, v in table.schema.metadata.items() if k != CHECKSUMS.encode()}
        with pq.ParquetWriter(path, table.schema.with_metadata(kept), compression="NONE",
                              use_dictionary=False) as writer:  # fmt: skip
            writer.write_table(table.slice(0, 50).replace_schema_metadata(kept))
            writer.write_table(table.slice(50).replace_schema_metadata(kept))
        files = (reindex_file(files[0], tmp_path),)
    cache = (
        None if lacking == "sums" else MemoryCache(1)
    )  # has room for none, and is asked each time
    stream = make_stream(tmp_path, files, cache=cache)
    for _ in stream.read_epochs(range(epochs)):
        pass
    path = tmp_path / files[0].path
    one, other = np.float32(-45).tobytes(), np.float32(-46).tobytes()
    content = path.read_bytes()
    assert content.count(one + other) == 1
    path.write_bytes(content.replace(one + other, other + one))
    with pytest.raises(StreamError, match=r"the values of column 'b' have fingerprint"):
        for _ in stream.read_epochs([epochs]):
            pass


def test_rows_are_read_without_pandas(tmp_path: Path) -> None:
    (file,) = write_files(tmp_path, [[50]])
    code = (
        "import sys; from pathlib import Path\n"
        "from headrace.lake.data_file import DataFile\n"
        "from tests.stream.rows import make_stream\n"
        "files = (DataFile.model_validate_json(sys.argv[2]),)\n"
        "stream = make_stream(Path(sys.argv[1]), files, engine='pyarrow')\n"
        "rows = sum(batch['weight'].sum() for batch in stream.read_epochs([0]))\n"
        "print(int(rows), 'pandas' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), file.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["50", "False"], done.stderr
