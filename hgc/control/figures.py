"""Poses of made-up people, drawn as OpenPose draws what it finds in a photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .canvas import Pixels

MOST_PEOPLE = 3
# OpenPose's joints by number: joint, the one it hangs on, how far in heads, in about which direction and with what
# play, both in degrees (0 right, 90 down).
BONES: Sequence[tuple[int, int, float, float, float]] = (
    (1, 0, 0.95, 90, 12),  # neck below the nose
    (2, 1, 0.85, 175, 12),  # right shoulder, which a viewer sees on the left
    (3, 2, 1.25, 105, 60),
    (4, 3, 1.15, 105, 75),
    (5, 1, 0.85, 5, 12),
    (6, 5, 1.25, 75, 60),
    (7, 6, 1.15, 75, 75),
    (8, 1, 2.35, 102, 6),  # right hip
    (9, 8, 1.85, 95, 22),
    (10, 9, 1.75, 95, 18),
    (11, 1, 2.35, 78, 6),
    (12, 11, 1.85, 85, 22),
    (13, 12, 1.75, 85, 18),
    (14, 0, 0.22, 225, 10),  # eyes and ears
    (15, 0, 0.22, 315, 10),
    (16, 14, 0.32, 170, 10),
    (17, 15, 0.32, 10, 10),
)
JOINTS = 1 + len(BONES)


def draw_people(seed: int, size: tuple[int, int]) -> Pixels:
    """One to three people on black, uint8 [H, W, 3], their joints and limbs in OpenPose's colours; all in the picture.

    `size` is width and height. The same seed gives the same people.
    """
    from controlnet_aux.open_pose.body import Keypoint
    from controlnet_aux.open_pose.util import draw_bodypose

    rng, (width, height) = np.random.default_rng(seed), size
    sheet = np.zeros((height, width, 3), np.uint8)
    count = int(rng.integers(1, MOST_PEOPLE + 1))
    for number in range(count):
        person = _person(rng)
        tall = rng.uniform(0.62, 0.88) * height
        low, high = person.min(axis=0), person.max(axis=0)
        scale = min(tall / (high[1] - low[1]), 0.9 * width / count / (high[0] - low[0]))
        middle = np.array([width * (number + 0.5) / count, height * rng.uniform(0.93, 0.97)])
        placed = (person - [(low[0] + high[0]) / 2, high[1]]) * scale + middle
        draw_bodypose(sheet, [Keypoint(x / width, y / height) for x, y in placed])
    return sheet


def _person(rng: np.random.Generator) -> np.ndarray:
    """The joints of one [18, 2], in heads from the nose, x to the right and y down; limbs turn as far as they may."""
    places = np.zeros((JOINTS, 2))
    for joint, on, length, direction, play in BONES:
        angle = np.radians(direction + rng.uniform(-play, play))
        places[joint] = places[on] + length * np.array([np.cos(angle), np.sin(angle)])
    return places
