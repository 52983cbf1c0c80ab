"""A picture brought to the model's size: cut, padded or stretched."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .canvas import Framing, Kind, Pixels
from .images import BLACK, RGB


def fit(image: Pixels, size: tuple[int, int], kind: Kind, framing: Framing = "crop", position: float = 0.5) -> Pixels:
    """Resize for the model's (height, width), as CSS's object-fit does.

    `crop` fills it and cuts off what is over, at `position` 0..1 from the left or the top; `fill` stretches; `fit`
    keeps all in its proportions, so that one side stays smaller: `on_sheet` puts it into place. `image` is [H, W] or
    [H, W, C]. Labels are never mixed (nearest), lines never vanish (the brightest pixel wins), photos are averaged
    when shrunk.
    """
    height, width = size
    rows, columns = image.shape[:2]
    if framing == "fill":
        return _resized(image, size, kind)
    scale = (max if framing == "crop" else min)(height / rows, width / columns)
    resized = _resized(image, (max(round(rows * scale), 1), max(round(columns * scale), 1)), kind)
    if framing == "fit":
        return resized
    top, left = (round((over - side) * position) for over, side in zip(resized.shape[:2], size, strict=True))
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def on_sheet(image: Pixels, size: tuple[int, int], bare: RGB = BLACK) -> Pixels:
    """A picture [h, w, 3] in the middle of a sheet (height, width) of one colour."""
    sheet = np.empty((*size, 3), np.uint8)
    sheet[:] = bare
    top, left = ((side - inner) // 2 for side, inner in zip(size, image.shape[:2], strict=True))
    sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def _resized(image: Pixels, size: tuple[int, int], kind: Kind) -> Pixels:
    height, width = size
    if (height, width) == image.shape[:2]:
        return image
    shrink = image.shape[0] / height
    if kind == "edges" and shrink > 1:
        # Each target pixel must see every source pixel it stands for.
        image = cv2.dilate(image, np.ones((math.ceil(shrink),) * 2, np.uint8)).astype(np.uint8)
    if kind == "photo":
        method = cv2.INTER_AREA if shrink > 1 else cv2.INTER_CUBIC
    else:
        method = cv2.INTER_NEAREST_EXACT
    return cv2.resize(image, (width, height), interpolation=method).astype(np.uint8)
