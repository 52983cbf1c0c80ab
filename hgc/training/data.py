"""Painted scenes and hand-like drawings as arrays: pictures with labels, and with time of day and season."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgc.landscapes.caption import Content, describe
from hgc.landscapes.colours import SEASONS, TIMES, Mood, Season, Time
from hgc.landscapes.labels import label
from hgc.landscapes.painter.paint import Painted, paint_map
from hgc.landscapes.scene import VISIBLE_SHARE, Scene, edge_map, paint
from hgc.training.doodles import doodle

STREAM = 14  # keeps a seed's doodle apart from the scene of the same seed
WORDLESS, MOOD_ONLY = 0.08, 0.2
# Disjoint by construction: whatever is measured on EVALUATION_SEEDS was never trained on.
TRAINING_SEEDS = 1_000_000
SEGMENTER_SEEDS = 500_000
READER_SEEDS = 600_000
EVALUATION_SEEDS = 0


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


def lesson(seed: int) -> Scene:
    """A scene the networks learn from: the painter's own at even seeds, a hand-like drawing at odd ones."""
    return hand_scene(seed) if seed % 2 else paint(seed)


def paint_pictures(first_seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [count, 256, 256, 3] and their labels uint8 [count, 256, 256]."""
    scenes = [lesson(first_seed + i) for i in range(count)]
    pictures = np.stack([scene.image for scene in scenes])
    return torch.from_numpy(pictures), torch.from_numpy(np.stack([scene.labels for scene in scenes]))


def paint_moods(first_seed: int, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Pictures averaged down to uint8 [count, side, side, 3], and int64 [count, 2]: numbers of time and season."""
    pictures, moods = [], []
    for seed in range(first_seed, first_seed + count):
        scene = lesson(seed)
        pictures.append(cv2.resize(scene.image, (side, side), interpolation=cv2.INTER_AREA))
        moods.append((TIMES.index(scene.time), SEASONS.index(scene.season)))
    return torch.from_numpy(np.stack(pictures)), torch.tensor(moods)
