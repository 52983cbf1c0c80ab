"""The course of a training as a picture, from the losses in training.json.

The vertical axis is logarithmic where the highest loss is LOG_FROM times the lowest, or more.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 320, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 34, 30
SCALE = 2  # drawn large, then averaged down, for smooth lines
PAPER, INK, QUIET, GRID = (255, 255, 255), (40, 44, 52), (110, 116, 128), (228, 231, 236)
DOT, LINE = (176, 196, 226), (32, 92, 178)
NEIGHBOURS = 30
LOG_FROM = 5.0  # a linear axis would hide how it ends


@dataclass(frozen=True)
class LossCurve:
    """A stage's losses by step, both of one length, at least two, losses above zero."""

    name: str
    steps: Sequence[float]
    losses: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.losses) or len(self.steps) < 2:
            raise ValueError(f"{self.name}: {len(self.steps)} steps, {len(self.losses)} losses; needs two of each")
        if min(self.losses) <= 0:
            raise ValueError(f"{self.name}: a loss of {min(self.losses)}; a loss is above zero")

    @property
    def smooth(self) -> list[float]:
        """The geometric mean of the losses around each, a NEIGHBOURS-th of them to either side."""
        reach = max(1, len(self.losses) // NEIGHBOURS)
        windows = [self.losses[max(0, i - reach) : i + reach + 1] for i in range(len(self.losses))]
        return [geometric_mean(window) for window in windows]


def draw_losses(record: Path) -> Image.Image:
    """One panel a stage, side by side, of the training.json at `record`; a stage too short for a curve says so."""
    stages: dict[str, Any] = json.loads(record.read_text())["stages"]
    sheet = Image.new("RGB", (WIDTH * len(stages) * SCALE, HEIGHT * SCALE), PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (name, stage) in enumerate(stages.items()):
        noted = stage["losses"]
        _title(pen, name, f"{stage['seconds'] / 60:.0f} min" if len(noted) > 1 else "too short for a curve", i * WIDTH)
        if len(noted) > 1:
            _panel(pen, LossCurve(name, [row[0] for row in noted], [row[1] for row in noted]), i * WIDTH)
    return sheet.resize((WIDTH * len(stages), HEIGHT), Image.Resampling.LANCZOS)


def _title(pen: ImageDraw.ImageDraw, name: str, aside: str, x0: int) -> None:
    pen.text((SCALE * (x0 + LEFT), SCALE * 6), name, INK, ImageFont.load_default(13 * SCALE))
    small = ImageFont.load_default(10 * SCALE)
    pen.text((SCALE * (x0 + WIDTH - RIGHT), SCALE * 9), aside, QUIET, small, anchor="ra")


def _panel(pen: ImageDraw.ImageDraw, course: LossCurve, x0: int) -> None:
    low, high = min(course.losses), max(course.losses)
    logarithmic = high / low >= LOG_FROM
    ticks = _ticks(low, high, logarithmic)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    height = math.log if logarithmic else float

    def at(step: float, loss: float) -> tuple[float, float]:
        across = (step - course.steps[0]) / (course.steps[-1] - course.steps[0])
        up = (height(loss) - height(low)) / (height(high) - height(low)) if high > low else 0.5
        x = x0 + LEFT + across * (WIDTH - LEFT - RIGHT)
        return SCALE * x, SCALE * (HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))

    font = ImageFont.load_default(10 * SCALE)
    for tick in ticks:
        (left, y), (right, _) = at(course.steps[0], tick), at(course.steps[-1], tick)
        pen.line((left, y, right, y), GRID, SCALE)
        pen.text((left - 4 * SCALE, y), f"{tick:g}", QUIET, font, anchor="rm")
    for step, anchor in ((course.steps[0], "la"), (course.steps[-1], "ra")):
        x, y = at(step, low)
        pen.text((x, y + 6 * SCALE), f"{step:,} steps" if anchor == "ra" else f"{step:,}", QUIET, font, anchor=anchor)
    for step, loss in zip(course.steps, course.losses, strict=True):
        x, y = at(step, loss)
        pen.ellipse((x - SCALE, y - SCALE, x + SCALE, y + SCALE), DOT)
    pen.line([at(*point) for point in zip(course.steps, course.smooth, strict=True)], LINE, 2 * SCALE, joint="curve")


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Round values inside the range, or its ends where there are none."""
    if logarithmic:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        candidates = [m * 10.0**e for e in decades for m in (1, 2, 5)]
    else:
        step = 10.0 ** math.floor(math.log10(high - low)) if high > low else high
        step /= 2 if (high - low) / step < 2 else 1
        candidates = [step * n for n in range(math.floor(low / step), math.ceil(high / step) + 1)]
    return [float(f"{c:.6g}") for c in candidates if low <= c <= high] or [low, high]
