"""Reading for real, through Petastorm's Reader: nothing lost, nothing twice, faults named."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import StreamError
from pipelines.lake.checksums import CHECKSUMS, checksums_of, footer_bytes, footer_checksum
from pipelines.lake.files import DataFile
from pipelines.stream.columns import Columns
from pipelines.stream.dataset import as_tf_dataset
from pipelines.stream.split_stream import SplitStream
from pipelines.stream.stores import refuse_pickled_metadata
from pipelines.stream.worker import BlockRows, BlockWorker, Task
from pipelines.transform.spec import ModelInput

COLUMNS = Columns(
    {
        "numeric": ModelInput("float32", (2,), ("a", "b")),
        "categorical": ModelInput("int32", (1,), ("c",)),
        "label": ModelInput("float32", (), ("label",)),
        "row_id": ModelInput("int64", (), ("row_id",)),
        "tokens": ModelInput("int32", (3,), ("tokens",)),
        "series": ModelInput("float32", (2,), ("series",)),
        "image": ModelInput("uint8", (2, 1, 2), ("image",)),
    }
)


def image(row: int) -> np.ndarray:
    return np.array([1, row % 256, row // 256, 255], np.uint8).reshape(2, 1, 2)


def write(
    root: Path,
    layout: list[list[int]],
    first: int = 0,
    *,
    checksums: bool = True,
    plain: bool = False,
) -> tuple[DataFile, ...]:
    """Files of the given row groups; every value of a row tells its row_id.

    Args:
        root: folder.
        layout: rows of the row groups of each file.
        first: row_id of the first row.
        checksums: noted in files and index; versions of before had none.
        plain: neither compressed nor encoded, so that a byte of the file is one of a value.
    """
    files = []
    for number, row_groups in enumerate(layout):
        path = root / f"part-{number:03d}.parquet"
        rows = np.arange(first, first + sum(row_groups))
        first += len(rows)
        table = pa.table(
            {
                "row_id": rows,
                "a": rows.astype(np.float32),
                "b": (-rows).astype(np.float32),
                "c": (rows % 1000).astype(np.int32),
                "label": (rows % 2).astype(np.float32),
                "tokens": pa.array([[r, 0, -r] for r in rows], pa.list_(pa.int32())),
                "series": pa.array([[r / 2, r] for r in rows], pa.list_(pa.float32())),
                "image": pa.array([image(r).tobytes() for r in rows], pa.binary(4)),
            }
        )
        noted = {CHECKSUMS: checksums_of(table, row_groups)} if checksums else None
        schema = table.schema.with_metadata(noted)
        options = {"compression": "NONE", "use_dictionary": False} if plain else {}
        with pq.ParquetWriter(path, schema, **options) as writer:
            start = 0
            for size in row_groups:
                writer.write_table(table.slice(start, size), row_group_size=max(size, 1))
                start += size
        file = DataFile(path=path.name, split="train", bytes=0, row_groups=row_groups, content="")
        files.append(of_now(file, root) if checksums else of_now(file, root, footer=False))
    return tuple(files)


def of_now(file: DataFile, root: Path, *, footer: bool = True) -> DataFile:
    path = root / file.path
    found = footer_checksum(footer_bytes(pa.OSFile(str(path)))) if footer else ""
    return file.model_copy(update={"bytes": path.stat().st_size, "footer": found})


def stream(root: Path, files: tuple[DataFile, ...], **changes: object) -> SplitStream:
    usual = {"rank": 0, "size": 1, "global_batch_size": 32, "canonical_shards": 8}
    usual |= {"shuffle": True, "seed": 5, "readers": 2, "block_rows": 40}
    return SplitStream(str(root), files, COLUMNS, **{**usual, **changes})


def ids(batch: dict[str, np.ndarray]) -> list[int]:
    return batch["row_id"][batch["weight"] > 0].tolist()


def test_500_short_reads_lose_nothing(tmp_path: Path) -> None:
    """The stock thread pool lost rows in 15 of 60 such reads, and all rows in 4 of 60."""
    rng = np.random.default_rng(0)
    for read in range(500):
        if read % 50 == 0:
            root = tmp_path / str(read)
            root.mkdir()
            layout = [
                rng.integers(1, 60, rng.integers(1, 5)).tolist() for _ in range(read // 100 + 1)
            ]
            files = write(root, layout)
            rows = sum(map(sum, layout))
        source = stream(root, files, seed=read, readers=1 + read % 3)
        batches = list(source.batches(epoch=read))
        assert len(batches) == source.steps
        assert sorted(i for batch in batches for i in ids(batch)) == list(range(rows))


def test_columns_of_a_row_stay_together_and_padding_is_zero(tmp_path: Path) -> None:
    source = stream(tmp_path, write(tmp_path, [[30, 7], [20]]))
    for batch in source.batches(0):
        real = batch["weight"] == 1
        row = batch["row_id"][real]
        np.testing.assert_array_equal(batch["numeric"][real], np.stack([row, -row], axis=1))
        np.testing.assert_array_equal(batch["categorical"][real][:, 0], row % 1000)
        np.testing.assert_array_equal(batch["label"][real], row % 2)
        np.testing.assert_array_equal(batch["tokens"][real], np.stack([row, 0 * row, -row], 1))
        np.testing.assert_array_equal(batch["series"][real], np.stack([row / 2, row], axis=1))
        np.testing.assert_array_equal(batch["image"][real], [image(r) for r in row])
        for name, matrix in batch.items():
            assert len(matrix) == 32, name
            assert not matrix[~real].any(), name


def test_global_batches_are_the_same_at_1_2_and_4_ranks(tmp_path: Path) -> None:
    files = write(tmp_path, [[50, 60], [31]])
    whole: dict[int, list[list[int]]] = {}
    for size in (1, 2, 4):
        ranks = [stream(tmp_path, files, rank=rank, size=size) for rank in range(size)]
        steps = zip(*(r.batches(3) for r in ranks), strict=True)
        whole[size] = [[i for batch in step for i in ids(batch)] for step in steps]
    assert whole[1] == whole[2] == whole[4]


def test_epochs_differ_and_repeat_exactly(tmp_path: Path) -> None:
    source = stream(tmp_path, write(tmp_path, [[100, 100]]))
    first, second, again = ([ids(b) for b in source.batches(e)] for e in (0, 1, 0))
    assert first == again
    assert first != second


def test_a_resumed_epoch_goes_on_where_it_was(tmp_path: Path) -> None:
    source = stream(tmp_path, write(tmp_path, [[50, 60], [31]]), block_rows=7)
    whole = [ids(b) for b in source.batches(0)]
    for step in range(source.steps + 1):
        assert [ids(b) for b in source.batches(0, first_step=step)] == whole[step:]


def test_the_rest_of_an_epoch_is_the_same_with_fewer_ranks(tmp_path: Path) -> None:
    files = write(tmp_path, [[50, 60], [131]])

    def rest(size: int, first: int) -> list[list[int]]:
        ranks = [stream(tmp_path, files, rank=rank, size=size) for rank in range(size)]
        steps = zip(*(r.batches(3, first) for r in ranks), strict=True)
        return [[i for batch in step for i in ids(batch)] for step in steps]

    whole = rest(1, 0)
    for first in (1, 3, 7):
        four = [stream(tmp_path, files, rank=rank, size=4).batches(3) for rank in range(4)]
        begun = [[i for rank in four for i in ids(next(rank))] for _ in range(first)]
        assert begun == whole[:first]
        assert rest(2, first) == rest(1, first) == whole[first:]
    assert sorted(i for batch in whole for i in batch) == list(range(241))


def test_a_fresh_process_gives_the_same_batches(tmp_path: Path) -> None:
    files = write(tmp_path, [[50, 60], [31]])
    here = [ids(batch) for batch in stream(tmp_path, files).batches(2, 1)]
    program = (
        "import json, sys; from pathlib import Path; from tests.stream.test_split_stream import *; "
        f"root = Path({str(tmp_path)!r}); files = [DataFile(**f) for f in json.load(sys.stdin)]; "
        "print(json.dumps([ids(b) for b in stream(root, tuple(files)).batches(2, 1)]))"
    )
    listed = json.dumps([file.model_dump(mode="json") for file in files])
    done = subprocess.run(
        [sys.executable, "-c", program], input=listed, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == here


def test_epochs_follow_each_other(tmp_path: Path) -> None:
    source = stream(tmp_path, write(tmp_path, [[100, 100], [33]]))
    apart = [ids(b) for epoch in (4, 5, 2) for b in source.batches(epoch)]
    assert [ids(b) for b in source.epochs([4, 5, 2])] == apart
    assert [ids(b) for b in source.epochs([4, 5], 3)] == apart[3 : 2 * source.steps]
    going = source.epochs(range(1000))
    for _ in range(source.steps + 1):
        next(going)
    going.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("headrace-reader")]


def test_the_next_epoch_is_read_before_this_one_is_used_up(tmp_path: Path) -> None:
    files = write(tmp_path, [[40] * 4])
    source = stream(tmp_path, files, global_batch_size=8)
    batches = source.epochs([0, 1])
    for _ in range(source.steps - 1):
        next(batches)
    time.sleep(0.5)
    (tmp_path / files[0].path).unlink()  # all of it is in memory
    assert len([ids(b) for b in batches]) == source.steps + 1


def test_rows_that_fill_no_batch_are_dropped_where_that_is_asked_for(tmp_path: Path) -> None:
    files = write(tmp_path, [[50, 60], [31]])
    source = stream(tmp_path, files, drop_last=True, shuffle=False)
    assert source.steps == 4
    seen = set()
    for epoch in range(12):
        batches = list(source.batches(epoch))
        assert [len(ids(batch)) for batch in batches] == [32] * 4
        seen |= {i for batch in batches for i in ids(batch)}
    assert seen == set(range(141))
    with pytest.raises(StreamError, match=r"141 rows, which do not fill a batch of 256"):
        _ = stream(tmp_path, files, drop_last=True, global_batch_size=256).steps


def test_fewer_rows_than_shards(tmp_path: Path) -> None:
    files = write(tmp_path, [[3]])
    parts = [stream(tmp_path, files, rank=rank, size=4) for rank in range(4)]
    found = [list(part.batches(0)) for part in parts]
    assert [len(batches) for batches in found] == [1] * 4
    assert sorted(i for batches in found for b in batches for i in ids(b)) == [0, 1, 2]


def test_tf_data_has_static_shapes_and_all_rows(tmp_path: Path) -> None:
    source = stream(tmp_path, write(tmp_path, [[70]]))
    dataset = as_tf_dataset(source, [0])
    assert dataset.element_spec["numeric"].shape == (32, 2)
    assert dataset.element_spec["weight"].shape == (32,)
    assert dataset.element_spec["image"].shape == (32, 2, 1, 2)
    assert dataset.element_spec["image"].dtype == "uint8"
    seen = [i for b in dataset.as_numpy_iterator() for i in b["row_id"][b["weight"] > 0].tolist()]
    assert sorted(seen) == list(range(70))


def test_a_rewritten_file_is_named(tmp_path: Path) -> None:
    files = write(tmp_path, [[20], [20]])
    write(tmp_path, [[20], [19]])
    with pytest.raises(
        StreamError, match=r"part-001.* bytes, the dataset version says .*rewritten"
    ):
        list(stream(tmp_path, files).batches(0))
    files = (files[0], of_now(files[1], tmp_path))
    with pytest.raises(StreamError, match=r"part-001.*row group 0 has 19 rows.*says 20"):
        list(stream(tmp_path, files).batches(0))


def test_a_file_with_other_rows_and_the_same_size_is_found(tmp_path: Path) -> None:
    files = write(tmp_path, [[20], [20]])
    again = write(tmp_path, [[20], [20]], first=1000)
    assert files != again
    again = tuple(
        f.model_copy(update={"bytes": g.bytes}) for f, g in zip(files, again, strict=True)
    )
    with pytest.raises(StreamError, match=r"part-00\d.* has another footer than .*rewritten"):
        list(stream(tmp_path, again).batches(0))


def test_a_value_that_is_damaged_on_disk_is_found(tmp_path: Path) -> None:
    files = write(tmp_path, [[20], [20, 30]], plain=True)
    path = tmp_path / "part-001.parquet"
    data = path.read_bytes()
    value = np.float32(-45).tobytes()  # column b of row 45, in the second row group
    assert data.count(value) == 1
    path.write_bytes(data.replace(value, np.float32(-45.5).tobytes()))
    with pytest.raises(
        StreamError, match=r"part-001.*row group 1: the values of column 'b' have checksum"
    ):
        list(stream(tmp_path, files).batches(0))


def test_versions_without_checksums_are_read(tmp_path: Path) -> None:
    files = write(tmp_path, [[20], [20]], checksums=False)
    assert files[0].footer == ""
    assert sorted(i for b in stream(tmp_path, files).batches(0) for i in ids(b)) == [*range(40)]


@pytest.mark.parametrize("what", ["value", "row twice"])
def test_other_rows_than_were_read_end_the_epoch_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """As a mistake in the permutation would do it: before the last batches are given."""
    source = stream(tmp_path, write(tmp_path, [[70]]), global_batch_size=8)
    process = BlockWorker.process

    def wrong(self: BlockWorker, task: Task) -> None:
        publish = self.publish_func

        def change(result: BlockRows) -> None:
            if result.block.shard == 3:
                if what == "value":
                    result.arrays["numeric"][0, 0] += 1
                else:
                    for array in result.arrays.values():
                        array[0] = array[1]
            publish(result)

        self.publish_func = change
        process(self, task)
        self.publish_func = publish

    monkeypatch.setattr(BlockWorker, "process", wrong)
    with pytest.raises(StreamError, match=r"rank 0, epoch 0: .*shard 3: \w+ has other values"):
        list(source.batches(0))


def test_a_column_that_breaks_its_contract_is_named_with_its_file(tmp_path: Path) -> None:
    files = write(tmp_path, [[20], [20]], checksums=False)
    path = tmp_path / "part-001.parquet"
    table = pq.read_table(path)
    short = pa.array([[1, 2, 3]] * 19 + [[1, 2]], pa.list_(pa.int32()))
    position = table.schema.get_field_index("tokens")
    pq.write_table(table.set_column(position, "tokens", short), path)
    files = (files[0], of_now(files[1], tmp_path))
    with pytest.raises(
        StreamError, match=r"part-001.*row group 0: column 'tokens' holds lists of length 2"
    ):
        list(stream(tmp_path, files).batches(0))


def test_blocks_of_wide_rows_are_shorter(tmp_path: Path) -> None:
    files = write(tmp_path, [[20]])
    version = SimpleNamespace(root=str(tmp_path), files=lambda split: files)
    options = {"rank": 0, "size": 1, "global_batch_size": 32, "canonical_shards": 8}
    options |= {"shuffle": True, "seed": 5}
    photo = Columns({"photo": ModelInput("uint8", (256, 256, 4), ("photo",))})
    assert SplitStream.of(version, "train", COLUMNS, **options).block_rows == 16_384
    # 16 MiB a block, 256 KiB a row
    assert SplitStream.of(version, "train", photo, **options).block_rows == 64


def test_a_vanished_or_corrupt_file_is_named(tmp_path: Path) -> None:
    files = write(tmp_path, [[20], [20]])
    path = tmp_path / "part-001.parquet"
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 3
    whole[4:middle] = b"\x00" * (middle - 4)
    path.write_bytes(whole)
    with pytest.raises(StreamError, match=r"part-001.*row group 0 cannot be read"):
        list(stream(tmp_path, files).batches(0))
    path.unlink()
    with pytest.raises(StreamError, match=r"part-001"):
        list(stream(tmp_path, files).batches(0))


def test_leaving_an_epoch_early_stops_the_readers(tmp_path: Path) -> None:
    source = stream(tmp_path, write(tmp_path, [[50] * 10]), block_rows=1)
    batches = source.batches(0)
    next(batches)
    batches.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("headrace-reader")]


def test_pickled_metadata_is_refused(tmp_path: Path) -> None:
    refuse_pickled_metadata(str(tmp_path))
    (tmp_path / "_common_metadata").write_bytes(b"PAR1")
    with pytest.raises(StreamError, match="would run code from the dataset"):
        refuse_pickled_metadata(str(tmp_path))
