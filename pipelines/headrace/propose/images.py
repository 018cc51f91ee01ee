"""Tell images in columns of bytes: PNG and JPEG files, their size, and how many have that size."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.propose.names import FeatureNames
from headrace.propose.roles import RecipeEntry, Role

_FORMATS = ("PNG", "JPEG")
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
# Pillow's mode -> channels of the feature; images of other modes are no input of it.
_CHANNELS: Mapping[str, int] = {"L": 1, "RGB": 3, "RGBA": 4}
# Share of the looked-at values that have to be images of one size and mode. Others are quarantined.
_MIN_SHARE = 0.9
# Pixels of an image that a network takes as a start.
_MAX_SIDE = 256


@dataclass(frozen=True)
class ImageColumn:
    """A column of image files, most of which have one size.

    Attributes:
        name: the column.
        height, width, channels: of the images.
        file_format: PNG or JPEG, or both.
        count, total: values of that size, and all that were looked at.
    """

    name: str
    height: int
    width: int
    channels: int
    file_format: str
    count: int
    total: int

    def build_role(self, names: FeatureNames) -> Role:
        """Return the feature that is made of the column."""
        name = names.name_feature(self.name)
        settings: dict[str, Any] = {"kind": "image"}
        if name != self.name:
            settings["column"] = self.name
        settings |= {"height": self.height, "width": self.width, "channels": self.channels}
        others = self.total - self.count
        reason = f"{self.file_format} files"
        if others:
            reason += (
                f"; {others:,} of {self.total:,} that were looked at have another size or mode: "
                "they go to quarantine"
            )
        return Role(self.name, (RecipeEntry(name, settings, reason),))


def find_images(name: str, values: Sequence[bytes | None]) -> ImageColumn | str:
    """Find the size of the images in a column of bytes.

    Args:
        name: the column.
        values: some of its values.

    Returns:
        The images, or why no feature can be made of the column.
    """
    present = [value for value in values if value]
    if not any(value.startswith(_SIGNATURES) for value in present):
        return "bytes that are no PNG or JPEG files"
    sizes: Counter[tuple[int, int, str]] = Counter()
    formats: set[str] = set()
    for value in present:
        described = _describe_image(value)
        if described is not None:
            sizes[described[:3]] += 1
            formats.add(described[3])
    (height, width, mode), count = sizes.most_common(1)[0] if sizes else ((0, 0, ""), 0)
    if count < _MIN_SHARE * len(present):
        listed = ", ".join(f"{h} x {w} {m}" for (h, w, m), _ in sizes.most_common(3))
        return (
            f"images of different sizes or modes ({listed or 'none of them readable'}); write them "
            "in one size to use them"
        )
    if mode not in _CHANNELS:
        wanted = ", ".join(_CHANNELS)
        return f"images of mode {mode}; write them in one of the modes {wanted} to use them"
    if max(height, width) > _MAX_SIDE:
        return (
            f"images of {height} x {width} pixels, which is much for a first network; write them "
            f"with {_MAX_SIDE} pixels a side at most, or add the feature: {{kind: image, height: "
            f"{height}, width: {width}, channels: {_CHANNELS[mode]}}}"
        )
    return ImageColumn(
        name, height, width, _CHANNELS[mode], " and ".join(sorted(formats)), count, len(present)
    )


def _describe_image(value: bytes) -> tuple[int, int, str, str] | None:
    """Return height, width, mode and format of an image file; None where it is none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(value), formats=_FORMATS) as image:
            return image.height, image.width, image.mode, str(image.format)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
