"""Trees in any outline: one tree with trunk and crown, or a wood where the outline is too wide for one."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import BIG
from hgc.landscapes.colours import Colour
from hgc.landscapes.painter.masks import inset, shifted
from hgc.landscapes.painter.sheet import Region, Sheet
from hgc.landscapes.relief import is_wood

TRUNK_SHARE = 0.42  # of the greatest width; what is narrower at the foot is trunk
TIERS = ((0.0, 0.38), (0.28, 0.68), (0.58, 1.0))  # of the crown's height
MOST_TREES = 36


def tree(sheet: Sheet, region: Region, pines: bool) -> tuple[int, bool]:
    """Paint a region of trees; how many stand in it, and whether they are pines."""
    height, width = region.mask.shape
    if is_wood(width / BIG, height / BIG):
        return _wood(sheet, region, pines), pines
    distance = 0.35 * max(0.0, 1 - region.height / (0.25 * BIG))
    sheet.fill(region.mask, sheet.mood.shaded(sheet.mood.growth.trunk, distance), region.window)
    crown, pointed = _crown(region.mask)
    if pointed or (pines and region.share < 0.003):
        _pine_crown(sheet, region, crown, distance)
        return 1, True
    _round_crown(sheet, region, crown, _leaf(sheet), distance)
    return 1, False


def _leaf(sheet: Sheet) -> Colour:
    leaves = sheet.mood.growth.leaves
    return leaves[int(sheet.rng.integers(len(leaves)))]


def _crown(mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """The mask without its trunk, and whether it narrows towards its top as a pine does.

    Where the foot is as wide as the rest, a trunk is cut into it.
    """
    widths = mask.sum(axis=1, dtype=np.int32)
    height, widest = len(mask), int(widths.max())
    wide = np.flatnonzero(widths > TRUNK_SHARE * widest)
    cut = int(wide[-1]) + 1
    crown = mask.copy()
    crown[cut:] = 0
    if cut > 0.93 * height:
        xs = np.flatnonzero(mask[int(0.85 * height) :].any(axis=0))
        middle, half = (int(xs.mean()) if len(xs) else mask.shape[1] // 2), max(2, int(0.06 * min(height, 2 * widest)))
        crown[int(0.8 * height) :, max(0, middle - half) : middle + half + 1] = 0
    return crown, _pointed(crown[:cut])


def _pointed(crown: NDArray[np.uint8]) -> bool:
    """Whether a crown is about a triangle: half of its box filled, widest near its foot, its tip in the middle."""
    widths = crown.sum(axis=1, dtype=np.int32)
    rows, columns = np.flatnonzero(crown.any(axis=1)), np.flatnonzero(crown.any(axis=0))
    if len(rows) < 8:
        return False
    top, low, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    height, width = low - top, right - left
    tip = float(crown[top + height // 10].nonzero()[0].mean()) if crown[top + height // 10].any() else left
    filled = widths.sum() / (height * width)
    return bool(
        filled < 0.66
        and int(widths.argmax()) > top + 0.5 * height
        and widths[top : top + height // 4].mean() < 0.42 * width
        and abs(tip - (left + right) / 2) < 0.2 * width
    )


def _round_crown(sheet: Sheet, region: Region, crown: NDArray[np.uint8], leaf: Colour, distance: float) -> None:
    """Shade along the outline away from the light, light in the rest."""
    deep = inset(crown)
    radius = float(deep.max())
    light = shifted(deep, round(sheet.side * 0.17 * radius), round(-0.14 * radius)) > 0.2 * radius
    sheet.fill(crown, sheet.mood.shaded(leaf, distance), region.window)
    sheet.fill(crown & light, sheet.mood.lit(leaf, distance), region.window)


def _pine_crown(sheet: Sheet, region: Region, crown: NDArray[np.uint8], distance: float) -> None:
    """One half in the shade, the tiers' hems on the other; snow on the tips in winter."""
    mood, (height, width) = sheet.mood, crown.shape
    filled = np.flatnonzero(crown.any(axis=1))
    top, low = int(filled[0]), int(filled[-1]) + 1
    columns = np.arange(width)[None]
    weights = crown.sum(axis=1, dtype=np.float32)[:, None].clip(1)
    middle = (crown * columns).sum(axis=1, dtype=np.float32)[:, None] / weights
    shade = ((columns - middle) * sheet.side < 0).view(np.uint8)
    half = weights / 2
    across = np.abs(columns - middle) / half  # 0 in the middle, 1 at the outline
    at = (np.arange(height)[:, None] - top) / max(1, low - top)
    hem = max(2, int(0.035 * (low - top)))
    for _, end in TIERS[:2]:
        drop = end - 0.1 * across
        shade |= ((at > drop) & (at < drop + hem / (low - top))).view(np.uint8)
    bright, dark = mood.lit(mood.growth.pine, distance), mood.shaded(mood.growth.pine, distance)
    sheet.fill(crown, bright, region.window)
    sheet.fill(crown & shade, dark, region.window)
    if mood.growth.snowy:
        snow = np.zeros_like(crown)
        for start, end in TIERS:
            snow |= ((at > start) & (at < start + 0.4 * (end - start) - 0.06 * (1 - across))).view(np.uint8)
        sheet.fill(crown & snow & (across < 0.75), mood.snow(False, distance), region.window)


