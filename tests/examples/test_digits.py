"""The digits lake is scikit-learn's data, as image files."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

from headrace.examples.digits import ensure_digits_lake
from headrace.progress import ignore_progress

PART = Path("digits", "part-0.parquet")


def test_images_and_digits_are_those_of_the_source(tmp_path: Path) -> None:
    manifest, written = ensure_digits_lake(str(tmp_path / "lake"), ignore_progress)
    assert written
    assert manifest["made"]["rows"] == {"digits": 1_797}
    table = pq.read_table(tmp_path / "lake" / PART)
    assert [str(t) for t in table.schema.types] == ["int64", "binary", "int64"]
    source = load_digits()
    assert table["image_id"].to_pylist() == list(range(1_797))
    assert table["digit"].to_pylist() == source.target.tolist()
    for row in (0, 7, 1_796):
        image = Image.open(io.BytesIO(table["image"][row].as_py()))
        assert (image.format, image.mode, image.size) == ("PNG", "L", (8, 8))
        # 255 / 16 is 15.9 a level, so that dividing gives the level back
        levels = np.asarray(image) / (255 / 16)
        np.testing.assert_allclose(levels, source.images[row], atol=0.04)
    first_line = np.asarray(Image.open(io.BytesIO(table["image"][0].as_py())))[0]
    # the source's first row of pixels is 0 0 5 13 9 1 0 0
    assert first_line.tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        ensure_digits_lake(str(tmp_path / name), ignore_progress)
        files.append((tmp_path / name / PART).read_bytes())
    assert files[0] == files[1]
    _, written = ensure_digits_lake(str(tmp_path / "two"), ignore_progress)
    assert not written
