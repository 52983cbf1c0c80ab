"""The lines of a sketch, whatever paper, pen and light: white on black, as a model reads them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.filters import apply_hysteresis_threshold, threshold_otsu
from skimage.morphology import remove_small_objects

from .canvas import Pixels, painted

Strength = NDArray[np.float32]
Mask = NDArray[np.bool_]

# A sheet of which this share is one very colour was drawn by a program: that colour is its paper.
FLAT_SHARE = 0.4
# On other sheets what is filled must be narrower than this share of the side: else it is taken for paper.
WIDEST = 0.2
MEDIAN_SIDE_PX = 128
# Contrasts are the logarithm of pixel over paper, so that a pen is as strong in a shadow as in the light. The offset,
# in grey levels, keeps the noise of black paper from counting as contrast.
DARK_OFFSET = 24.0
# Below this contrast, or this many times the paper's own grain, nothing is a line.
LEAST_CONTRAST = 0.08
LEAST_GRAINS = 4.0
# The strongest of a sheet's lines are this much above that; else they are chance.
CLEAR = 1.5
# Of the contrast that parts lines from paper: what starts a line, and what only goes on with one.
STARTS, GOES_ON = 0.6, 0.35
# Strokes are thinner than this share of the side.
STROKE = 1 / 12
# Specks are smaller than this share of the side, squared.
SPECK = 1 / 64
# A sketch is mostly paper; above this share of line the picture is more likely a photo.
LINE_SHARE_LIMIT = 0.35
NONE_FOUND = "no lines were found: the control map is empty"
NO_SKETCH = "painted areas and photos have their own ways to be read: label map, or a detector such as Canny"
DARK_PEN = "dark lines on lighter paper: turned round, white on black"
LIGHT_PEN = "light lines on darker paper: made white on black"
# Light lines on paper as dark as this, grey levels, are white on black already.
BLACK_PAPER = 32
# Paper that is darker in places by more than this share is said to be.
UNEVEN_SHARE = 0.2


@dataclass(frozen=True)
class EdgeMap:
    """White lines on black, uint8 [H, W, 3] of 0 and 255; `inverted` where they were dark on light."""

    map: Pixels
    inverted: bool
    notes: tuple[str, ...] = ()


def edge_map(image: Pixels) -> EdgeMap:
    """Clean white lines on black from a sketch of either polarity, uint8 [H, W, 3] or [H, W, 4].

    On a sheet with bare parts the painted ones are the lines. Elsewhere a line is what differs from the paper around
    it, all to one side, lighter or darker. A sheet without any comes out black, and says so.
    """
    rgb, drawn = painted(image)
    if 0 < drawn.mean() < LINE_SHARE_LIMIT:
        # A dark pen was meant for a light sheet.
        inverted = bool(rgb[drawn].mean() < 128)
        return _told(drawn, inverted, (DARK_PEN,) if inverted else ())
    rgb = np.where(drawn[:, :, None], rgb, _most_common(rgb[drawn]) if drawn.any() else 0).astype(np.uint8)
    common = _most_common(rgb.reshape(-1, 3))
    flat = (rgb == common).all(axis=2).mean() >= FLAT_SHARE
    lines, inverted = _on_flat_paper(rgb, common) if flat else _on_photographed_paper(rgb)
    paper = np.broadcast_to(common, rgb.shape) if flat else _median(rgb)
    return _told(lines, inverted, _deeds(paper, inverted), varied=bool(rgb.std() > LEAST_CONTRAST * 255))


def _deeds(paper: Pixels, inverted: bool) -> tuple[str, ...]:
    """In plain words, what was done to a sheet on which lines were found."""
    grey = paper.mean(axis=2)
    low, high = np.percentile(grey, (2, 98))
    deeds: tuple[str, ...] = (DARK_PEN,) if inverted else (LIGHT_PEN,) if np.median(grey) > BLACK_PAPER else ()
    if low < (1 - UNEVEN_SHARE) * high:
        deeds += (f"the paper is up to {1 - low / high:.0%} darker in places: the light was evened out",)
    return deeds


def _told(lines: Mask, inverted: bool, notes: tuple[str, ...], varied: bool = False) -> EdgeMap:
    """The map with its notes; of a `varied` picture without lines, what else it may be."""
    share = float(lines.mean())
    if not share:
        return EdgeMap(_white(lines), False, (NONE_FOUND, NO_SKETCH) if varied else (NONE_FOUND,))
    if share > LINE_SHARE_LIMIT:
        notes += (f"{share:.0%} of the picture became line: for a photo, choose a detector such as Canny",)
    return EdgeMap(_white(lines), inverted, notes)


def detected(drawn: Pixels) -> EdgeMap:
    """The lines of a detector's map, uint8 [H, W, 3], which are light on black: its soft ones made white or black."""
    grey = drawn.max(axis=2)
    lines = grey > threshold_otsu(grey) if grey.min() < grey.max() else np.zeros(grey.shape, np.bool_)
    return _told(lines, False, ())


