"""Painted pictures as arrays: for the autoencoder, with labels for the segmenter, with moods for the reader."""

import cv2
import numpy as np
import torch
from torch import Tensor

from hgc.landscapes.colours import SEASONS, TIMES
from hgc.landscapes.scene import Scene, paint
from hgc.training.hands import hand_scene

# Disjoint by construction: whatever is measured on EVALUATION_SEEDS was never trained on.
TRAINING_SEEDS = 1_000_000
SEGMENTER_SEEDS = 500_000
READER_SEEDS = 600_000
EVALUATION_SEEDS = 0


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