def _wood(sheet: Sheet, region: Region, pines: bool) -> int:
    """Trees one before another, clipped by the outline."""
    rng, (height, width) = sheet.rng, region.mask.shape
    tall = min(1.0 * height, 0.2 * BIG * rng.uniform(0.7, 1.2))
    growth, mood = sheet.mood.growth, sheet.mood
    sheet.fill(region.mask, mood.shaded(growth.pine if pines else growth.leaves[0], 0.12), region.window)
    scratch = sheet.tones[region.window].copy()
    step = max(0.5 * tall, np.sqrt(height * width / MOST_TREES))
    count = 0
    rows = np.arange(tall, height + 0.6 * step, 0.62 * step)
    for row, foot in enumerate(rows):
        haze = 0.28 * (1 - (row + 1) / len(rows))
        for x in np.arange(0.3 * step * (row % 2), width + 0.5 * step, step):
            at = (x + rng.uniform(-0.2, 0.2) * step, foot + rng.uniform(-0.1, 0.1) * tall)
            count += _one_of_many(sheet, scratch, region.mask, at, tall * rng.uniform(0.85, 1.15), haze, pines)
    np.copyto(sheet.tones[region.window], scratch, where=region.mask.view(np.bool_))
    return max(1, count)


def _one_of_many(
    sheet: Sheet,
    scratch: NDArray[np.uint16],
    mask: NDArray[np.uint8],
    foot: tuple[float, float],
    tall: float,
    haze: float,
    pines: bool,
) -> int:
    x, y = foot
    row, column = round(y - 0.6 * tall), round(x)
    if not (0 <= row < len(mask) and 0 <= column < mask.shape[1] and mask[row, column]):
        return 0
    mood, side = sheet.mood, sheet.side
    thick = max(1, round(0.05 * tall))
    trunk = sheet.tone(mood.shaded(mood.growth.trunk, haze))
    cv2.rectangle(scratch, (column - thick, round(y - 0.3 * tall)), (column + thick, round(y)), trunk, -1)
    if pines:
        bright, dark = (sheet.tone(tone(mood.growth.pine, haze)) for tone in (mood.lit, mood.shaded))
        for top, low, half in ((0.44, 0.12, 0.25), (0.72, 0.34, 0.20), (1.0, 0.60, 0.145)):
            peak, hem = (x, y - top * tall), y - low * tall
            _polygon(scratch, [peak, (x + half * tall, hem), (x - half * tall, hem)], bright)
            _polygon(scratch, [peak, (x - side * half * tall, hem), (x, hem)], dark)
            if mood.growth.snowy:
                cap, reach = peak[1] + 0.45 * (hem - peak[1]), 0.45 * half * tall
                _polygon(scratch, [peak, (x + reach, cap), (x - reach, cap)], sheet.tone(mood.snow(False, haze)))
        return 1
    leaf = _leaf(sheet)
    radius = 0.31 * tall
    middle = (column, round(y - 0.68 * tall))
    cv2.ellipse(
        scratch, middle, (round(radius), round(1.1 * radius)), 0, 0, 360, sheet.tone(mood.shaded(leaf, haze)), -1
    )
    light = (round(x + side * 0.17 * radius), round(y - 0.68 * tall - 0.14 * radius))
    axes = (max(1, round(0.8 * radius)), max(1, round(0.9 * radius)))
    cv2.ellipse(scratch, light, axes, 0, 0, 360, sheet.tone(mood.lit(leaf, haze)), -1)
    return 1


def _polygon(scratch: NDArray[np.uint16], corners: list[tuple[float, float]], tone: int) -> None:
    cv2.fillPoly(scratch, [np.round(np.array(corners)).astype(np.int32)], tone)
