"""Grass, water and paths of any outline."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import BIG
from hgc.landscapes.colours import Colour, mix
from hgc.landscapes.painter.masks import inset, shifted
from hgc.landscapes.painter.mountains import hanging
from hgc.landscapes.painter.sheet import Region, Sheet

LAND = ("mountain", "grass", "path", "tree", "house")
BEHIND = ("sky", "sun_moon", "cloud", "mountain", "water")
BANK_PX = 5


def grass(sheet: Sheet, regions: list[Region]) -> None:
    """Rolls of ground one before another, each lighter along its crest; a bank at the water, earth above the air."""
    mask = sheet.where("grass")
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return
    first, last = int(rows[0]), int(rows[-1]) + 1
    count = 1 + int(sheet.rng.integers(0, 2)) + int(3.2 * (last - first) / BIG)
    near = (np.linspace(first, last, count + 1)[:-1] / BIG).clip(0, 1)
    layers = np.zeros((BIG, BIG), np.uint8)
    for i, level in enumerate(near):
        hill = rolling(sheet, level * BIG) if i else np.full(65, -9.0)
        _fill_below(layers, hill, 2 * i + 1)
        if i:
            _fill_below(layers, hill - _crest(sheet, i, count), 2 * i)
            _fill_below(layers, hill, 2 * i + 1)
    tones = np.zeros(2 * count + 2, np.uint16)
    for i in range(count):
        crest, body = grass_colours(sheet, 0.5 * (1 - i / count) if count > 1 else 0.15)
        tones[2 * i], tones[2 * i + 1] = sheet.tone(crest), sheet.tone(body)
    np.copyto(sheet.tones, tones[layers], where=mask.view(np.bool_))
    edge = max(4, _crest(sheet, 0, count))
    sheet.fill(mask & sheet.beside(0, -edge, *BEHIND), grass_colours(sheet, 0.5 if count > 1 else 0.15)[0])
    bank = sheet.mood.snow(True) if sheet.mood.growth.snowy else sheet.mood.shaded(sheet.mood.growth.grass)
    sheet.fill(mask & sheet.beside(0, -BANK_PX, "water"), bank)
    for region in regions:
        hanging(sheet, region, sheet.mood.shaded(sheet.mood.growth.trunk))


def grass_colours(sheet: Sheet, haze: float) -> tuple[Colour, Colour]:
    """Crest and body of a roll of ground."""
    mood = sheet.mood
    if mood.growth.snowy:
        crest = mood.snow(False, haze)
        return crest, mix(crest, mood.snow(True, haze), 0.5)
    return mood.lit(mood.growth.meadow, haze), mood.lit(mood.growth.grass, haze)


def _crest(sheet: Sheet, layer: int, count: int) -> int:
    return int(BIG * (0.012 + 0.04 * layer / count * sheet.rng.uniform(0.6, 1.2)))


def rolling(sheet: Sheet, level: float) -> NDArray[np.float64]:
    """A hill line y [65] across the picture."""
    rng, at = sheet.rng, np.linspace(0, 1, 65)
    swing = rng.uniform(0.012, 0.04) * BIG
    line = np.sin(at * rng.uniform(2.2, 4.6) + rng.uniform(0, 6.3))
    return np.asarray(level + swing * (line + 0.35 * np.sin(at * rng.uniform(6, 9) + rng.uniform(0, 6.3))))


def _fill_below(layers: NDArray[np.uint8], line: NDArray[np.float64], tone: int) -> None:
    xs = np.linspace(0, BIG, len(line))
    outline = np.concatenate([np.stack([xs, line], axis=1), [[BIG, BIG], [0, BIG]]])
    cv2.fillPoly(layers, [np.round(outline).astype(np.int32)], tone)


def water(sheet: Sheet, region: Region) -> None:
    """The sky upside down in its rows."""
    rows, mood = region.height, sheet.mood
    mirrored = mood.sky_column(2 * rows)[::-1][rows // 4 : rows // 4 + rows]
    colours = mirrored * 0.78 + np.array(mood.lit(mood.growth.water), np.float32) * 0.22
    sheet.gradient(region.mask, colours.astype(np.float32), region.window)


def shimmer(sheet: Sheet, region: Region) -> None:
    """Water darker under a shore above it, and streaks of light."""
    deep = max(3, int(min(0.16 * region.height, 0.045 * BIG)))
    shore = sheet.beside(0, -deep, *LAND)[region.window] & region.mask
    sheet.mix(shore, sheet.mood.shaded(sheet.mood.growth.water, 0.1), 0.32, region.window)
    _glints(sheet, region)


def _glints(sheet: Sheet, region: Region) -> None:
    """Level streaks, gathered under the sun or moon where it stands above."""
    rng, (height, width) = sheet.rng, region.mask.shape
    streaks = np.zeros_like(region.mask)
    under = region.x < sheet.sun_x < region.x + width
    middle = sheet.sun_x - region.x if under else width / 2
    for _ in range(int(rng.integers(3, 6)) if region.share > 0.004 else 1):
        x = middle + rng.normal(0, 0.14) * width * (0.3 if under else 1.0)
        row = int(height * rng.uniform(0.2, 0.85))
        length = rng.uniform(0.05, 0.14) * min(width, 0.7 * BIG)
        cv2.line(streaks, (round(x - length), row), (round(x + length), row), 1, 4)
    sheet.mix(streaks & region.mask, sheet.mood.light.disc, 0.55 if under else 0.30, region.window)


def path(sheet: Sheet, region: Region) -> None:
    """A darker band along the side away from the light, at any course and width."""
    deep = inset(region.mask)
    half = cv2.dilate(deep, np.ones((9, 9), np.uint8))
    away = shifted(deep, -2 * sheet.side, 0) if region.height > 0.4 * region.width else shifted(deep, 0, 2)
    dark = region.mask & (away > deep) & (deep < 0.55 * half)
    sheet.fill(dark, sheet.mood.lit(mix(sheet.mood.growth.path, (150, 120, 90), 0.30)), region.window)
