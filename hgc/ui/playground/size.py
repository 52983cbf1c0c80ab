"""The size of the picture: the model's own, others of about as many pixels, or one that is typed."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from hgc import limits
from hgc.request import Recipe

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

OWN = "own"
RATIOS = ((1, 1), (4, 3), (3, 2), (16, 9), (3, 4), (2, 3), (9, 16))
Size = tuple[int, int]


def size_of(text: str | None) -> Size | None:
    """Width and height as they are written on the form, None for the model's own. Raises RequestRefused."""
    return None if text in (OWN, "", None) else Recipe.parse({"size": text}).size


def written(size: Size | None) -> str:
    """The inverse of `size_of`."""
    return OWN if size is None else f"{size[0]}x{size[1]}"


def size_like(width: float, height: float, side: int) -> Size:
    """The size of these proportions with about side² pixels, in steps that every family takes."""
    ratio = min(max(width / height, 1 / 4), 4)
    return _stepped(side * sqrt(ratio)), _stepped(side / sqrt(ratio))


def size_choices(side: int) -> list[tuple[str, str]]:
    """Sizes of about as many pixels as the model's own, with their proportions."""
    own = (f"{side} × {side}, the model's own", OWN)
    others = [(ratio, size_like(*ratio, side)) for ratio in RATIOS]
    return [own, *((f"{w} × {h}, about {a}:{b}", written((w, h))) for (a, b), (w, h) in others if w != h)]


def free(studio: Studio) -> bool:
    """Whether a model draws other sizes than its own: the embedded one was trained on one alone."""
    return not studio.world.examples


def _stepped(value: float) -> int:
    step = limits.SIZE_STEP_PX
    return min(max(round(value / step) * step, limits.LEAST_SIDE_PX), limits.MOST_SIDE_PX)