def _white(lines: Mask) -> Pixels:
    return np.repeat(lines[:, :, None].astype(np.uint8) * np.uint8(255), 3, axis=2)


def _most_common(pixels: Pixels) -> Pixels:
    """The most frequent colour of pixels [n, 3]."""
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colours, counts = np.unique(packed, return_counts=True)
    return np.array([colours[counts.argmax()] >> shift & 255 for shift in (16, 8, 0)], np.uint8)


def _on_flat_paper(rgb: Pixels, paper: Pixels) -> tuple[Mask, bool]:
    """Where lines are [H, W] on a sheet drawn by program: all that is not paper; and whether most of it is darker."""
    above = (rgb.astype(np.float32) - paper) / 255
    lighter, darker = above.max(axis=2).clip(0), (-above).max(axis=2).clip(0)
    return _parted(np.maximum(lighter, darker), LEAST_CONTRAST), bool(darker.sum() > lighter.sum())


def _on_photographed_paper(rgb: Pixels) -> tuple[Mask, bool]:
    """Where lines are [H, W] on paper under uneven light; and whether they are the darker side of it."""
    lighter, darker = _contrasts(rgb, _median(rgb))
    inverted = _weight(darker) > _weight(lighter)
    strength = darker if inverted else lighter
    lines = _parted(strength, _floor(strength))
    if lines.any() and np.percentile(strength[lines], 90) < CLEAR * _floor(strength):
        lines[:] = False
    speck = int((SPECK * min(strength.shape)) ** 2)
    return np.asarray(remove_small_objects(lines, max_size=speck, connectivity=2), np.bool_), inverted


def _contrasts(rgb: Pixels, paper: Pixels) -> tuple[Strength, Strength]:
    """How much lighter and how much darker every pixel is than its paper [H, W], in the channel that shows it best.

    Where a whole square of the picture is as light or as dark as the pixel, that is paper too: the sheet's corners on a
    desk, the desk itself, the rim of a shadow.
    """
    square = int(WIDEST * min(rgb.shape[:2])) | 1
    # Beyond its rim the picture goes on as it ends there.
    padded = cv2.copyMakeBorder(rgb, *(square,) * 4, borderType=cv2.BORDER_REPLICATE)
    inside, kernel = np.s_[square:-square, square:-square], np.ones((square, square), np.uint8)
    darkest = np.minimum(paper, cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)[inside])
    lightest = np.maximum(paper, cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)[inside])
    logs, low, high = (np.log(colours.astype(np.float32) + DARK_OFFSET) for colours in (rgb, darkest, lightest))
    return (logs - high).max(axis=2).clip(0), (low - logs).max(axis=2).clip(0)


def _median(rgb: Pixels) -> Pixels:
    """The median around every pixel, over a square twice as wide as the widest shape that can be drawn."""
    rows, columns = rgb.shape[:2]
    scale = MEDIAN_SIDE_PX / min(rows, columns)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    paper = cv2.medianBlur(np.ascontiguousarray(small), int(2 * WIDEST * min(small.shape[:2])) | 1)
    return cv2.resize(paper, (columns, rows), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _floor(strength: Strength) -> float:
    """The height of the paper's own grain; its deviation is read from the median, which few lines hardly move."""
    return max(LEAST_CONTRAST, LEAST_GRAINS * 1.4826 * float(np.median(strength)))


def _weight(strength: Strength) -> float:
    """How much there is of lines; what is wider than a stroke is none."""
    wide = np.ones((int(STROKE * min(strength.shape)) | 1,) * 2, np.uint8)
    thin = cv2.morphologyEx(strength, cv2.MORPH_TOPHAT, wide)
    return float(thin[thin > _floor(strength)].sum())


def _parted(strength: Strength, floor: float) -> Mask:
    """The stronger half of what stands out above `floor`, and the weaker where it goes on from there [H, W]."""
    above = strength[strength > floor]
    if not len(above):
        return np.zeros(strength.shape, np.bool_)
    between = float(threshold_otsu(above)) if above.min() < above.max() else float(above[0])
    return np.asarray(
        apply_hysteresis_threshold(strength, max(GOES_ON * between, floor), max(STARTS * between, floor)), np.bool_
    )
