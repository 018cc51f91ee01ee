"""Checksums of hand-worked values: words and bytes modulo 2**32, fingerprints, and the footer's
CRC-32."""

import io
import json
import zlib
from pathlib import Path

import farmhash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake.checksums import (
    CHECKSUMS,
    FINGERPRINTS,
    compute_checksums,
    compute_footer_checksum,
    fingerprint_column,
    parse_footer,
    read_checksums,
    read_fingerprints,
    read_footer_bytes,
    sum_column,
    sum_words,
)


def test_words_are_summed_modulo_two_to_the_32() -> None:
    assert sum_words(np.array([1, 2, 2**32 - 1], np.uint32)) == 2
    # 2**33 + 5 is two words: 5 and 2
    assert sum_words(np.array([[2**33 + 5], [1]], np.int64)) == 8
    assert sum_words(np.zeros((0, 3), np.float32)) == 0


def test_bytes_are_summed_where_asked() -> None:
    assert sum_words(np.array([250, 5, 3], np.uint8), in_bytes=True) == 258


def test_the_order_of_rows_is_no_matter_and_a_changed_value_is() -> None:
    values = np.arange(1000, dtype=np.float32)
    assert sum_words(values) == sum_words(values[::-1].copy())
    values[7] = 7.5
    assert sum_words(values) != sum_words(np.arange(1000, dtype=np.float32))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, 2, 3], pa.int32()), 6),
        (pa.array([1, 2, 3], pa.int64()).slice(1), 5),
        (pa.array([[1, 2], [], [3]], pa.list_(pa.int32())), 6),
        (pa.array([[1, 2], [3, 4]], pa.list_(pa.int32())).slice(1), 7),
        # a width of 3 is no multiple of 4: bytes
        (pa.array([b"\x01\x02\x03", b"\x00\x00\xff"], pa.binary(3)), 261),
        (pa.array([], pa.int32()), 0),
    ],
)
def test_a_column_is_the_sum_of_its_values(column: pa.Array, expected: int) -> None:
    assert sum_column(pa.chunked_array([column])) == expected


def test_chunks_of_a_column_add_up() -> None:
    chunks = [pa.array([2**31], pa.int64()), pa.array([2**31, 5], pa.int64())]
    assert sum_column(pa.chunked_array(chunks)) == 5


def fingerprint(*chunks: pa.Array) -> str:
    return fingerprint_column(pa.chunked_array([*chunks]))


def test_a_fingerprint_is_that_of_the_bytes_however_they_lie_in_memory() -> None:
    content = np.array([1, 2, 3], "<i4").tobytes()
    expected = f"{farmhash.fingerprint64(content):016x}"
    assert fingerprint(pa.array([1, 2, 3], pa.int32())) == expected
    assert fingerprint(pa.array([9, 1, 2, 3, 9], pa.int32()).slice(1, 3)) == expected
    assert fingerprint(pa.array([1], pa.int32()), pa.array([2, 3], pa.int32())) == expected
    assert fingerprint(pa.array([[9], [1, 2], [3]], pa.list_(pa.int32())).slice(1)) == expected
    assert fingerprint(pa.array([content, content], pa.binary(12)).slice(1)) == expected
    assert fingerprint(pa.array([], pa.int32())) == f"{farmhash.fingerprint64(b''):016x}"
    assert len(expected) == 16


def test_a_fingerprint_finds_what_a_sum_lets_through() -> None:
    values = pa.array([1, 2, 3, 4], pa.int32())
    others = [[2, 1, 3, 4], [1, 2, 4, 3], [5, -2, 3, 4], [1, 2 - 2**31, 3 - 2**31, 4]]
    for other in (pa.array(numbers, pa.int32()) for numbers in others):
        assert sum_column(pa.chunked_array([other])) == sum_column(pa.chunked_array([values]))
        assert fingerprint(other) != fingerprint(values)


def test_a_long_column_is_fingerprinted_a_mebibyte_at_a_time() -> None:
    values = np.arange(2**18 + 2, dtype=np.int32)  # 1 MiB and 8 bytes
    content = values.tobytes()
    pieces = [farmhash.fingerprint64(part) for part in (content[: 2**20], content[2**20 :])]
    expected = farmhash.fingerprint64(b"".join(n.to_bytes(8, "little") for n in pieces))
    assert fingerprint(pa.array(values)) == f"{expected:016x}"
    values[-1] += 1
    assert fingerprint(pa.array(values)) != f"{expected:016x}"


def test_a_file_has_the_sums_and_fingerprints_of_each_row_group(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1, 2, 3, 4, 5], pa.int32()), "b": pa.array([1] * 5)})
    metadata = compute_checksums(table, [3, 2])
    assert json.loads(metadata[CHECKSUMS]) == {"a": [6, 9], "b": [3, 2]}
    path = tmp_path / "a.parquet"
    pq.write_table(table.replace_schema_metadata(metadata), path)
    assert read_checksums(pq.read_metadata(path)) == {"a": [6, 9], "b": [3, 2]}
    parts = [table["a"].slice(0, 3), table["a"].slice(3)]
    fingerprints = read_fingerprints(pq.read_metadata(path))
    assert fingerprints["a"] == json.loads(metadata[FINGERPRINTS])["a"]
    assert fingerprints["a"] == [fingerprint_column(part) for part in parts]


def test_a_file_of_others_has_neither(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert read_checksums(metadata) == {}
    assert read_fingerprints(metadata) == {}


def test_a_footer_alone_has_the_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3]}), path, row_group_size=2)
    whole = path.read_bytes()
    with path.open("rb") as stream:
        footer = read_footer_bytes(stream)
    assert whole.endswith(footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert compute_footer_checksum(footer) == f"{zlib.crc32(footer):08x}"
    metadata = parse_footer(footer).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [2, 1]


def test_the_checksum_of_a_footer_has_eight_digits() -> None:
    assert compute_footer_checksum(b"") == "00000000"
    assert compute_footer_checksum(b"123456789") == "cbf43926"  # CRC-32's check value


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"no parquet file", b"\xff\x00\x00\x00PAR1", b"abc\x02\x00\x00\x00PAR2"],
)
def test_what_does_not_end_as_a_parquet_file_is_refused(content: bytes) -> None:
    with pytest.raises(pa.ArrowInvalid, match="does not end as a Parquet file does"):
        read_footer_bytes(io.BytesIO(content))
