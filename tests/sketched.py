"""Sketches as people hand them in, made by program: paper, pen, light and camera; the true lines are known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.metrics import EdgeScore, edge_score

SIDE_PX = 768
# Positions are drawn in sixteenths of a pixel.
SUBPIXELS = 16
# Of the strokes, those that close: sun and crown.
CLOSED = (1, 5)

Colour = tuple[int, int, int]
Gray = NDArray[np.float32]
Strokes = list[NDArray[np.float64]]


@dataclass(frozen=True)
class Sketch:
    """How a sheet was drawn on and photographed. Colours are RGB, widths and spacings pixels of a sheet of SIDE_PX."""

    paper: Colour = (250, 250, 250)
    pens: tuple[Colour, ...] = ((20, 20, 25),)
    width: int = 6
    # Share of a stroke that reaches the paper: 1 is ink, less is pencil or chalk, which skip its grain.
    cover: float = 1.0
    # Standard deviation of the paper's own texture, and of the camera's noise, grey levels.
    grain: float = 0.0
    noise: float = 0.0
    # Of the light: what a gradient from left to right, the corners, and a hand's soft shadow take away.
    gradient: float = 0.0
    vignette: float = 0.0
    shadow: float = 0.0
    # Lines that were printed on the paper, and their distance; both ways on squared paper.
    ruling: Colour | None = None
    spacing: int = 48
    squared: bool = False
    # Half-erased marks, a slow unevenness of the paper, grey levels.
    smudges: float = 0.0
    tilt: float = 0.0
    desk: Colour | None = None
    blur: float = 0.0
    jpeg: int | None = None
    # Closed shapes that are all pen: the sun and the crown of the tree.
    filled: bool = False


SKETCHES = {
    "ink on white": Sketch(),
    "white lines on black": Sketch(paper=(0, 0, 0), pens=((255, 255, 255),)),
    "chalk on slate": Sketch((48, 56, 54), ((232, 232, 226),), 9, 0.75, 5, 3, smudges=6, jpeg=90),
    "chalk on light grey": Sketch((164, 164, 160), ((244, 244, 240),), 9, 0.75, 5, 3, jpeg=90),
    "flat chalk on light grey": Sketch((165, 165, 165), ((245, 245, 245),), 8),
    "ink on dark grey": Sketch((86, 86, 90), ((12, 12, 16),), 7, 1.0, 4, 3, jpeg=90),
    "flat ink on dark grey": Sketch((85, 85, 85), ((15, 15, 15),), 7),
    "pencil in a shadow": Sketch(
        (232, 228, 220), ((95, 95, 98),), 5, 0.8, 4, 4, gradient=0.45, vignette=0.4, shadow=0.45, blur=0.8, jpeg=85
    ),
    "low contrast": Sketch((205, 203, 198), ((165, 164, 162),), 6, 0.9, 2, 2, gradient=0.15, jpeg=92),
    "coloured pens": Sketch(
        pens=((214, 40, 50), (30, 110, 200), (40, 150, 70), (236, 196, 30), (236, 130, 30)), noise=2, jpeg=92
    ),
    "lined notebook": Sketch(
        (246, 245, 238), ((30, 45, 120),), 6, 1, 2, 3, gradient=0.2, vignette=0.2, ruling=(176, 200, 226), jpeg=88
    ),
    "squared paper": Sketch(
        (244, 244, 240), ((40, 40, 46),), 6, 1, 2, 3, gradient=0.2, ruling=(190, 204, 222), squared=True, jpeg=88
    ),
    "phone photo": Sketch(
        (226, 212, 190), ((44, 42, 60),), 6, 0.95, 4, 9, gradient=0.3, vignette=0.35, tilt=0.06, blur=1.2, jpeg=70
    ),
    "phone photo with the desk": Sketch(
        (232, 230, 224), ((40, 42, 50),), 6, 1, 3, 6, 0.25, 0.2, tilt=0.08, desk=(112, 78, 52), blur=1.0, jpeg=75
    ),
    "slate on a light desk": Sketch(
        (52, 58, 58), ((228, 228, 222),), 8, 0.8, 4, 4, 0.2, tilt=0.07, desk=(196, 178, 150), blur=0.8, jpeg=85
    ),
    "paper on a dark desk": Sketch(
        (220, 218, 212), ((60, 60, 66),), 6, 0.9, 3, 5, 0.3, 0.2, 0.3, tilt=0.04, desk=(38, 32, 30), blur=1.0, jpeg=80
    ),
    "pencil at night": Sketch(
        (120, 108, 92), ((52, 48, 44),), 5, 0.85, 4, 7, gradient=0.4, vignette=0.4, shadow=0.3, blur=0.8, jpeg=80
    ),
    "marker, thick": Sketch((240, 240, 238), ((24, 24, 30),), 22, 1, 2, 4, gradient=0.35, vignette=0.3, jpeg=85),
    "gel pen on blue card": Sketch((70, 110, 168), ((238, 240, 244),), 6, 1, 4, 4, gradient=0.25, jpeg=88),
    "filled shapes": Sketch(
        (236, 232, 224), ((34, 34, 40),), 7, 1, 3, 4, gradient=0.35, vignette=0.3, jpeg=85, filled=True
    ),
    "hair-fine pen": Sketch((248, 248, 246), ((30, 30, 34),), 2, 1, 1, 2, gradient=0.15, jpeg=92),
}


def strokes(seed: int) -> Strokes:
    """A hill, a house, a sun and a tree, each a line of points [n, 2] in 0..1, drawn with an unsteady hand."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0.04, 0.96, 60)
    hill = np.stack([x, 0.62 + 0.1 * np.sin(2 * np.pi * (x * rng.uniform(0.8, 1.5) + rng.random()))], axis=1)
    turn = np.linspace(0, 2 * np.pi, 40)[:, None]
    ring = np.hstack([np.cos(turn), np.sin(turn)])
    sun = np.array([rng.uniform(0.62, 0.85), 0.2]) + 0.09 * ring
    left, top = rng.uniform(0.1, 0.3), 0.5
    box = np.array([[0, 0], [0.2, 0], [0.2, 0.22], [0, 0.22], [0, 0], [0.1, -0.13], [0.2, 0]]) + np.array((left, top))
    door = np.array([[0.07, 0.22], [0.07, 0.1], [0.13, 0.1], [0.13, 0.22]]) + np.array((left, top))
    at = np.array([rng.uniform(0.62, 0.8), 0.55])
    trunk = np.array([[-0.02, 0.28], [-0.02, 0.08], [0.02, 0.08], [0.02, 0.28]]) + at
    drawn = [hill, sun, _dense(box), _dense(door), _dense(trunk), at + np.array((0.1, 0.085)) * ring]
    return [line + _unsteady(len(line), rng) for line in drawn]


