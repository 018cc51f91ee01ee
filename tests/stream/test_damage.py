"""Files that are not what was published, and rows that are not what was read, are errors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import StreamError
from headrace.stream.batch_assembly import BatchAssembly
from tests.stream.rows import list_row_ids, make_stream, reindex_file, write_files


def test_a_rewritten_file_is_named(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[20], [20]])
    write_files(tmp_path, [[20], [19]])
    with pytest.raises(
        StreamError, match=r"part-001.* bytes, the dataset version says .*rewritten"
    ):
        list(make_stream(tmp_path, files).read_batches(0))
    files = (files[0], reindex_file(files[1], tmp_path))
    with pytest.raises(StreamError, match=r"part-001.*row group 0 has 19 rows.*says 20"):
        list(make_stream(tmp_path, files).read_batches(0))


def test_a_file_with_other_rows_and_the_same_size_is_found(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[20], [20]])
    again = write_files(tmp_path, [[20], [20]], first=1000)
    assert files != again
    again = tuple(
        f.model_copy(update={"bytes": g.bytes}) for f, g in zip(files, again, strict=True)
    )
    with pytest.raises(StreamError, match=r"part-00\d.* has another footer than .*rewritten"):
        list(make_stream(tmp_path, again).read_batches(0))


@pytest.mark.parametrize(("fingerprints", "word"), [(True, "fingerprint"), (False, "checksum")])
def test_a_value_that_is_damaged_on_disk_is_found(
    tmp_path: Path, fingerprints: bool, word: str
) -> None:
    """Also in files of earlier releases, which have sums alone."""
    files = write_files(tmp_path, [[20], [20, 30]], plain=True, fingerprints=fingerprints)
    path = tmp_path / "part-001.parquet"
    data = path.read_bytes()
    value = np.float32(-45).tobytes()  # column b of row 45, in the second row group
    assert data.count(value) == 1
    path.write_bytes(data.replace(value, np.float32(-45.5).tobytes()))
    with pytest.raises(
        StreamError, match=rf"part-001.*row group 1: the values of column 'b' have {word}"
    ):
        list(make_stream(tmp_path, files).read_batches(0))


def test_values_that_changed_places_on_disk_are_found(tmp_path: Path) -> None:
    """Their sum is the same: the fingerprint alone tells."""
    files = write_files(tmp_path, [[20], [20, 30]], plain=True)
    path = tmp_path / "part-001.parquet"
    data = path.read_bytes()
    one, other = np.float32(-45).tobytes(), np.float32(-46).tobytes()
    assert data.count(one + other) == 1
    path.write_bytes(data.replace(one + other, other + one))
    with pytest.raises(
        StreamError, match=r"part-001.*row group 1: the values of column 'b' have fingerprint"
    ):
        list(make_stream(tmp_path, files).read_batches(0))


def test_pages_of_files_without_fingerprints_are_verified(tmp_path: Path) -> None:
    """As in files of earlier releases: values that changed places are found by the page's CRC."""
    (file,) = write_files(tmp_path, [[50]], fingerprints=False)
    path = tmp_path / file.path
    table = pq.read_table(path)
    pq.write_table(table, path, compression="NONE", use_dictionary=False, write_page_checksum=True)
    data = path.read_bytes()
    one, other = np.float32(-45).tobytes(), np.float32(-46).tobytes()
    assert data.count(one + other) == 1
    path.write_bytes(data.replace(one + other, other + one))
    with pytest.raises(StreamError, match=r"part-000.*row group 0 cannot be read: .*CRC"):
        list(make_stream(tmp_path, (reindex_file(file, tmp_path),)).read_batches(0))


def test_versions_without_checksums_are_read(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[20], [20]], checksums=False)
    assert files[0].footer == ""
    assert sorted(
        i for b in make_stream(tmp_path, files).read_batches(0) for i in list_row_ids(b)
    ) == [*range(40)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("value", "shard 3: numeric has other values"),
        ("row twice", r"shard 3: \w+ has other values"),
        ("row lost", "shard 3: 8 of 9 rows"),
    ],
)
def test_other_rows_than_were_read_end_the_epoch_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, message: str
) -> None:
    """As a mistake in the permutation would do it: before the last batches are given."""
    source = make_stream(tmp_path, write_files(tmp_path, [[70]]), global_batch_size=8)
    write_rows = BatchAssembly.write_rows

    def write_other_rows(
        self: BatchAssembly, shard: int, first: int, rows: dict[str, np.ndarray], order: np.ndarray
    ) -> None:
        if shard == 3:
            if damage == "value":
                rows["numeric"][order[0], 0] += 1
            elif damage == "row twice":
                order = np.append(order[:-1], order[0])
            else:
                order = order[:-1]
        write_rows(self, shard, first, rows, order)

    monkeypatch.setattr(BatchAssembly, "write_rows", write_other_rows)
    with pytest.raises(StreamError, match=f"rank 0, epoch 1: .*{message}"):
        list(source.read_batches(0))


def test_a_column_that_breaks_its_contract_is_named_with_its_file(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[20], [20]], checksums=False)
    path = tmp_path / "part-001.parquet"
    table = pq.read_table(path)
    short = pa.array([[1, 2, 3]] * 19 + [[1, 2]], pa.list_(pa.int32()))
    position = table.schema.get_field_index("tokens")
    pq.write_table(table.set_column(position, "tokens", short), path)
    files = (files[0], reindex_file(files[1], tmp_path))
    with pytest.raises(
        StreamError, match=r"part-001.*row group 0: column 'tokens' holds lists of length 2"
    ):
        list(make_stream(tmp_path, files).read_batches(0))


def test_a_vanished_or_corrupt_file_is_named(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[20], [20]])
    path = tmp_path / "part-001.parquet"
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 3
    whole[4:middle] = b"\x00" * (middle - 4)
    path.write_bytes(whole)
    with pytest.raises(StreamError, match=r"part-001.*row group 0 cannot be read"):
        list(make_stream(tmp_path, files).read_batches(0))
    path.unlink()
    with pytest.raises(StreamError, match=r"part-001"):
        list(make_stream(tmp_path, files).read_batches(0))
