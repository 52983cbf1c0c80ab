"""Depth maps as the world's tools and hands make them: of any range and softness, or shaded region by region."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.labels import CLASSES
from hgc.landscapes.relief import WHITE

Near = NDArray[np.float32]
SHADED, STRETCHED, CURVED, SOFTENED, STEPPED = 0.12, 0.6, 0.6, 0.6, 0.12  # how often
GAMMA = (0.6, 1.6)
SOFTEST_PX = 3.0
LEVELS = (8, 32)


def drawn_greys(near: Near, labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Grey levels [H, W], the nearest brightest, of how near everything in a label map [H, W] is."""
    grey = shaded(near, labels, rng) if rng.random() < SHADED else near
    if rng.random() < STRETCHED:
        low, high = float(grey.min()), float(grey.max())
        grey = (grey - np.float32(low)) / np.float32((high - low) or 1.0)
    if rng.random() < CURVED:
        grey = grey ** np.float32(np.exp(rng.uniform(*np.log(GAMMA))))
    if rng.random() < SOFTENED:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, SOFTEST_PX)), np.float32)
    if rng.random() < STEPPED:
        steps = int(rng.integers(LEVELS[0], LEVELS[1] + 1)) - 1
        grey = np.asarray(np.round(grey * steps) / steps, np.float32)
    return np.round(np.clip(grey, 0, 1) * WHITE).astype(np.uint8)


def shaded(near: Near, labels: NDArray[np.uint8], rng: np.random.Generator) -> Near:
    """Every connected region of a class in one flat grey, as near as it is on the whole, give or take a little."""
    flat = np.zeros_like(near)
    for number in range(len(CLASSES)):
        count, regions = cv2.connectedComponents((labels == number).astype(np.uint8))
        if count == 1:
            continue
        within = regions.ravel()
        means = np.bincount(within, near.ravel(), count) / np.maximum(np.bincount(within, minlength=count), 1)
        greys = np.where(means > 0, means + rng.normal(0, 0.04, count), 0)
        greys[0] = 0  # what is no region of this class
        flat += greys.clip(0, 1)[regions].astype(np.float32)
    return flat
