"""A seeded painter of 256x256 flat-shaded landscapes: picture, label map, edge map, caption.

scene = paint(7)                      # anything
scene = paint(7, time="night", season="winter")
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import SIZE, Canvas
from hgc.landscapes.caption import Content, describe
from hgc.landscapes.colours import SEASONS, TIMES, Mood, Season, Time
from hgc.landscapes.labels import label
from hgc.landscapes.relief import RIDGES
from hgc.landscapes.scenery import paint_cloud, paint_disc, paint_house, paint_pine, paint_round_tree, paint_sky
from hgc.landscapes.terrain import Hill, paint_hill, paint_lake, paint_path, paint_ridge, rolling

EDGE_LOW, EDGE_HIGH = 50, 120
VISIBLE_SHARE = 0.0012  # of the picture's pixels; less of a thing is not worth a word


@dataclass(frozen=True)
class Scene:
    """One landscape. image uint8 [256, 256, 3] RGB; labels uint8 [256, 256]; edges uint8 [256, 256], 0 or 255."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    edges: NDArray[np.uint8]
    caption: str
    time: Time
    season: Season

    def __post_init__(self) -> None:
        if self.image.shape != (SIZE, SIZE, 3) or self.labels.shape != (SIZE, SIZE) or self.edges.shape != (SIZE, SIZE):
            raise ValueError(
                f"scene: image {self.image.shape}, labels {self.labels.shape}, edges {self.edges.shape}; "
                f"all must be {SIZE} on a side"
            )


@dataclass
class _Plants:
    round_trees: int = 0
    pines: int = 0
    houses: int = 0


