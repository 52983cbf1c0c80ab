"""A drawing by number, as somebody might have made it: what the painter makes of its map, and its outlines by a pen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.caption import Content, describe
from hgc.landscapes.colours import SEASONS, TIMES, Mood, Season, Time
from hgc.landscapes.hand.doodles import doodle
from hgc.landscapes.hand.pens import Pen, outlined
from hgc.landscapes.labels import label
from hgc.landscapes.painter.paint import Painted, paint_map
from hgc.landscapes.scene import VISIBLE_SHARE, Scene, edge_map

STREAM = 14  # keeps a seed's doodle apart from the scene of the same seed
PEN_STREAM = 41  # keeps the pen's shake apart from the drawing's
WORDLESS, MOOD_ONLY = 0.08, 0.2


@dataclass(frozen=True)
class Drawing:
    """A drawing and what the painter makes of it; `lines` uint8 [256, 256] are its outlines by somebody's pen."""

    seed: int
    scene: Scene
    lines: NDArray[np.uint8]

    @classmethod
    def of(cls, seed: int) -> Drawing:
        scene, rng = hand_scene(seed), np.random.default_rng((PEN_STREAM, seed))
        return cls(seed, scene, outlined(scene.labels, Pen.any(rng), rng))

    @property
    def line_map(self) -> NDArray[np.uint8]:
        """The lines as the edge control reads them [256, 256, 3]."""
        return np.repeat(self.lines[..., None], 3, axis=2)


def hand_scene(seed: int, time: Time | None = None, season: Season | None = None) -> Scene:
    """The hand-like drawing of a seed as a scene; time of day and season are drawn from the seed unless given.

    The caption names what is there, part of it, or nothing.
    """
    rng = np.random.default_rng((STREAM, seed))
    drawn = Mood(TIMES[int(rng.integers(4))], SEASONS[int(rng.integers(4))])
    mood = Mood(time or drawn.time, season or drawn.season)
    labels = doodle(rng)
    painted = paint_map(labels, mood, int(rng.integers(2**31)))
    return Scene(
        painted.image, labels, edge_map(painted.image), _caption(mood, labels, painted, rng), mood.time, mood.season
    )


def _caption(mood: Mood, labels: NDArray[np.uint8], painted: Painted, rng: np.random.Generator) -> str:
    share = np.bincount(labels.ravel(), minlength=9) / labels.size
    named = rng.random()
    if named < WORDLESS:
        return ""
    clouds = cv2.connectedComponents((labels == label("cloud")).astype(np.uint8))[0] - 1

    def seen(name: str) -> bool:
        return named >= WORDLESS + MOOD_ONLY and bool(share[label(name)] > VISIBLE_SHARE)

    content = Content(
        time=mood.time,
        season=mood.season,
        disc=seen("sun_moon"),
        clouds=int(clouds) if seen("cloud") else 0,
        mountains=seen("mountain"),
        lake=seen("water"),
        path=seen("path"),
        round_trees=painted.round_trees if seen("tree") else 0,
        pines=painted.pines if seen("tree") else 0,
        houses=painted.houses if seen("house") else 0,
    )
    return describe(content, rng)
