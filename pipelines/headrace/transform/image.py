"""Image files to pixels, with Pillow; and what is wrong with a file that cannot become them."""

import io

import numpy as np
from PIL import Image

_MODE = {1: "L", 3: "RGB", 4: "RGBA"}


def decode(file: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Pixels of a PNG or JPEG file, uint8 (height, width, channels).

    The file's own size and mode must be those wanted: converting or resizing here and in the
    model's graph would not give equal pixels.

    Raises:
        ValueError: says in one sentence what the file is and what is wanted.
    """
    height, width, channels = shape
    try:
        with Image.open(io.BytesIO(file), formats=("PNG", "JPEG")) as image:
            if image.size != (width, height) or image.mode != _MODE[channels]:
                raise ValueError(
                    f"an image of {image.height} x {image.width}, mode {image.mode}; "
                    f"wanted {height} x {width}, mode {_MODE[channels]}"
                )
            return np.asarray(image, np.uint8).reshape(shape)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"no readable PNG or JPEG file: {error}") from None


def problem_of(file: bytes | None, shape: tuple[int, int, int]) -> str | None:
    """Why `decode` would refuse the file, or None; a missing file is no problem."""
    if file is None:
        return None
    try:
        decode(file, shape)
    except ValueError as error:
        return str(error)
    return None
