"""Every row once, in one order, whoever reads; and what an epoch leaves when it is left."""

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
from headrace.stream.dataset import as_tf_dataset
from headrace.stream.split_stream import SplitStream
from headrace.transform.spec import ModelInput
from tests.stream.rows import COLUMNS, ids, image, stream, write


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
        "import json, sys; from pathlib import Path; from tests.stream.rows import *; "
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


def test_blocks_of_wide_rows_are_shorter(tmp_path: Path) -> None:
    files = write(tmp_path, [[20]])
    version = SimpleNamespace(root=str(tmp_path), files=lambda split: files)
    options = {"rank": 0, "size": 1, "global_batch_size": 32, "canonical_shards": 8}
    options |= {"shuffle": True, "seed": 5}
    photo = Columns({"photo": ModelInput("uint8", (256, 256, 4), ("photo",))})
    assert SplitStream.of(version, "train", COLUMNS, **options).block_rows == 16_384
    # 16 MiB a block, 256 KiB a row
    assert SplitStream.of(version, "train", photo, **options).block_rows == 64


def test_leaving_an_epoch_early_stops_the_readers(tmp_path: Path) -> None:
    source = stream(tmp_path, write(tmp_path, [[50] * 10]), block_rows=1)
    batches = source.batches(0)
    next(batches)
    batches.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("headrace-reader")]


@pytest.mark.parametrize("how", ["stream(root, files).epochs", "tf_batches_of(root, files)"])
def test_an_epoch_that_is_never_ended_does_not_hold_up_the_process(
    tmp_path: Path, how: str
) -> None:
    """TensorFlow would wait for ever, where a thread of its own is in the stream at the end."""
    program = (
        "import time; from pathlib import Path; from tests.stream.rows import *; "
        "from headrace.stream import dataset, epoch_reader; "
        "tf_batches_of = lambda *which: lambda e: dataset.tf_batches(stream(*which), e); "
        "take = epoch_reader.EpochReader.next_block; "
        "epoch_reader.EpochReader.next_block = lambda *a: time.sleep(0.02) or take(*a); "
        f"root = Path({str(tmp_path)!r}); files = write(root, [[40] * 40]); "
        f"batches = {how}(range(1000)); [next(batches) for _ in range(49)]; raise SystemExit(7)"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 7
