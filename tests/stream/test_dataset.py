"""A stream as tensors: static shapes, every row, and the stream's own errors."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from headrace.errors import StreamError
from headrace.stream.dataset import _share_memory, make_tf_dataset, read_tf_batches
from tests.stream.rows import list_row_ids, make_stream, write_files


def test_tf_data_has_static_shapes_and_all_rows(tmp_path: Path) -> None:
    source = make_stream(tmp_path, write_files(tmp_path, [[70]]))
    dataset = make_tf_dataset(source, [0])
    assert dataset.element_spec["numeric"].shape == (32, 2)
    assert dataset.element_spec["weight"].shape == (32,)
    assert dataset.element_spec["image"].shape == (32, 2, 1, 2)
    assert dataset.element_spec["image"].dtype == "uint8"
    row_ids = [i for batch in dataset.as_numpy_iterator() for i in list_row_ids(batch)]
    assert sorted(row_ids) == list(range(70))


def test_tensors_equal_the_numpy_batches_of_the_same_epochs(tmp_path: Path) -> None:
    stream = make_stream(tmp_path, write_files(tmp_path, [[50, 60], [31]]))
    expected = list(stream.read_epochs([1, 0], first_step=2))
    batches = list(make_tf_dataset(stream, [1, 0], first_step=2).as_numpy_iterator())
    assert len(batches) == len(expected) == 2 * stream.steps - 2
    for batch, expected_batch in zip(batches, expected, strict=True):
        assert batch.keys() == expected_batch.keys()
        for name, array in expected_batch.items():
            np.testing.assert_array_equal(batch[name], array)


def read_address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_tensors_share_aligned_memory_and_copy_other(tmp_path: Path) -> None:
    """TensorFlow would end the process where an operation meets a tensor at an odd address."""
    stream = make_stream(tmp_path, write_files(tmp_path, [[70]]))
    stacks = stream.read_batch_stacks([0])
    stack = next(stacks)
    aligned, odd = stack["row_id"][0], stack["row_id"].reshape(-1)[1:33]
    assert (read_address(aligned) % 64, read_address(odd) % 64) == (0, 8)
    shared, copied = _share_memory(aligned), _share_memory(odd)
    assert read_address(np.asarray(memoryview(shared))) == read_address(aligned)
    assert read_address(np.asarray(memoryview(copied))) != read_address(odd)
    assert int(tf.reduce_sum(copied)) == odd.sum()
    stacks.close()


def test_a_tensor_keeps_its_batch(tmp_path: Path) -> None:
    """Later batches are written elsewhere while it is referred to."""
    stream = make_stream(tmp_path, write_files(tmp_path, [[200], [200]]))
    expected = [batch["row_id"].copy() for batch in stream.read_epochs([0, 1, 2])]
    tensors = [batch["row_id"] for batch in read_tf_batches(stream, [0, 1, 2])]
    for tensor, array in zip(tensors, expected, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_the_error_of_the_stream_is_raised_and_not_tensorflows(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[200], [200]])
    stream = make_stream(tmp_path, files, shuffle=False)
    (tmp_path / files[1].path).unlink()
    with pytest.raises(StreamError, match=r"part-001.parquet row group 0 is missing"):
        list(read_tf_batches(stream, [0]))
