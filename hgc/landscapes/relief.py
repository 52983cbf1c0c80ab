"""A scene's relief as depth and normal networks draw it, from how near everything is."""

import cv2
import numpy as np
from numpy.typing import NDArray

WHITE = 255


def depth_map(near: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Grey levels [H, W, 3] as MiDaS has them, the nearest white, the farthest black; `size` is width and height."""
    sized = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
    low, high = float(sized.min()), float(sized.max())
    grey = np.round((sized - low) / ((high - low) or 1.0) * WHITE).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def normal_map(near: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Where surfaces face [H, W, 3], in the colours of Bae's network: red to the left, green up, blue to the viewer.

    (Its author in github.com/baegwangbin/DSINE, issue 12: x right, y down, z ahead, of normals that point away from the
    viewer.) A plane aX + bY + cZ = 1, seen through a pinhole, has 1/Z = ax + by + c, so that its normal is read off the
    slopes of `near`. A slope is the smaller one of both sides, so that outlines have none.
    """
    side = len(near)
    x, y = np.meshgrid(*(np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in near.shape[::-1]))
    across, down = (_slope(near, axis) * side for axis in (1, 0))
    ahead = near - x * across - y * down
    normals = np.stack([across, down, ahead], axis=2)
    normals[near == 0] = (0, 0, 1)  # the sky
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    coloured = np.round((normals + 1) / 2 * WHITE).astype(np.uint8)
    return np.asarray(cv2.resize(coloured, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _slope(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The difference to the next place or from the one before, whichever is smaller; 0 where they disagree."""
    step = np.diff(values, axis=axis)
    ends = [(0, 0), (0, 0)]
    after, before = (np.pad(step, [*ends[:axis], pad, *ends[axis + 1 :]], mode="edge") for pad in ((0, 1), (1, 0)))
    smaller = np.where(np.abs(after) < np.abs(before), after, before)
    return np.where(after * before > 0, smaller, np.float32(0))
