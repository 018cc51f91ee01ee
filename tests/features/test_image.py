"""Images as they are: pixels written by hand, and files that are refused."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from headrace.columns.values import read_column
from headrace.features.image import ImageFeature, decode_image, find_image_problem
from tests.fitting import run_feature

PIXELS = np.array([[0, 1, 2], [253, 254, 255]], np.uint8)
FEATURE = ImageFeature(name="f", column="c", height=2, width=3, channels=1)


def write_png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def test_files_are_decoded_and_missing_ones_are_zeros() -> None:
    files = read_column(pa.array([write_png(PIXELS), None], pa.binary()), "bytes")
    pixels = run_feature(FEATURE, files)["f"]
    assert (pixels.dtype, pixels.shape) == (np.uint8, (2, 2, 3, 1))
    assert pixels[0, :, :, 0].tolist() == PIXELS.tolist()
    assert not pixels[1].any()


def test_lists_of_pixels_are_clipped_truncated_and_padded() -> None:
    lists = pa.array([[1, -5, 300, None, 4, 5, 6], [7], None], pa.list_(pa.int64()))
    pixels = run_feature(FEATURE, read_column(lists, "integers"))["f"]
    flat = [[1, 0, 255, 0, 4, 5], [7, 0, 0, 0, 0, 0], [0] * 6]
    assert pixels.reshape(3, -1).tolist() == flat


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (write_png(PIXELS), None),
        (None, None),
        (write_png(PIXELS.T), "an image of 3 x 2, mode L; wanted 2 x 3, mode L"),
        (write_png(np.zeros((2, 3, 3), np.uint8)), "an image of 2 x 3, mode RGB; wanted 2 x 3"),
        (b"GIF89a", "no readable PNG or JPEG file"),
        (write_png(PIXELS)[:40], "no readable PNG or JPEG file"),
    ],
    ids=["right", "missing", "other size", "other mode", "other format", "truncated"],
)
def test_what_is_wrong_with_a_file(file: bytes | None, problem: str | None) -> None:
    found = find_image_problem(file, (2, 3, 1))
    assert (found is None) if problem is None else str(found).startswith(problem)
    if problem and file:
        with pytest.raises(ValueError, match=problem.split(";")[0]):
            decode_image(file, (2, 3, 1))
