"""Sky, stars, suns and moons, clouds of any outline."""

import cv2
import numpy as np

from hgc.landscapes.canvas import BIG
from hgc.landscapes.colours import Colour, mix
from hgc.landscapes.painter.masks import inset, shifted
from hgc.landscapes.painter.sheet import Region, Sheet

HALO = ((1.5, 0.16), (0.7, 0.26))  # of the disc's radius beyond its outline; share of the glow
CRATERS = ((-0.35, -0.2, 0.24), (0.3, 0.25, 0.17), (0.15, -0.45, 0.12))
STAR_FREE_PX = 5


def sky(sheet: Sheet) -> None:
    """The gradient from the sheet's upper edge to the lowest sky, by rows."""
    mask = sheet.where("sky")
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return
    counts = np.cumsum(mask.sum(axis=1, dtype=np.int64))
    lowest = int(np.searchsorted(counts, 0.97 * counts[-1]))
    first = int(rows[0]) if rows[0] > BIG // 3 else 0  # a sky at the foot of the sheet has its own zenith
    column = np.repeat(np.array(sheet.mood.light.sky[2:], np.float32), BIG, axis=0)
    height = max(BIG // 4, lowest + 1 - first)
    part = sheet.mood.sky_column(height)[: BIG - first]
    column[first : first + len(part)] = part
    column[:first] = part[0]
    sheet.gradient(mask, column, (slice(None), slice(None)))


def stars(sheet: Sheet) -> None:
    """Dots in the sky, clear of its borders, fewer towards its foot."""
    mask = sheet.where("sky")
    free = cv2.erode(mask, np.ones((2 * STAR_FREE_PX + 1,) * 2, np.uint8), borderValue=1)
    lowest = int(np.flatnonzero(mask.any(axis=1))[-1]) if mask.any() else 0
    for _ in range(int(sheet.rng.integers(14, 34))):
        x = int(sheet.rng.uniform(0.02, 0.98) * BIG)
        y = int(sheet.rng.uniform(0.02, 0.85) * lowest)
        bright, radius = mix((150, 166, 210), (255, 250, 230), sheet.rng.uniform(0, 1)), int(sheet.rng.choice((2, 3)))
        if free[y, x]:
            cv2.circle(sheet.picture, (x, y), radius, (*bright, 0), -1)


def halo(sheet: Sheet, disc: Region) -> None:
    """Two rings of light around a disc, on the sky only."""
    radius = np.sqrt(disc.mask.sum() / np.pi)
    reach = int(min(HALO[0][0] * radius, BIG // 4))
    x0, y0 = max(0, disc.x - reach), max(0, disc.y - reach)
    x1, y1 = min(BIG, disc.x + disc.width + reach), min(BIG, disc.y + disc.height + reach)
    ground = np.ones((y1 - y0, x1 - x0), np.uint8)
    ground[disc.y - y0 : disc.y - y0 + disc.height, disc.x - x0 : disc.x - x0 + disc.width] -= disc.mask
    away = cv2.distanceTransform(ground, cv2.DIST_L2, cv2.DIST_MASK_5)
    window = (slice(y0, y1), slice(x0, x1))
    in_sky = sheet.where("sky")[window]
    for ring, share in HALO:
        sheet.mix(in_sky & (away <= min(ring * radius, reach)), sheet.mood.light.glow, share, window)


def discs(sheet: Sheet, regions: list[Region]) -> None:
    """Suns in one bright tone; moons with three craters."""
    if sheet.mood.time != "night":
        return
    for region in regions:
        deep = inset(region.mask)
        radius = float(deep.max())
        if radius < 6:
            continue
        row, column = np.unravel_index(int(deep.argmax()), deep.shape)
        craters = np.zeros_like(region.mask)
        for dx, dy, size in CRATERS:
            cv2.circle(craters, (int(column + dx * radius), int(row + dy * radius)), max(1, int(size * radius)), 1, -1)
        sheet.fill(craters & region.mask, (222, 218, 198), region.window)


def clouds(sheet: Sheet, regions: list[Region]) -> None:
    """A shaded belly along every lower edge."""
    for region in regions:
        drop = max(2, int(min(0.09 * region.width, 0.32 * region.height, 0.06 * BIG)))
        belly = region.mask & (1 - shifted(region.mask, 0, -drop))
        sheet.fill(belly, cloud_colours(sheet)[1], region.window)


def cloud_colours(sheet: Sheet) -> tuple[Colour, Colour]:
    """Body and belly."""
    return sheet.mood.light.cloud
