"""Check that images in a column of bytes are told, with their size, and other bytes are not."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from headrace.errors import LakeError
from headrace.propose.images import ImageColumn, find_images
from headrace.recipe.parse import parse_yaml
from tests.propose.tables import draft_table, write_table


def encode_image(
    height: int = 8, width: int = 6, mode: str = "L", file_format: str = "PNG", level: int = 0
) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height), level if mode in ("L", "P") else None).save(file, file_format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "file_format", "channels"),
    [("L", "PNG", 1), ("RGB", "PNG", 3), ("RGBA", "PNG", 4), ("L", "JPEG", 1), ("RGB", "JPEG", 3)],
)
def test_size_and_channels(mode: str, file_format: str, channels: int) -> None:
    files = [encode_image(mode=mode, file_format=file_format)] * 9 + [None, encode_image(9, 9)]
    assert find_images("x", files) == ImageColumn("x", 8, 6, channels, _name(file_format), 9, 10)


def _name(file_format: str) -> str:
    return " and ".join(sorted({"PNG", file_format}))  # one other file is PNG


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([b"abc", None], "bytes that are no PNG or JPEG files"),
        ([], "bytes that are no PNG or JPEG files"),
        ([encode_image(n + 1, 4) for n in range(5)], "images of different sizes or modes"),
        ([encode_image(mode="P")], "images of mode P; write them in one of the modes L, RGB"),
        ([encode_image(500, 300)], "images of 500 x 300 pixels, which is much"),
        ([encode_image()[:20]], "none of them readable"),
    ],
)
def test_bytes_of_which_no_feature_is_made(files: list, message: str) -> None:
    reason = find_images("x", files)
    assert isinstance(reason, str)
    assert message in reason


def build_digits(rows: int = 300, **options: object) -> dict:
    rng = np.random.default_rng(4)
    digit = rng.integers(0, 10, rows)
    return {
        "row": np.arange(rows),
        "picture of it": pa.array([encode_image(level=int(n) * 20) for n in digit], pa.binary()),
        "digit": digit,
    }


def test_a_table_of_images_gets_an_image_and_a_convolutional_network(tmp_path: Path) -> None:
    path = write_table(tmp_path / "digits", build_digits())
    recipe = parse_yaml(draft_table(path, "digit").text)
    assert recipe["features"] == {
        "picture_of_it": {
            "kind": "image", "column": "picture of it", "height": 8, "width": 6, "channels": 1,
        },
    }  # fmt: skip
    assert recipe["model"]["kind"] == "cnn"
    assert recipe["label"] == {"expression": "digit", "kind": "classes"}
    assert recipe["split"]["key"] == ["row"]
    offered = draft_table(path).proposal.choices
    assert [label.column for label in offered] == ["digit"]


def test_images_and_a_label_alone_are_enough(tmp_path: Path) -> None:
    table = build_digits()
    del table["row"]
    recipe = parse_yaml(draft_table(write_table(tmp_path / "t", table), "digit").text)
    assert list(recipe["features"]) == ["picture_of_it"]
    assert recipe["split"]["key"] == ["digit", "picture of it"]  # the whole row
    assert recipe["score"]["key"] == ["picture of it"]


def test_the_row_number_is_never_a_feature(tmp_path: Path) -> None:
    table = build_digits()
    table["picture of it"] = [b"no image"] * 300
    for first in (0, 1, 5000):
        numbered = {**table, "row": np.arange(300) + first}
        with pytest.raises(LakeError, match=r"no column is left to predict digit from: row \(num"):
            draft_table(write_table(tmp_path / f"t{first}", numbered), "digit")
