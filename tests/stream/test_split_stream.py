"""Every row once, in one order at any number of ranks; and epochs that are abandoned."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from headrace.errors import StreamError
from headrace.stream.columns import Columns
from headrace.stream.split_stream import SplitStream
from headrace.transform.spec import ModelInput
from tests.stream.rows import COLUMNS, list_row_ids, make_image, make_stream, write_files


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
            files = write_files(root, layout)
            rows = sum(map(sum, layout))
        source = make_stream(root, files, seed=read, readers=1 + read % 3)
        batches = list(source.read_batches(epoch=read))
        assert len(batches) == source.steps
        assert sorted(i for batch in batches for i in list_row_ids(batch)) == list(range(rows))


def test_columns_of_a_row_stay_together_and_padding_is_zero(tmp_path: Path) -> None:
    source = make_stream(tmp_path, write_files(tmp_path, [[30, 7], [20]]))
    for batch in source.read_batches(0):
        real = batch["weight"] == 1
        row = batch["row_id"][real]
        np.testing.assert_array_equal(batch["numeric"][real], np.stack([row, -row], axis=1))
        np.testing.assert_array_equal(batch["categorical"][real][:, 0], row % 1000)
        np.testing.assert_array_equal(batch["label"][real], row % 2)
        np.testing.assert_array_equal(batch["tokens"][real], np.stack([row, 0 * row, -row], 1))
        np.testing.assert_array_equal(batch["series"][real], np.stack([row / 2, row], axis=1))
        np.testing.assert_array_equal(batch["image"][real], [make_image(r) for r in row])
        for name, matrix in batch.items():
            assert len(matrix) == 32, name
            assert not matrix[~real].any(), name


def test_global_batches_are_the_same_at_1_2_and_4_ranks(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[50, 60], [31]])
    whole: dict[int, list[list[int]]] = {}
    for size in (1, 2, 4):
        ranks = [make_stream(tmp_path, files, rank=rank, size=size) for rank in range(size)]
        steps = zip(*(r.read_batches(3) for r in ranks), strict=True)
        whole[size] = [[i for batch in step for i in list_row_ids(batch)] for step in steps]
    assert whole[1] == whole[2] == whole[4]


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("layout", [[[50, 60], [31]], [[3]], [[1, 1], [40, 9], [13]]])
def test_rows_that_are_not_shuffled_are_located(
    tmp_path: Path, layout: list[list[int]], size: int
) -> None:
    files = write_files(tmp_path, layout)
    found = []
    for rank in range(size):
        stream = make_stream(tmp_path, files, rank=rank, size=size, shuffle=False)
        for step, batch in enumerate(stream.read_batches(0)):
            positions = stream.locate_rows(step)
            real = batch["weight"] > 0
            assert (positions[~real] == -1).all()
            assert positions[real].tolist() == list_row_ids(batch)  # rows count from 0
            found += positions[real].tolist()
    assert sorted(found) == list(range(sum(map(sum, layout))))


@pytest.mark.parametrize("changes", [{"shuffle": True}, {"shuffle": False, "drop_last": True}])
def test_rows_in_another_order_are_not_located(tmp_path: Path, changes: dict[str, bool]) -> None:
    stream = make_stream(tmp_path, write_files(tmp_path, [[50]]), **changes)
    with pytest.raises(StreamError, match="have no position"):
        stream.locate_rows(0)


def test_epochs_differ_and_repeat_exactly(tmp_path: Path) -> None:
    source = make_stream(tmp_path, write_files(tmp_path, [[100, 100]]))
    first, second, again = ([list_row_ids(b) for b in source.read_batches(e)] for e in (0, 1, 0))
    assert first == again
    assert first != second


def test_a_resumed_epoch_goes_on_where_it_was(tmp_path: Path) -> None:
    source = make_stream(tmp_path, write_files(tmp_path, [[50, 60], [31]]), block_rows=7)
    whole = [list_row_ids(b) for b in source.read_batches(0)]
    for step in range(source.steps + 1):
        assert [list_row_ids(b) for b in source.read_batches(0, first_step=step)] == whole[step:]


def test_the_rest_of_an_epoch_is_the_same_with_fewer_ranks(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[50, 60], [131]])

    def rest(size: int, first: int) -> list[list[int]]:
        ranks = [make_stream(tmp_path, files, rank=rank, size=size) for rank in range(size)]
        steps = zip(*(r.read_batches(3, first) for r in ranks), strict=True)
        return [[i for batch in step for i in list_row_ids(batch)] for step in steps]

    whole = rest(1, 0)
    for first in (1, 3, 7):
        four = [
            make_stream(tmp_path, files, rank=rank, size=4).read_batches(3) for rank in range(4)
        ]
        begun = [[i for rank in four for i in list_row_ids(next(rank))] for _ in range(first)]
        assert begun == whole[:first]
        assert rest(2, first) == rest(1, first) == whole[first:]
    assert sorted(i for batch in whole for i in batch) == list(range(241))


def test_a_fresh_process_gives_the_same_batches(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[50, 60], [31]])
    here = [list_row_ids(batch) for batch in make_stream(tmp_path, files).read_batches(2, 1)]
    program = (
        "import json, sys; from pathlib import Path; from tests.stream.rows import *; "
        f"root = Path({str(tmp_path)!r}); files = [DataFile(**f) for f in json.load(sys.stdin)]; "
        "batches = make_stream(root, tuple(files)).read_batches(2, 1); "
        "print(json.dumps([list_row_ids(batch) for batch in batches]))"
    )
    listed = json.dumps([file.model_dump(mode="json") for file in files])
    done = subprocess.run(
        [sys.executable, "-c", program], input=listed, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == here


def test_epochs_follow_each_other(tmp_path: Path) -> None:
    source = make_stream(tmp_path, write_files(tmp_path, [[100, 100], [33]]))
    apart = [list_row_ids(b) for epoch in (4, 5, 2) for b in source.read_batches(epoch)]
    assert [list_row_ids(b) for b in source.read_epochs([4, 5, 2])] == apart
    assert [list_row_ids(b) for b in source.read_epochs([4, 5], 3)] == apart[3 : 2 * source.steps]
    going = source.read_epochs(range(1000))
    for _ in range(source.steps + 1):
        next(going)
    going.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("headrace-reader")]


def test_the_next_epoch_is_prefetched_while_this_one_is_consumed(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[40] * 4])
    source = make_stream(tmp_path, files, global_batch_size=8)
    batches = source.read_epochs([0, 1])
    for _ in range(source.steps - 1):
        next(batches)
    time.sleep(0.5)
    (tmp_path / files[0].path).unlink()  # all of it is in memory
    assert len([list_row_ids(b) for b in batches]) == source.steps + 1


def test_rows_that_fill_no_batch_are_dropped_with_drop_last(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[50, 60], [31]])
    source = make_stream(tmp_path, files, drop_last=True, shuffle=False)
    assert source.steps == 4
    delivered = set()
    for epoch in range(12):
        batches = list(source.read_batches(epoch))
        assert [len(list_row_ids(batch)) for batch in batches] == [32] * 4
        delivered |= {i for batch in batches for i in list_row_ids(batch)}
    assert delivered == set(range(141))
    with pytest.raises(StreamError, match=r"141 rows, which do not fill a batch of 256"):
        _ = make_stream(tmp_path, files, drop_last=True, global_batch_size=256).steps


def test_fewer_rows_than_shards(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[3]])
    parts = [make_stream(tmp_path, files, rank=rank, size=4) for rank in range(4)]
    epochs = [list(part.read_batches(0)) for part in parts]
    assert [len(batches) for batches in epochs] == [1] * 4
    assert sorted(i for batches in epochs for b in batches for i in list_row_ids(b)) == [0, 1, 2]


def test_blocks_of_wide_rows_are_shorter(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[20]])
    version = SimpleNamespace(root=str(tmp_path), list_files=lambda split: files)
    options = {"rank": 0, "size": 1, "global_batch_size": 32, "canonical_shards": 8}
    options |= {"shuffle": True, "seed": 5}
    photo = Columns({"photo": ModelInput("uint8", (256, 256, 4), ("photo",))})
    assert SplitStream.for_split(version, "train", COLUMNS, **options).block_rows == 16_384
    # 16 MiB a block, 256 KiB a row
    assert SplitStream.for_split(version, "train", photo, **options).block_rows == 64


@pytest.mark.parametrize("engine", ["petastorm", "pyarrow"])
def test_abandoning_an_epoch_stops_its_readers(tmp_path: Path, engine: str) -> None:
    files = write_files(tmp_path, [[50] * 10])
    source = make_stream(tmp_path, files, block_rows=1, engine=engine)
    batches = source.read_batches(0)
    next(batches)
    batches.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("headrace-reader")]


@pytest.mark.parametrize(
    "how",
    [
        "make_stream(root, files).read_epochs",
        "make_stream(root, files, engine='pyarrow').read_epochs",
        "tf_batches_of(root, files)",
    ],
)
def test_an_epoch_that_is_never_ended_does_not_hold_up_the_process(
    tmp_path: Path, how: str
) -> None:
    """TensorFlow would wait for ever, where a thread of its own is in the stream at the end."""
    program = (
        "import time; from pathlib import Path; from tests.stream.rows import *; "
        "from headrace.stream import dataset, epoch_reader; "
        "tf_batches_of = lambda *which: lambda e: dataset.read_tf_batches(make_stream(*which), e); "
        "take = epoch_reader.EpochReader.read_next_block; "
        "epoch_reader.EpochReader.read_next_block = lambda *a: time.sleep(0.02) or take(*a); "
        f"root = Path({str(tmp_path)!r}); files = write_files(root, [[40] * 40]); "
        f"batches = {how}(range(1000)); [next(batches) for _ in range(49)]; raise SystemExit(7)"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 7
