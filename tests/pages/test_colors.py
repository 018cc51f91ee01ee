"""The colours are told apart on both backgrounds, with and without each kind of cones."""

from itertools import combinations

import numpy as np
import pytest

from headrace.pages import colors

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISIONS = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                 [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
BOTH = [
    (colors.LIGHT, colors.LIGHT_BACKGROUND),
    (colors.DARK, colors.DARK_BACKGROUND),
]


def to_linear(color: str) -> np.ndarray:
    values = np.array([int(color[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D65."""
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]]) @ np.clip(linear, 0, 1)  # fmt: skip
    ratio = xyz / np.array([0.95047, 1, 1.08883])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's ratio of luminances."""
    low, high = sorted(float(to_linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_the_measures_are_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert to_lab(to_linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.02)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(("palette", "background"), BOTH)
def test_colors_are_told_apart(palette: tuple[str, ...], background: str, vision: str) -> None:
    seen = [to_lab(np.array(VISIONS[vision]) @ to_linear(color)) for color in palette]
    for (n, one), (m, other) in combinations(enumerate(seen), 2):
        assert np.linalg.norm(one - other) > 20, (vision, palette[n], palette[m])


@pytest.mark.parametrize(("palette", "background"), BOTH)
def test_colors_stand_out_from_the_page(palette: tuple[str, ...], background: str) -> None:
    assert min(contrast(color, background) for color in palette) >= 3.3


def test_splits_have_colors_of_their_own() -> None:
    assert len(set(colors.SPLIT_COLORS.values())) == 3
    assert colors.get_color(7) == colors.get_color(1)
    assert colors.get_dashes(7) != colors.get_dashes(1)
