"""Houses in any outline: roof above, wall below, a door and windows as far as there is room."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.colours import Colour, mix
from hgc.landscapes.painter.sheet import Region, Sheet
from hgc.landscapes.scenery import ROOFS, WALLS

ROW_FROM = 2.4  # width over height; a longer house is a row of houses
FULL_WIDTH = 0.9
SMALL_PX = 16
GABLE_SHARE = 0.4  # of the houses seen from their narrow end; the roof is a rim over the wall there


@dataclass(frozen=True)
class _House:
    """The columns [left, right) of a region that are one house, and the row of its eaves."""

    left: int
    right: int
    eaves: int

    @property
    def width(self) -> int:
        return self.right - self.left


def house(sheet: Sheet, region: Region) -> int:
    """Paint a region of houses; how many there are."""
    height, width = region.mask.shape
    count = max(1, round(width / (1.3 * height))) if width > ROW_FROM * height else 1
    bounds = np.linspace(0, width, count + 1).round().astype(int)
    scratch = sheet.tones[region.window].copy()
    for left, right in pairwise(bounds):
        part = region.mask[:, left:right]
        if part.any():
            _one(sheet, scratch, region.mask, _House(int(left), int(right), _eaves(part, count)))
    np.copyto(sheet.tones[region.window], scratch, where=region.mask.view(np.bool_))
    return count


def _eaves(mask: NDArray[np.uint8], count: int) -> int:
    """The row where the outline has reached its full width, if that is where a roof may end."""
    height = len(mask)
    widths = mask.sum(axis=1, dtype=np.int32)
    full = np.flatnonzero(widths >= FULL_WIDTH * widths.max())
    reached = int(full[0]) if len(full) else 0
    if count == 1 and 0.18 * height < reached < 0.75 * height:
        return reached
    return int((0.42 if height < 1.6 * mask.shape[1] else 0.26) * height)


def _one(sheet: Sheet, scratch: NDArray[np.uint16], mask: NDArray[np.uint8], home: _House) -> None:
    rng, mood, height = sheet.rng, sheet.mood, len(mask)
    wall, roof = WALLS[int(rng.integers(len(WALLS)))], ROOFS[int(rng.integers(len(ROOFS)))]
    snowy = mood.growth.snowy
    columns = scratch[:, home.left : home.right]
    turn = int(home.width * 0.45) if home.width > 1.25 * (height - home.eaves) else home.width
    columns[:] = sheet.tone(mood.shaded(wall))
    lit = slice(home.width - turn, home.width) if sheet.side > 0 else slice(0, turn)
    columns[:, lit] = sheet.tone(mood.lit(wall))
    columns[: home.eaves] = sheet.tone(mood.snow(False) if snowy else mood.lit(roof))
    verge = max(1, round(0.07 * height))
    columns[home.eaves - verge : home.eaves] = sheet.tone(mood.snow(True) if snowy else mood.shaded(roof))
    if turn < home.width:  # the slope over the long wall is turned from the light
        rest = slice(0, home.width - turn) if sheet.side > 0 else slice(turn, home.width)
        shade = mood.snow(True) if snowy else mood.shaded(roof)
        columns[: home.eaves - verge, rest] = sheet.tone(
            mix(shade, mood.snow(False) if snowy else mood.lit(roof), 0.45)
        )
    part = mask[:, home.left : home.right]
    if turn == home.width and home.width >= 2 * SMALL_PX and rng.random() < GABLE_SHARE:
        tops = np.where(part.any(axis=0), part.argmax(axis=0), height)
        under = np.arange(height)[:, None] > tops[None] + max(3, round(0.11 * height))
        under[home.eaves :] = False
        columns[under] = sheet.tone(mood.lit(wall))
    if min(home.width, height - home.eaves) >= SMALL_PX:
        _openings(sheet, columns, part, home, turn)


def _openings(sheet: Sheet, columns: NDArray[np.uint16], mask: NDArray[np.uint8], home: _House, turn: int) -> None:
    """A door in the lit wall, windows in the rest, one storey above another in a tower."""
    mood, height = sheet.mood, len(mask)
    glass: Colour = mood.light.window if mood.time != "day" else mix(mood.light.window, (90, 120, 150), 0.4)
    pane, door = sheet.tone(glass), sheet.tone(mood.shaded((128, 84, 62)))
    feet = np.flatnonzero(mask[-3:].any(axis=0))
    base = height - 1 if len(feet) else int(np.flatnonzero(mask.any(axis=1))[-1])
    storey = min(base - home.eaves, int(0.9 * home.width))
    gable = (home.width - turn / 2 if sheet.side > 0 else turn / 2) if turn < home.width else home.width / 2
    half = max(2, round(0.07 * home.width))
    for floor in range(max(1, (base - home.eaves) // max(1, storey))):
        low = base - floor * storey
        if floor == 0:
            _box(columns, gable - half, low - 0.55 * storey, gable + half, low, door)
        centres = _window_columns(home.width, gable, turn, sheet.side, floor)
        for x in centres:
            _box(columns, x - 0.8 * half, low - 0.66 * storey, x + 0.8 * half, low - 0.32 * storey, pane)


def _window_columns(width: int, gable: float, turn: int, side: int, floor: int) -> list[float]:
    if turn < width:
        wall = (width - turn) / 2 if side > 0 else turn + (width - turn) / 2
        return [wall - 0.13 * width, wall + 0.13 * width, *([gable] if floor else [])]
    return [0.22 * width, 0.78 * width, *([gable] if floor else [])]


def _box(columns: NDArray[np.uint16], x0: float, y0: float, x1: float, y1: float, tone: int) -> None:
    cv2.rectangle(columns, (round(x0), round(y0)), (round(x1), round(y1)), tone, -1)
