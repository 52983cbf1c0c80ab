"""Mountains, cliffs and floating rocks: flanks in light and shade from every summit of the outline, snow on top."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import BIG, Points
from hgc.landscapes.colours import Colour, mix
from hgc.landscapes.painter.sheet import Region, Sheet
from hgc.landscapes.terrain import jagged

FAR, NEAR = (0.22, 0.46), 0.14  # how much haze on the tallest and on the lowest summit
SNOW_FROM = 0.10  # of the picture's height; a lower rock carries none
SUMMIT_APART = 0.11
SLAB = 0.26
LEVELS = 3
PLAIN = 0


def mountain(sheet: Sheet, region: Region) -> None:
    """Rock in light and shade below, snow in light and shade above a broken line."""
    mask = region.mask
    tops, foot = profile(mask)
    apex = _windowed(tops, SUMMIT_APART, lowest=False)
    base = _windowed(foot, SUMMIT_APART, lowest=True)
    faces = np.zeros(mask.shape, np.uint8)  # PLAIN, then for each level of haze: lit, shaded
    summits = find_summits(tops, sheet.rng)
    tall = sorted(summits, key=lambda x: tops[x])
    far = sheet.rng.uniform(*FAR)
    for i, x in enumerate(tall):
        level = i * LEVELS // len(tall)
        _flanks(sheet, faces, (x, int(tops[x])), float(base[x]), region.x, 1 + 2 * level)
    snowy = _snowy(sheet, mask.shape, apex, base)
    haze = np.linspace(far, NEAR, LEVELS)
    tones = np.zeros((2, 1 + 2 * LEVELS), np.uint16)  # [snow, face]
    tones[:, PLAIN] = [sheet.tone(colour) for colour in _plain(sheet, far)]
    for level, distance in enumerate(haze):
        for shaded in (False, True):
            rock = (sheet.mood.shaded if shaded else sheet.mood.lit)(sheet.mood.growth.rock, distance)
            snow = sheet.mood.snow(shaded, distance * 0.8)
            tones[:, 1 + 2 * level + shaded] = sheet.tone(rock), sheet.tone(snow)
    np.copyto(sheet.tones[region.window], tones[snowy, faces], where=mask.view(np.bool_))
    hanging(sheet, region, mix(sheet.mood.shaded(sheet.mood.growth.rock, NEAR), (0, 0, 0), 0.22))


def _plain(sheet: Sheet, distance: float) -> tuple[Colour, Colour]:
    rock = sheet.mood.growth.rock
    return mix(sheet.mood.lit(rock, distance), sheet.mood.shaded(rock, distance), 0.45), sheet.mood.snow(
        False, distance
    )


def hanging(sheet: Sheet, region: Region, colour: Colour) -> None:
    """A dark lower edge where nothing but air is under it."""
    if region.y + region.height >= BIG:
        return
    deep = max(3, int(min(0.035 * BIG, 0.2 * region.height)))
    air = np.zeros((region.height, region.width), np.uint8)
    below = sheet.labels[region.y + deep : region.y + region.height + deep, region.x : region.x + region.width]
    air[: len(below)] = below == 0
    sheet.fill(air & region.mask, colour, region.window)


def profile(mask: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """First and last row [w] of the mask in every column; h and 0 where a column is empty."""
    height = len(mask)
    filled = mask.any(axis=0)
    tops = np.where(filled, mask.argmax(axis=0), height).astype(np.float32)
    foot = np.where(filled, height - mask[::-1].argmax(axis=0), 0).astype(np.float32)
    return tops, foot


def _windowed(line: NDArray[np.float32], reach: float, lowest: bool) -> NDArray[np.float32]:
    """The highest (or lowest) point [w] of a line around each column, smoothed."""
    width = 2 * int(reach * BIG / 2) + 1
    kernel = np.ones((1, width), np.uint8)
    spread = (cv2.dilate if lowest else cv2.erode)(line[None], kernel)
    return np.asarray(cv2.blur(spread, (width, 1)), np.float32)[0]


def find_summits(tops: NDArray[np.float32], rng: np.random.Generator) -> list[int]:
    """Columns of the outline's high points; on long level stretches some are put where the outline has none."""
    smooth = cv2.blur(tops[None], (9, 1))[0]
    reach = 2 * int(SUMMIT_APART * BIG / 2) + 1
    level = smooth <= cv2.erode(smooth[None], np.ones((1, reach), np.uint8))[0] + 0.5
    edges = np.flatnonzero(np.diff(np.concatenate([[0], level.astype(np.int8), [0]])))
    summits: list[int] = []
    for start, end in edges.reshape(-1, 2):
        count = 1 + int((end - start) / (SLAB * BIG))
        share = (np.arange(count) + 0.5 + (rng.uniform(-0.25, 0.25, count) if count > 1 else 0)) / count
        summits += [int(x) for x in start + share * (end - start)]
    return summits or [len(tops) // 2]


def _flanks(sheet: Sheet, faces: NDArray[np.uint8], apex: tuple[int, int], base: float, left: int, tone: int) -> None:
    """A mountain's two flanks, parted by a broken ridge; the one towards the light gets `tone`, the other the next."""
    x, y = apex
    rng, height = sheet.rng, max(8.0, base - y)
    width = height * rng.uniform(0.75, 1.05) + 0.05 * BIG
    top = np.array([x, y - 4.0])
    middle = np.array([x + width * rng.uniform(-0.25, 0.25), base])
    ridge = jagged(top, middle, 0.0, rng)
    ridge[1:-1, 0] += rng.uniform(-0.06, 0.06, len(ridge) - 2) * width
    lit_side = -1 if sheet.sun_x < x + left else 1
    for side in (-1, 1):
        corner = np.array([x + side * width, base])
        edge = jagged(top, corner, 0.05, rng)
        outline: Points = np.concatenate([edge, ridge[::-1]])
        cv2.fillPoly(faces, [np.round(outline).astype(np.int32)], tone if side == lit_side else tone + 1)


def _snowy(
    sheet: Sheet, shape: tuple[int, ...], apex: NDArray[np.float32], base: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Where [h, w] snow lies: above a zigzag line a share of the way down from the nearest high point."""
    rng, width = sheet.rng, shape[1]
    tall = base - apex
    reach = rng.uniform(*sheet.mood.growth.snow_reach) * tall
    step = 0.02 * BIG + 0.13 * float(reach.max())  # the higher the mountain, the wider the teeth
    at = np.cumsum(rng.uniform(0.5, 1.5, max(4, int(width / step) + 4))) * step - 2 * step
    zigzag = np.array([1, -0.5])[np.arange(len(at)) % 2] * rng.uniform(0.4, 1.3, len(at))
    hem = np.interp(np.arange(width), at, zigzag) * 0.13 * reach
    line = np.where(tall > SNOW_FROM * BIG, apex + reach + hem, -1)
    return (np.arange(shape[0])[:, None] < line[None]).view(np.uint8)
