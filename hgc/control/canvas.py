"""Drawing to control map: every colour becomes that of a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .images import RGB, WHITE

Pixels = NDArray[np.uint8]
Kind = Literal["labels", "photo", "edges"]
Framing = Literal["crop", "fit", "fill"]

# CIE76 distance below which a colour is taken for the class itself (JPEG noise), not for a blend of two.
SAME_COLOUR = 4.0
# Anti-aliasing and JPEG's colour bleeding reach this many pixels from the shape they belong to.
BLEND_REACH_PX = 3


@dataclass(frozen=True)
class Snapped:
    """A label map: `labels` uint8 [H, W] counts the palette's classes from 0, `map` uint8 [H, W, 3] has their colours.

    `share_snapped` is the share of all pixels that were painted in no exact palette colour,
    `share_unpainted` the share that was bare and took the class for unpainted parts; both 0..1.
    """

    labels: Pixels
    map: Pixels
    share_snapped: float
    share_unpainted: float


def snap(
    image: Pixels,
    palette: Mapping[str, RGB],
    unpainted: str,
    paper: RGB | None = WHITE,
) -> Snapped:
    """Give every pixel the palette class it was meant as.

    `image` is uint8 [H, W, 3] or [H, W, 4]. Exact colours keep their class; others take the nearest one in CIE Lab.
    A blend of two (anti-aliasing) only chooses among the classes painted within BLEND_REACH_PX of it, so that no
    third class appears along an outline. Transparent and paper-coloured pixels take the class `unpainted`.
    """
    if unpainted not in palette:
        raise ValueError(f"class {unpainted!r} for unpainted pixels is not in the palette: {', '.join(palette)}")
    colours = list(palette.values())
    if paper is not None and paper not in colours:
        colours.append(paper)
    names = list(palette)
    rgb, drawn = painted(image)
    exact = _exact(rgb, colours)
    labels = _nearest(rgb, exact, colours, (exact < 0) & drawn)
    bare = ~drawn | (labels >= len(names))
    labels[bare] = names.index(unpainted)
    return Snapped(
        labels=labels.astype(np.uint8),
        map=np.array(colours, np.uint8)[labels],
        share_snapped=float(((exact < 0) & ~bare).mean()),
        share_unpainted=float(bare.mean()),
    )


def painted(image: Pixels) -> tuple[Pixels, NDArray[np.bool_]]:
    """Colours [H, W, 3] and where they were painted [H, W]: alpha at least one half."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"drawing has shape {image.shape} of {image.dtype}; needs uint8 [H, W, 3] or [H, W, 4]")
    if image.shape[2] == 3:
        return image, np.ones(image.shape[:2], np.bool_)
    return image[:, :, :3], image[:, :, 3] >= 128


def codes_of(rgb: Pixels) -> NDArray[np.int32]:
    """Every colour [..., 3] as one number [...]."""
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    return np.asarray(red << 16 | green << 8 | blue)


def _exact(rgb: Pixels, colours: list[RGB]) -> NDArray[np.int16]:
    """The first class [H, W] that has a pixel's very colour, -1 where none has."""
    known, first = np.unique(codes_of(np.array(colours, np.uint8)), return_index=True)
    codes = codes_of(rgb)
    place = np.searchsorted(known, codes).clip(max=len(known) - 1)
    return np.where(known[place] == codes, first[place], -1).astype(np.int16)


def _lab(rgb: Pixels) -> NDArray[np.float32]:
    """CIE Lab of sRGB pixels [..., 3]."""
    flat = rgb.reshape(1, -1, 3).astype(np.float32) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2Lab).reshape(rgb.shape).astype(np.float32)


def _nearest(rgb: Pixels, exact: NDArray[np.int16], colours: list[RGB], off: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Class of every pixel [H, W]; only those `off` the palette are measured."""
    labels = exact.copy()
    if not off.any():
        return labels
    lab, targets = _lab(rgb[off]), _lab(np.array(colours, np.uint8))  # [n, 3], [classes, 3]
    distance = np.stack([np.linalg.norm(lab - target, axis=1) for target in targets])  # [classes, n]
    nearest = distance.argmin(axis=0)
    sure = distance.min(axis=0) < SAME_COLOUR
    labels[off] = np.where(sure, nearest, -1)

    reach = np.ones((2 * BLEND_REACH_PX + 1,) * 2, np.uint8)
    for index in range(len(colours)):
        around = cv2.dilate((labels == index).astype(np.uint8), reach)[off]
        distance[index, around == 0] = np.inf
    beside_any = np.isfinite(distance).any(axis=0)
    labels[off] = np.where(sure | ~beside_any, nearest, distance.argmin(axis=0))
    return labels