def edge_map(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Canny edges of an RGB picture [H, W, 3], 0 or 255 [H, W]."""
    return np.asarray(cv2.Canny(image, EDGE_LOW, EDGE_HIGH), dtype=np.uint8)


def paint(seed: int, time: Time | None = None, season: Season | None = None) -> Scene:
    """The scene of a seed; time of day and season are drawn from the seed unless given."""
    rng = np.random.default_rng(seed)
    return _finished(*_painted(rng, time, season), rng)


def paint_with_depth(seed: int) -> tuple[Scene, NDArray[np.float32]]:
    """The scene of a seed and how near everything in it is, painted once."""
    rng = np.random.default_rng(seed)
    canvas, mood, plants = _painted(rng)
    return _finished(canvas, mood, plants, rng), canvas.depth()


def depth_of(seed: int) -> NDArray[np.float32]:
    """How near everything in the scene of a seed is [256, 256]: one over the distance, the sky 0, the lower edge 1."""
    return _painted(np.random.default_rng(seed))[0].depth()


def _finished(canvas: Canvas, mood: Mood, plants: _Plants, rng: np.random.Generator) -> Scene:
    image, labels = canvas.finished()
    caption = describe(_content(mood, labels, plants), rng)
    return Scene(image, labels, edge_map(image), caption, mood.time, mood.season)


def _painted(
    rng: np.random.Generator, time: Time | None = None, season: Season | None = None
) -> tuple[Canvas, Mood, _Plants]:
    drawn_time, drawn_season = TIMES[int(rng.integers(4))], SEASONS[int(rng.integers(4))]
    mood = Mood(time or drawn_time, season or drawn_season)
    canvas = Canvas()
    canvas.horizon = rng.uniform(0.44, 0.62)
    sun_x = _paint_heaven(canvas, mood, canvas.horizon, rng)
    return canvas, mood, _paint_land(canvas, mood, canvas.horizon, sun_x, rng)


def _paint_heaven(canvas: Canvas, mood: Mood, horizon: float, rng: np.random.Generator) -> float:
    paint_sky(canvas, mood, horizon, rng)
    sun_x = paint_disc(canvas, mood, horizon, rng) if rng.random() < 0.85 else rng.uniform(0.2, 0.8)
    for _ in range(int(rng.choice(5, p=(0.22, 0.26, 0.26, 0.16, 0.10)))):
        centre = (rng.uniform(0.05, 0.95), horizon * rng.uniform(0.14, 0.72))
        paint_cloud(canvas, mood, centre, rng.uniform(0.16, 0.34), rng)
    return sun_x


def _paint_land(canvas: Canvas, mood: Mood, horizon: float, sun_x: float, rng: np.random.Generator) -> _Plants:
    ridges = int(rng.choice(4, p=(0.16, 0.30, 0.38, 0.16)))
    for i in range(ridges):
        near = (i + 1) / max(ridges, 1)
        height = rng.uniform(0.20, 0.36) * (1.15 - 0.45 * near)
        canvas.nearness = RIDGES * near
        paint_ridge(canvas, mood, horizon + 0.03 * near, height, 0.62 * (1 - near) + 0.14, sun_x, rng)
    plants = _Plants()
    layers = int(rng.integers(2, 5))
    lake_layer = int(rng.integers(layers)) if rng.random() < 0.55 else -1
    path_layer = layers - 1 - int(rng.integers(2)) if rng.random() < 0.5 else -1
    levels = horizon + 0.05 + (0.97 - horizon) * np.linspace(0, 1, layers + 1)[:-1] ** 1.15
    side = -1 if sun_x < 0.5 else 1
    for i, level in enumerate(levels):
        hill = rolling(float(level), rng.uniform(0.015, 0.05), 1 - i / layers, rng)
        paint_hill(canvas, mood, hill, rng)
        below = float(levels[i + 1]) if i + 1 < layers else 1.0
        if i == path_layer and i != lake_layer:
            x = rng.uniform(0.25, 0.75)
            paint_path(canvas, mood, (x, hill.top(x)), rng.uniform(0.2, 0.8), rng)
        if i == lake_layer:
            half = (rng.uniform(0.18, 0.42), min(0.10, (below - level) * rng.uniform(0.30, 0.42)))
            middle = (float(level) + below) / 2 + 0.02
            paint_lake(canvas, mood, middle, rng.uniform(0.25, 0.75), half, sun_x, rng)
        _settle(canvas, mood, hill, below, plants, side, rng)
    return plants


def _settle(
    canvas: Canvas, mood: Mood, hill: Hill, below: float, plants: _Plants, side: int, rng: np.random.Generator
) -> None:
    """Trees and houses on one hill, far ones first; never in the water."""
    distance = 0.42 * hill.distance
    size = 0.075 + 0.17 * (1 - hill.distance) ** 1.1
    home = rng.uniform(0.12, 0.88) if rng.random() < 0.38 else -1.0
    if home > 0 and _on_land(canvas, home, hill.top(home) + 0.03):
        canvas.stand(hill.top(home) + 0.03)
        paint_house(canvas, mood, (home, hill.top(home) + 0.03), size * rng.uniform(0.95, 1.25), side, rng)
        plants.houses += 1
    pines = rng.random() < 0.5
    leaves = mood.growth.leaves
    spots = rng.uniform(0.02, 0.98, int(rng.integers(0, 6)))
    feet = [
        (float(x), hill.top(float(x)) + rng.uniform(0.012, max(0.02, 0.5 * (below - hill.top(float(x))))))
        for x in spots
    ]
    for x, y in sorted(feet, key=lambda foot: foot[1]):
        if not _on_land(canvas, x, y) or abs(x - home) < 0.7 * size:
            continue
        height = size * rng.uniform(0.8, 1.25)
        canvas.stand(y)
        if pines:
            paint_pine(canvas, mood, (x, y), height, distance, side)
            plants.pines += 1
        else:
            paint_round_tree(canvas, mood, (x, y), height, distance, side, leaves[int(rng.integers(len(leaves)))], rng)
            plants.round_trees += 1


def _on_land(canvas: Canvas, x: float, y: float) -> bool:
    row, column = (min(len(canvas.classes) - 1, max(0, int(v * len(canvas.classes)))) for v in (y, x))
    return int(canvas.classes[row, column]) == label("grass")


def _content(mood: Mood, labels: NDArray[np.uint8], plants: _Plants) -> Content:
    share = np.bincount(labels.ravel(), minlength=9) / labels.size
    seen = {
        name: bool(share[label(name)] > VISIBLE_SHARE)
        for name in ("sun_moon", "cloud", "mountain", "water", "path", "tree", "house")
    }
    clouds = cv2.connectedComponents((labels == label("cloud")).astype(np.uint8))[0] - 1 if seen["cloud"] else 0
    return Content(
        time=mood.time,
        season=mood.season,
        disc=seen["sun_moon"],
        clouds=int(clouds),
        mountains=seen["mountain"],
        lake=seen["water"],
        path=seen["path"],
        round_trees=plants.round_trees if seen["tree"] else 0,
        pines=plants.pines if seen["tree"] else 0,
        houses=plants.houses if seen["house"] else 0,
    )
