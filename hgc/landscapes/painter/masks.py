"""Masks: of a map's classes, moved, and how far each pixel lies from the outline."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.labels import CLASSES, label

Mask = NDArray[np.uint8]  # [h, w], 0 or 1


def member(labels: NDArray[np.uint8], *names: str) -> Mask:
    """Mask of the pixels of one class, or of several."""
    if len(names) == 1:
        return (labels == label(names[0])).view(np.uint8)
    table = np.zeros(256, np.uint8)
    table[[CLASSES.index(name) for name in names]] = 1
    return np.asarray(cv2.LUT(labels, table), np.uint8)


def shifted(mask: NDArray, dx: int, dy: int) -> NDArray:
    """The mask moved by (dx, dy) pixels; zeros come in."""
    height, width = mask.shape
    moved = np.zeros_like(mask)
    if abs(dx) >= width or abs(dy) >= height:
        return moved
    moved[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)] = mask[
        max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)
    ]
    return moved


def inset(mask: Mask) -> NDArray[np.float32]:
    """How far [h, w] every pixel of the mask lies from its outline, in pixels; the window's border is an outline."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1], np.float32)