def _dense(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.linspace(0, len(corners) - 1, 12 * (len(corners) - 1) + 1)
    return np.stack([np.interp(at, np.arange(len(corners)), corners[:, axis]) for axis in (0, 1)], axis=1)


def _unsteady(points: int, rng: np.random.Generator) -> NDArray[np.float64]:
    walk = rng.normal(0, 0.0015, (points, 2)).cumsum(axis=0)
    return walk - np.linspace(0, 1, points)[:, None] * walk[-1]


def truth(drawn: Strokes, side: int, sketch: Sketch) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Where the camera saw the strokes, 255 on 0 [side, side]: their middles, a pixel wide, and all of the pen."""
    middles, pen = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    wide = max(round(sketch.width * side / SIDE_PX), 1)
    for number, line in enumerate(drawn):
        seen = np.round(cv2.perspectiveTransform(line[None] * side, _view(side, sketch.tilt))[0]).astype(np.int32)
        cv2.polylines(middles, [seen], False, 255, 1)
        cv2.polylines(pen, [seen], False, 255, wide)
        if sketch.filled and number in CLOSED:
            cv2.fillPoly(pen, [seen], 255)
    return middles, pen


def score(lines: NDArray[np.uint8], seed: int, sketch: Sketch) -> EdgeScore:
    """How well lines [side, side] are a sketch's, within 2 pixels: none beside the pen, its middles all there."""
    middles, pen = truth(strokes(seed), len(lines), sketch)
    return EdgeScore(edge_score(lines, pen).precision, edge_score(lines, middles).recall)


def _view(side: int, tilt: float) -> NDArray[np.float64]:
    """A sheet seen from an angle; a positive tilt leaves something of the desk at its far end."""
    far = tilt * side
    flat = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    seen = np.array([[far, far * 0.7], [side - far * 0.6, far * 0.3], [side, side], [0, side - far * 0.5]], np.float32)
    return cv2.getPerspectiveTransform(flat, seen)


def picture(sketch: Sketch, seed: int) -> NDArray[np.uint8]:
    """The sheet as it is handed in, uint8 [SIDE_PX, SIDE_PX, 3]."""
    rng = np.random.default_rng(seed)
    sheet = _paper(sketch, rng)
    for number, line in enumerate(strokes(seed)):
        pen = np.array(sketch.pens[number % len(sketch.pens)], np.float32)
        share = _stroke(line, sketch, sketch.filled and number in CLOSED, rng)[:, :, None]
        sheet = sheet * (1 - share) + pen * share
    if sketch.tilt:
        view, beyond = _view(SIDE_PX, sketch.tilt), sketch.desk or sketch.paper
        sheet = cv2.warpPerspective(sheet, view, (SIDE_PX, SIDE_PX), borderValue=[float(c) for c in beyond])
    sheet = sheet * _light(sketch, rng)[:, :, None]
    if sketch.blur:
        sheet = cv2.GaussianBlur(sheet, (0, 0), sketch.blur)
    sheet = sheet + rng.normal(0, 1, sheet.shape) * sketch.noise
    return _compressed(sheet.clip(0, 255).astype(np.uint8), sketch.jpeg)


def _paper(sketch: Sketch, rng: np.random.Generator) -> Gray:
    sheet = np.empty((SIDE_PX, SIDE_PX, 3), np.float32)
    sheet[:] = sketch.paper
    if sketch.ruling is not None:
        for at in range(sketch.spacing // 2, SIDE_PX, sketch.spacing):
            sheet[at : at + 2] = sketch.ruling
            if sketch.squared:
                sheet[:, at : at + 2] = sketch.ruling
    return sheet + sketch.grain * _mottled(1.0, rng)[:, :, None] + sketch.smudges * _mottled(40.0, rng)[:, :, None]


def _mottled(scale_px: float, rng: np.random.Generator) -> Gray:
    """Noise of unit deviation, as coarse as told."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (SIDE_PX, SIDE_PX)).astype(np.float32), (0, 0), scale_px)
    return (noise - noise.mean()) / noise.std()


def _stroke(line: NDArray[np.float64], sketch: Sketch, filled: bool, rng: np.random.Generator) -> Gray:
    """How much of the pen lies on every pixel, 0..1."""
    points = np.round(line * SIDE_PX * SUBPIXELS).astype(np.int32)
    share = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.polylines(share, [points], False, 255, sketch.width, cv2.LINE_AA, SUBPIXELS.bit_length() - 1)
    if filled:
        cv2.fillPoly(share, [points], 255, cv2.LINE_AA, SUBPIXELS.bit_length() - 1)
    if sketch.cover == 1:
        return share.astype(np.float32) / 255
    bare = _mottled(1.2, rng) > np.float32(3 * (sketch.cover - 0.5))
    return share.astype(np.float32) / 255 * np.where(bare, 0.35, 1.0).astype(np.float32)


def _light(sketch: Sketch, rng: np.random.Generator) -> Gray:
    """What of the light reaches every pixel, 0..1."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float32) / SIDE_PX
    light = (1 - sketch.gradient * (1 - x)) * (1 - sketch.vignette * ((x - 0.5) ** 2 + (y - 0.5) ** 2) * 2)
    edge = rng.uniform(0.35, 0.65) + 0.3 * (x - 0.5)
    return np.asarray(light * (1 - sketch.shadow / (1 + np.exp(-(y - edge) * 40))), np.float32)


def _compressed(sheet: NDArray[np.uint8], quality: int | None) -> NDArray[np.uint8]:
    if quality is None:
        return sheet
    packed = cv2.imencode(".jpg", np.ascontiguousarray(sheet[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[:, :, ::-1])
