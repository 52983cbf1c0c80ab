"""A picture, its label map and how near everything is, painted together at double size."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.colours import Colour
from hgc.landscapes.labels import label
from hgc.landscapes.relief import GROUND, HORIZON, bulge, plane

SIZE = 256
SCALE = 2
BIG = SIZE * SCALE

Points = NDArray[np.float64]  # [n, 2] as x, y in 0..1 of the picture


class Canvas:
    """Paints shapes on an RGB picture, and the same shapes on its label map and on the sheet of how near they are.

    Coordinates and lengths are in 0..1 of the side. `near` 0..1 is one over the distance; what is painted next is as
    near as `nearness` says. The ground is a plane that begins at `horizon`.
    """

    def __init__(self) -> None:
        self.picture: NDArray[np.uint8] = np.zeros((BIG, BIG, 3), np.uint8)
        self.classes: NDArray[np.uint8] = np.zeros((BIG, BIG), np.uint8)
        self.near: NDArray[np.float32] = np.zeros((BIG, BIG), np.float32)
        self.nearness, self.horizon = 0.0, 0.5

    def stand(self, y: float) -> None:
        """Whatever is painted next stands on the ground at height y."""
        self.nearness = HORIZON + (1 - HORIZON) * min(1.0, max(0.0, (y - self.horizon) / (1 - self.horizon)))

    def polygon(self, points: Points, colour: Colour, name: str) -> None:
        """A filled polygon."""
        corners = np.round(points * BIG).astype(np.int32)
        cv2.fillPoly(self.picture, [corners], colour)
        cv2.fillPoly(self.classes, [corners], label(name))
        cv2.fillPoly(self.near, [corners], self.nearness)

    def below(self, xs: Points, ys: Points, colour: Colour, name: str) -> None:
        """Everything under the line y(x)."""
        line = np.stack([xs, ys], axis=1)
        self.polygon(np.concatenate([line, [[1.01, 1.01], [-0.01, 1.01]]]), colour, name)

    def ellipse(self, centre: Sequence[float], radii: Sequence[float], colour: Colour, name: str) -> None:
        """A filled ellipse."""
        middle = (round(centre[0] * BIG), round(centre[1] * BIG))
        axes = (max(1, round(radii[0] * BIG)), max(1, round(radii[1] * BIG)))
        cv2.ellipse(self.picture, middle, axes, 0, 0, 360, colour, -1)
        cv2.ellipse(self.classes, middle, axes, 0, 0, 360, label(name), -1)
        cv2.ellipse(self.near, middle, axes, 0, 0, 360, self.nearness, -1)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, name: str) -> None:
        """A filled rectangle."""
        self.polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), colour, name)

    def tint(self, mask: NDArray[np.bool_], colour: Colour, share: float) -> None:
        """Mix a colour into the picture where the mask [BIG, BIG] says; labels stay."""
        self.picture[mask] = (self.picture[mask] * (1 - share) + np.array(colour) * share).astype(np.uint8)

    def glow(self, centre: Sequence[float], radius: float, colour: Colour, share: float) -> None:
        """A disc of light mixed into the picture; labels stay."""
        x, y, r = (round(v * BIG) for v in (centre[0], centre[1], radius))
        rows, columns = slice(max(0, y - r), min(BIG, y + r + 1)), slice(max(0, x - r), min(BIG, x + r + 1))
        down, across = np.ogrid[rows, columns]
        inside = (down - y) ** 2 + (across - x) ** 2 <= r * r
        patch = self.picture[rows, columns]
        patch[inside] = (patch[inside] * (1 - share) + np.array(colour) * share).astype(np.uint8)

    def finished(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The picture [SIZE, SIZE, 3], averaged down, and its labels [SIZE, SIZE], never averaged."""
        picture = cv2.resize(self.picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        return np.asarray(picture, dtype=np.uint8), np.ascontiguousarray(self.classes[::SCALE, ::SCALE])

    def depth(self) -> NDArray[np.float32]:
        """How near everything is [SIZE, SIZE], 0 far to 1 near: the ground by its row, things where they stand."""
        rows = np.linspace(0, 1, BIG, dtype=np.float32)
        ground = np.isin(self.classes, [label(name) for name in GROUND])[::SCALE, ::SCALE]
        near = np.where(ground, 0, self.near[::SCALE, ::SCALE])
        roundness = np.zeros(near.shape, np.float32)
        for value in np.unique(near[near > 0]):
            roundness = np.maximum(roundness, bulge(near == value))
        level = plane(rows, self.horizon)[::SCALE, None]
        return np.where(ground, level, near / (1 - roundness)).clip(0, 1).astype(np.float32)
