"""The map of a painted scene for each control: what an annotator makes of the picture, or what the painter knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from hgc.control.canvas import Pixels
from hgc.control.figures import draw_people
from hgc.control.fitting import fit
from hgc.landscapes.relief import depth_map, normal_map
from hgc.landscapes.scene import Scene, depth_of

Size = tuple[int, int]  # width, height
PEN = 1 / 100  # a scribble's width, as a share of the side
SOFT = 1 / 400  # how far a soft edge reaches
SHORTEST = 1 / 12  # of straight lines
# Read from the picture as a visitor's photo is; these annotators need no weights.
ANNOTATED: Mapping[str, str] = {
    "lineart": "lineart_standard",
    "anime": "lineart_standard",
    "shuffle": "content_shuffle",
}


def canny_map(scene: Scene, size: Size, canny: tuple[int, int]) -> Pixels:
    """The edges of a scene's picture at a size, uint8 [H, W, 3], between these gradients."""
    return _grey(cv2.Canny(_picture(scene, 0, size), *canny))


def drawn_map(control: str, scene: Scene, seed: int, size: Size) -> Pixels:
    """The map of one of `MAPS` at a size, uint8 [H, W, 3]; `seed` is the scene's."""
    return MAPS[control](scene, seed, size)


def _soft_edges(scene: Scene, seed: int, size: Size) -> Pixels:
    """Grey outlines that fade, as HED's: how steep the picture is."""
    grey = cv2.cvtColor(_picture(scene, seed, size), cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    steep = cv2.GaussianBlur(np.hypot(across, down), (0, 0), SOFT * min(size))
    return _grey(steep / max(float(np.quantile(steep, 0.99)), 1.0) * 255)


def _scribble(scene: Scene, seed: int, size: Size) -> Pixels:
    """The outlines of what is there, with a broad pen."""
    labels = cv2.resize(scene.labels, size, interpolation=cv2.INTER_NEAREST)
    outlines = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (int(PEN * min(size)) | 1,) * 2)
    return _grey(cv2.dilate(outlines.astype(np.uint8) * 255, pen))


def _straight_lines(scene: Scene, seed: int, size: Size) -> Pixels:
    """The straight ones of the picture's edges, as M-LSD draws them."""
    edges = cv2.resize(scene.edges, size, interpolation=cv2.INTER_NEAREST)
    least = SHORTEST * min(size)
    segments = cv2.HoughLinesP(edges, 1, np.pi / 180, int(least / 2), minLineLength=least, maxLineGap=least / 8)
    sheet = np.zeros(size[::-1], np.uint8)
    for line in [] if segments is None else segments.reshape(-1, 4):
        cv2.line(sheet, line[:2].tolist(), line[2:].tolist(), 255, 1)
    return _grey(sheet)


def _picture(scene: Scene, seed: int, size: Size) -> Pixels:
    return fit(scene.image, size[::-1], "photo")


def _grey(values: np.ndarray) -> Pixels:
    return np.repeat(values.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


MAPS: Mapping[str, Callable[[Scene, int, Size], Pixels]] = {
    "softedge": _soft_edges,
    "scribble": _scribble,
    "lines": _straight_lines,
    "depth": lambda scene, seed, size: depth_map(depth_of(seed), size),
    "normals": lambda scene, seed, size: normal_map(depth_of(seed), size),
    "pose": lambda scene, seed, size: draw_people(seed, size),
    "tile": _picture,
    "inpaint": _picture,
    "instruction": _picture,
}
