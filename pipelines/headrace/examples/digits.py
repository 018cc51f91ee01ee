"""Write the digits lake, unless it exists: 1,797 handwritten digits of 8 x 8 grey pixels as PNG
files in raw Parquet.

Source: scikit-learn's `load_digits` (the test part of UCI's "Optical Recognition of Handwritten
Digits", CC BY 4.0), which the package contains. Pixels are 0 to 16 there; here they are scaled to
the 0 to 255 of an image file.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

from headrace.examples.folder import ensure_lake
from headrace.progress import Progress, Report

_LEVELS = 16


def ensure_digits_lake(out: str, report: Report) -> tuple[dict[str, Any], bool]:
    """Write the lake into folder `out`, unless it exists: a table `digits`.

    Its columns are `image_id`, `image` (PNG) and `digit`.

    Returns:
        the manifest (rows of each table) and whether it was written now.

    Raises:
        LakeError: `out` has other contents.
    """

    def write_tables(folder: Path) -> dict[str, Any]:
        report(Progress("writing digits", 0, 1))
        digits = load_digits()
        table = pa.table(
            {
                "image_id": pa.array(range(len(digits.target)), pa.int64()),
                "image": pa.array([_encode_png(pixels) for pixels in digits.images], pa.binary()),
                "digit": pa.array(digits.target, pa.int64()),
            }
        )
        (folder / "digits").mkdir()
        pq.write_table(table, folder / "digits" / "part-0.parquet")
        return {"rows": {"digits": table.num_rows}}

    return ensure_lake(out, {"lake": "digits"}, write_tables)


def _encode_png(pixels: np.ndarray) -> bytes:
    """Encode pixels of 0 to 16, float64 (8, 8), as a grey PNG file."""
    grey = np.round(pixels * 255 / _LEVELS).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="PNG")
    return file.getvalue()
