"""Label maps as people draw them: crude, shaky, overlapping, half empty; any class anywhere.

labels = doodle(np.random.default_rng(7))
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import SIZE
from hgc.landscapes.hand import shapes
from hgc.landscapes.hand.pens import blobby, wobble
from hgc.landscapes.hand.shapes import Outline, Shape, by_hand, tremor
from hgc.landscapes.labels import CLASSES, label
from hgc.landscapes.scene import paint

Map = NDArray[np.uint8]

SHAPES: dict[str, tuple[Shape, ...]] = {
    "sky": (shapes.blob, shapes.polygon),
    "sun_moon": (shapes.disc, shapes.disc, shapes.disc, shapes.blob, shapes.polygon),
    "cloud": (shapes.bumpy, shapes.bumpy, shapes.blob, shapes.disc),
    "mountain": (
        shapes.triangle,
        shapes.range_of_peaks,
        shapes.range_of_peaks,
        shapes.slab,
        shapes.polygon,
        shapes.blob,
    ),
    "grass": (shapes.blob, shapes.disc, shapes.box, shapes.polygon),
    "water": (shapes.blob, shapes.disc, shapes.disc, shapes.box, shapes.polygon),
    "path": (shapes.blob, shapes.box, shapes.polygon),
    "tree": (shapes.lollipop, shapes.lollipop, shapes.spruce, shapes.spruce, shapes.blob, shapes.triangle),
    "house": (shapes.gabled, shapes.gabled, shapes.cottage, shapes.box, shapes.box),
}
# Half the width and half the height of a thing, as shares of the sheet: least and most.
SIZES: dict[str, tuple[float, float, float, float]] = {
    "sun_moon": (0.03, 0.13, 0.03, 0.13),
    "cloud": (0.06, 0.2, 0.03, 0.09),
    "mountain": (0.1, 0.5, 0.08, 0.3),
    "grass": (0.1, 0.4, 0.03, 0.14),
    "water": (0.1, 0.42, 0.03, 0.14),
    "path": (0.03, 0.1, 0.05, 0.25),
    "tree": (0.02, 0.11, 0.04, 0.2),
    "house": (0.03, 0.16, 0.03, 0.16),
}
ANY_SIZE = (0.02, 0.5)


@dataclass
class PenHand:
    """Someone drawing on a map [SIZE, SIZE]: how much the pen shakes, and how often things are hatched, not filled."""

    rng: np.random.Generator
    shake: float
    hatching: float

    def __post_init__(self) -> None:
        self.labels: Map = np.zeros((SIZE, SIZE), np.uint8)

    def fill(self, outline: Outline, name: str) -> None:
        """A closed outline in 0..1 of the sheet."""
        corners = [np.round(outline * SIZE).astype(np.int32)]
        if self.rng.random() >= self.hatching:
            cv2.fillPoly(self.labels, corners, label(name))
            return
        inside = np.zeros_like(self.labels)
        cv2.fillPoly(inside, corners, 1)
        self.labels[(inside & self._hatch()) > 0] = label(name)

    def _hatch(self) -> Map:
        """Thick strokes to and fro over the whole sheet, with gaps here and there."""
        strokes = np.zeros_like(self.labels)
        thick = int(self.rng.integers(5, 16))
        step, lean = thick * self.rng.uniform(0.8, 1.35), self.rng.uniform(-0.5, 0.5)
        rows = np.arange(-SIZE // 2, 3 * SIZE // 2, step)
        xs = np.where(np.arange(len(rows)) % 2 == 0, -8, SIZE + 8)
        points = np.stack([xs, rows + lean * xs], axis=1) + self.rng.normal(0, 2, (len(rows), 2))
        cv2.polylines(strokes, [np.round(points).astype(np.int32)], False, 1, thick)
        return strokes

    def stroke(self, points: Outline, name: str, width: float) -> None:
        """An open line in 0..1 of the sheet."""
        line = np.round(points * SIZE).astype(np.int32)
        cv2.polylines(self.labels, [line], False, label(name), max(1, round(width * SIZE)))

    def thing(self, name: str, x: float, y: float, half_x: float, half_y: float) -> None:
        """Something of a class with its middle at (x, y)."""
        kinds = SHAPES[name]
        outline = kinds[int(self.rng.integers(len(kinds)))](self.rng) * [half_x, half_y] + [x, y]
        self.fill(by_hand(outline, self.shake, self.rng), name)

    def usual(self, name: str, x: float, y: float) -> tuple[float, float]:
        """The same in one of its usual sizes, which are given back."""
        least_x, most_x, least_y, most_y = SIZES[name]
        half_x = float(np.exp(self.rng.uniform(np.log(least_x), np.log(most_x))))
        half_y = float(np.exp(self.rng.uniform(np.log(least_y), np.log(most_y))))
        if name == "sun_moon":
            half_y = half_x * self.rng.uniform(0.9, 1.1)
        self.thing(name, x, y, half_x, half_y)
        return half_x, half_y

    def standing(self, name: str, x: float, foot: float, size: float) -> None:
        """A tree or a house with its foot at `foot`, `size` high."""
        slim = self.rng.uniform(0.25, 0.5) if name == "tree" else self.rng.uniform(0.4, 0.75)
        if name == "tree" and self.rng.random() < 0.15:  # a stick with a crown
            self.stroke(np.array([[x, foot], [x, foot - 0.6 * size]]), name, self.rng.uniform(0.008, 0.02))
            self.thing(name, x, foot - 0.72 * size, slim * size, 0.3 * size)
            return
        self.thing(name, x, foot - size / 2, slim * size, size / 2)

    def way(self, name: str, top: float) -> None:
        """A path or river: from somewhere to the lower edge, or across."""
        rng, width = self.rng, self.rng.uniform(0.015, 0.09)
        if rng.random() < 0.25:
            level = rng.uniform(min(top, 0.95), 0.95)
            ends = np.array([[-0.05, level], [1.05, level + rng.uniform(-0.12, 0.12)]])
        else:
            ends = np.array([[rng.uniform(0.1, 0.9), top], [rng.uniform(0.0, 1.0), 1.05]])
        count = int(rng.integers(2, 7))
        at = np.linspace(0, 1, count)[:, None]
        corners = ends[0] + (ends[1] - ends[0]) * at
        corners[1:-1, 0] += rng.uniform(-0.2, 0.2, count - 2)
        if rng.random() < 0.5:  # round the corners
            dense = np.linspace(0, 1, 40)
            corners = np.stack([np.interp(dense, at[:, 0], corners[:, axis]) for axis in (0, 1)], axis=1)
            corners = np.asarray(cv2.blur(corners, (1, 7), borderType=cv2.BORDER_REPLICATE))
        line = corners + tremor(len(corners), self.shake, rng)
        if rng.random() < 0.4:  # wider as it comes near
            growing = np.linspace(0.3, 1.6, len(line))[:, None] * [[width / 2, 0]]
            self.fill(np.concatenate([line - growing, (line + growing)[::-1]]), name)
        else:
            self.stroke(line, name, width)


def doodle(rng: np.random.Generator) -> Map:
    """A label map uint8 [256, 256] that somebody might have drawn."""
    labels = _drawing(rng)
    if rng.random() < 0.06:  # two sheets pasted together
        other, cut = _drawing(rng), int(rng.uniform(0.25, 0.75) * SIZE)
        half = (slice(None), slice(cut, None)) if rng.random() < 0.6 else (slice(cut, None), slice(None))
        labels[half] = other[half]
    if rng.random() < 0.5:
        labels = labels[:, ::-1]
    if rng.random() < 0.04:
        labels = labels[::-1]
    if rng.random() < 0.05:  # cut out of a larger sheet
        left, top = (int(v) for v in rng.integers(0, SIZE // 3, 2))
        side = int(rng.integers(SIZE // 2, SIZE - max(left, top)))
        part = labels[top : top + side, left : left + side]
        labels = np.asarray(cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST), np.uint8)
    if rng.random() < 0.15:
        labels = wobble(np.ascontiguousarray(labels), rng.uniform(1.0, 6.0), int(rng.choice((6, 10, 18))), rng)
    return np.ascontiguousarray(labels)


def _drawing(rng: np.random.Generator) -> Map:
    draw = rng.random()
    if draw < 0.10:
        return _scene_redrawn(rng)
    hand = PenHand(rng, rng.choice((0.0, 0.002, 0.005, 0.01)), 0.7 if rng.random() < 0.06 else 0.0)
    if draw < 0.66:
        _landscape(hand)
    elif draw < 0.90:
        _anything(hand)
    else:
        _zones(hand)
    return hand.labels


def _scene_redrawn(rng: np.random.Generator) -> Map:
    labels = paint(int(rng.integers(2**31))).labels
    labels = wobble(labels, rng.uniform(2.0, 9.0), int(rng.choice((6, 10, 18))), rng)
    return blobby(labels, len(CLASSES), rng.uniform(1.0, 4.0)) if rng.random() < 0.5 else labels


def _landscape(hand: PenHand) -> None:
    """Sky above, ground below, and on them what a person would want to see there; or bare paper in places."""
    rng = hand.rng
    horizon = rng.uniform(0.3, 0.8)
    for _ in range(int(rng.choice(4, p=(0.3, 0.55, 0.1, 0.05)))):
        hand.usual("sun_moon", rng.uniform(0, 1), horizon * rng.uniform(0.0, 0.95))
    for _ in range(int(rng.choice(4, p=(0.45, 0.25, 0.2, 0.1)))):
        hand.usual("cloud", rng.uniform(0, 1), horizon * rng.uniform(0.05, 0.8))
    for _ in range(int(rng.choice(4, p=(0.45, 0.3, 0.15, 0.1)))):
        half_x, half_y = rng.uniform(0.12, 0.6), rng.uniform(0.05, 0.6 * horizon)
        hand.thing("mountain", rng.uniform(0, 1), horizon - 0.6 * half_y + 0.05, half_x, half_y)
    _ground(hand, horizon)
    _on_the_ground(hand, horizon)


def _ground(hand: PenHand, horizon: float) -> None:
    rng = hand.rng
    xs = np.linspace(-0.05, 1.05, 60)
    ys = horizon + rng.uniform(-0.1, 0.1) * xs
    if rng.random() < 0.5:
        ys = horizon + rng.uniform(0, 0.06) * np.sin(xs * rng.uniform(2, 7) + rng.uniform(0, 6))
    line = np.stack([xs, ys], axis=1) + tremor(len(xs), hand.shake, rng)
    below = np.concatenate([line, [[1.05, 1.05], [-0.05, 1.05]]])
    kind = rng.choice(("grass", "water", "path", "none"), p=(0.68, 0.16, 0.04, 0.12))
    if kind != "none":
        hand.fill(below, str(kind))
    if kind == "grass" and rng.random() < 0.15:  # a shore: sea below
        lower = below.copy()
        lower[: len(line), 1] += rng.uniform(0.08, 0.3)
        hand.fill(lower, "water")


def _on_the_ground(hand: PenHand, horizon: float) -> None:
    rng = hand.rng

    def place() -> tuple[float, float]:
        return rng.uniform(0.05, 0.95), rng.uniform(horizon, 0.97)

    if rng.random() < 0.4:
        x, y = place()
        half_x, half_y = hand.usual("water", x, y)
        if rng.random() < 0.3:  # an island
            hand.thing(str(rng.choice(("grass", "grass", "mountain"))), x, y, 0.45 * half_x, 0.45 * half_y)
    if rng.random() < 0.12:
        hand.way("water", horizon)
    if rng.random() < 0.15:
        hand.usual("grass", *place())
    if rng.random() < 0.35:
        hand.way("path", horizon + rng.uniform(-0.02, 0.2))
    things = [("tree", *place()) for _ in range(int(rng.choice(7, p=(0.3, 0.2, 0.15, 0.13, 0.1, 0.07, 0.05))))]
    things += [("house", *place()) for _ in range(int(rng.choice(5, p=(0.45, 0.3, 0.12, 0.08, 0.05))))]
    grand = float(np.exp(rng.uniform(np.log(0.5), np.log(2.2))))
    for name, x, y in sorted(things, key=lambda thing: thing[2]):
        size = grand * (0.08 + 0.25 * max(0.0, y - horizon)) * rng.uniform(0.7, 1.5)
        hand.standing(name, x, y, float(np.clip(size, 0.03, 0.8)))
    if rng.random() < 0.05:  # a wood
        x, y = place()
        hand.fill(
            by_hand(shapes.blob(rng) * [rng.uniform(0.15, 0.5), rng.uniform(0.05, 0.15)] + [x, y], hand.shake, rng),
            "tree",
        )


def _anything(hand: PenHand) -> None:
    """Any class anywhere in any size, on any ground."""
    rng = hand.rng
    if rng.random() < 0.4:
        hand.labels[:] = int(rng.integers(len(CLASSES)))
    known = rng.permutation(CLASSES)[: int(rng.integers(1, len(CLASSES) + 1))]
    for _ in range(int(rng.integers(1, 13))):
        name, x, y = str(rng.choice(known)), rng.uniform(0, 1), rng.uniform(0, 1)
        style = rng.random()
        if style < 0.55 and name in SIZES:
            hand.usual(name, x, y)
        elif style < 0.8:
            half_x, half_y = np.exp(rng.uniform(np.log(ANY_SIZE[0]), np.log(ANY_SIZE[1]), 2))
            hand.thing(name, x, y, float(half_x), float(half_y))
        else:
            count = int(rng.integers(2, 7))
            line = np.array([x, y]) + np.cumsum(rng.normal(0, 0.15, (count, 2)), axis=0)
            hand.stroke(line, name, rng.uniform(0.01, 0.1))


def _zones(hand: PenHand) -> None:
    """One class, or a few in wide bands or fields."""
    rng = hand.rng
    hand.labels[:] = int(rng.integers(len(CLASSES)))
    level, upright = rng.uniform(0, 0.4), rng.random() < 0.25
    for _ in range(int(rng.choice(5, p=(0.15, 0.3, 0.25, 0.2, 0.1)))):
        level += rng.uniform(0.1, 0.35)
        ends = np.array([[-0.05, level], [1.05, level + rng.uniform(-0.15, 0.15)]])
        field = np.concatenate([ends, [[1.05, 1.05], [-0.05, 1.05]]])
        outline = field[:, ::-1] if upright else field
        hand.fill(by_hand(outline, hand.shake, rng), CLASSES[int(rng.integers(len(CLASSES)))])
    if rng.random() < 0.5:
        name = CLASSES[int(rng.integers(1, len(CLASSES)))]
        hand.usual(name, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))
