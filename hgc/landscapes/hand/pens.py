"""Maps as a hand draws them: lines of the outlines alone, and wobbly borders, blobs, thick or broken lines."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.hand.shapes import Outline, tremor
from hgc.landscapes.labels import CLASSES

Map = NDArray[np.uint8]
# Of two neighbours the one later in this row owns the line between them: every border is drawn once.
BACK_TO_FRONT = ("sky", "sun_moon", "mountain", "cloud", "grass", "water", "path", "tree", "house")
RANK = np.zeros(256, np.uint8)
RANK[: len(CLASSES)] = [BACK_TO_FRONT.index(name) for name in CLASSES]
SHORTEST_PX = 6


@dataclass(frozen=True)
class Pen:
    """How lines come out. `shake` in pixels; `gap` and `missing` are shares of a stroke and of the things."""

    thickness: int = 1
    shake: float = 0.0
    corners_px: float = 0.0
    twice: bool = False
    gap: float = 0.0
    missing: float = 0.0

    @classmethod
    def any(cls, rng: np.random.Generator) -> "Pen":
        """Thin or thick, steady or shaky, neat or sketchy."""
        return cls(
            thickness=int(rng.choice((1, 2, 3, 4, 6), p=(0.4, 0.25, 0.2, 0.1, 0.05))),
            shake=float(rng.choice((0.0, 0.6, 1.2, 2.2), p=(0.4, 0.25, 0.25, 0.1))),
            corners_px=float(rng.choice((0.0, 1.0, 3.0), p=(0.5, 0.3, 0.2))),
            twice=bool(rng.random() < 0.12),
            gap=float(rng.choice((0.0, 0.08, 0.25), p=(0.65, 0.25, 0.1))),
            missing=float(rng.choice((0.0, 0.15, 0.4), p=(0.75, 0.17, 0.08))),
        )


def outlined(labels: Map, pen: Pen, rng: np.random.Generator) -> Map:
    """The lines [H, W], 0 or 255, of a label map [H, W]."""
    sheet = np.zeros_like(labels)
    for stroke in borders(labels):
        if rng.random() < pen.missing:
            continue
        for _ in range(1 + pen.twice):
            _draw(sheet, stroke, pen, rng)
    return sheet


def borders(labels: Map) -> list[Outline]:
    """Every border between two classes once, as points [n, 2] (x, y) in pixels, with nothing along the sheet's edge."""
    rank = np.asarray(cv2.LUT(labels, RANK), np.uint8)
    inner = cv2.dilate(rank, np.ones((3, 3), np.uint8)) == rank
    inner[[0, -1]], inner[:, [0, -1]] = False, False
    strokes: list[Outline] = []
    for number in np.unique(rank):
        if number == 0:
            continue
        outlines, _ = cv2.findContours((rank == number).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            points = outline[:, 0]
            strokes += _runs(points.astype(np.float64), inner[points[:, 1], points[:, 0]])
    return strokes


def _runs(points: Outline, drawn: NDArray[np.bool_]) -> list[Outline]:
    """The parts of a closed outline that are drawn; one that is drawn all around comes back closed."""
    if len(points) < SHORTEST_PX:
        return []
    if drawn.all():
        return [np.concatenate([points, points[:1]])]
    start = int(np.argmin(drawn))
    points, drawn = np.roll(points, -start, axis=0), np.roll(drawn, -start)
    turns = np.flatnonzero(np.diff(np.concatenate([[0], drawn.astype(np.int8), [0]])))
    return [points[a:b] for a, b in turns.reshape(-1, 2) if b - a >= SHORTEST_PX]


def _draw(sheet: Map, stroke: Outline, pen: Pen, rng: np.random.Generator) -> None:
    line = stroke
    if pen.corners_px:
        closed = bool((stroke[0] == stroke[-1]).all())
        line = cv2.approxPolyDP(stroke.astype(np.float32)[:, None], pen.corners_px, False)[:, 0].astype(np.float64)
        if pen.shake:
            line = _dense(line)
        if closed and len(line) < 3:
            return
    if pen.shake:
        line = line + tremor(len(line), pen.shake, rng)
    pieces = [line]
    if pen.gap and len(stroke) > 20:
        start, length = rng.uniform(0, 1), pen.gap * rng.uniform(0.5, 1.5)
        dense = _dense(line)
        first, last = int(start * len(dense)), int((start + length) * len(dense))
        pieces = [dense[:first], dense[last:]]
    for piece in pieces:
        if len(piece) > 1:
            cv2.polylines(sheet, [np.round(piece).astype(np.int32)], False, 255, pen.thickness)


def _dense(line: Outline) -> Outline:
    """About a point a pixel along the line."""
    at = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    where = np.linspace(0, at[-1], max(2, int(at[-1]) + 1))
    return np.stack([np.interp(where, at, line[:, axis]) for axis in (0, 1)], axis=1)


def wobble(picture: Map, reach: float, grain: int, rng: np.random.Generator) -> Map:
    """Shift every pixel by a smooth random field of up to `reach` pixels; `grain` is the field's number of cells."""
    height, width = picture.shape[:2]
    field = rng.uniform(-reach, reach, (2, grain, grain)).astype(np.float32)
    shift_x, shift_y = (cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in field)
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(picture, xs + shift_x, ys + shift_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def blobby(labels: Map, classes: int, radius: float) -> Map:
    """Round every region's corners off: each pixel takes the class that weighs most in a blurred neighbourhood."""
    present = [c for c in range(classes) if (labels == c).any()]
    weights = [cv2.GaussianBlur((labels == c).astype(np.float32), (0, 0), radius) for c in present]
    return np.asarray(present, np.uint8)[np.argmax(weights, axis=0)]


def drawn_labels(labels: Map, classes: int, rng: np.random.Generator) -> Map:
    """A label map [H, W] as a hand would fill it in; often left as it is."""
    if rng.random() < 0.15:
        labels = blobby(labels, classes, rng.uniform(1.0, 2.5))
    if rng.random() < 0.30:
        labels = wobble(labels, rng.uniform(1.0, 4.0), int(rng.choice((10, 18, 30))), rng)
    return labels


def drawn_edges(edges: Map, rng: np.random.Generator) -> Map:
    """An edge map [H, W], 0 or 255, as a pen would draw it; often left as it is."""
    if rng.random() < 0.25:
        edges = without_strokes(edges, rng.uniform(0.05, 0.3), rng)
    if rng.random() < 0.30:
        edges = wobble(edges, rng.uniform(0.5, 2.0), int(rng.choice((12, 24))), rng)
    if rng.random() < 0.30:
        size = int(rng.choice((2, 3)))
        edges = np.asarray(cv2.dilate(edges, np.ones((size, size), np.uint8)), np.uint8)
    return edges


def without_strokes(edges: Map, share: float, rng: np.random.Generator) -> Map:
    """Leave out about `share` of the connected strokes."""
    count, parts = cv2.connectedComponents(edges)
    keep = rng.random(count) >= share
    keep[0] = False
    return np.where(keep[parts], edges, 0).astype(np.uint8)
