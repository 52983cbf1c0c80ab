"""The painter's sheet: flat tones at double size, and the regions of a label map."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import BIG, SCALE, SIZE
from hgc.landscapes.colours import Colour, Mood
from hgc.landscapes.labels import label
from hgc.landscapes.painter.masks import Mask, member, shifted

SPECK_PX = 10  # a region of fewer pixels of the map only gets its class's plain colour


@dataclass(frozen=True)
class Region:
    """A connected part of one class: its window (x, y, width, height) at double size and its mask [h, w] in there."""

    x: int
    y: int
    mask: Mask
    share: float  # of the picture

    @property
    def height(self) -> int:
        return len(self.mask)

    @property
    def width(self) -> int:
        return self.mask.shape[1]

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass
class Sheet:
    """A map [SIZE, SIZE] on its way to a picture.

    `tones` [BIG, BIG] numbers the colours of `palette`; `picture` [BIG, BIG, 4] (the last channel
    is unused) is made of them, and then light is mixed in.
    `sun_x` (pixels at double size) and `side` (-1 left, 1 right) say where light comes from.
    """

    small: NDArray[np.uint8]
    mood: Mood
    rng: np.random.Generator
    sun_x: float = 0.0
    side: int = 1
    labels: NDArray[np.uint8] = field(init=False)
    tones: NDArray[np.uint16] = field(init=False)
    picture: NDArray[np.uint8] = field(init=False)
    palette: list[Colour] = field(init=False, default_factory=list)
    numbers: dict[Colour, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        doubled = cv2.resize(self.small, (BIG, BIG), interpolation=cv2.INTER_NEAREST)
        self.labels = np.asarray(cv2.medianBlur(doubled, 3), np.uint8)  # rounds stairs off and invents no class
        self.tones = np.zeros((BIG, BIG), np.uint16)
        self.picture = np.zeros((BIG, BIG, 4), np.uint8)

    def tone(self, colour: Colour) -> int:
        """The number of a colour."""
        if colour not in self.numbers:
            self.numbers[colour] = len(self.palette)
            self.palette.append(colour)
        return self.numbers[colour]

    def gradient(self, mask: Mask, colours: NDArray[np.float32], window: tuple[slice, slice]) -> None:
        """A colour for each row [h, 3] of the window, where the mask [h, w] says."""
        first = len(self.palette)
        self.palette += [(float(r), float(g), float(b)) for r, g, b in colours]
        rows = np.arange(first, first + len(colours), dtype=np.uint16)[:, None]
        np.copyto(self.tones[window], rows, where=mask.view(np.bool_))

    def fill(self, mask: Mask, colour: Colour, window: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        """One flat colour where the mask says."""
        np.copyto(self.tones[window], self.tone(colour), where=mask.view(np.bool_))

    def where(self, *names: str) -> Mask:
        """Mask [BIG, BIG] of one class, or of several."""
        return member(self.labels, *names)

    def beside(self, dx: int, dy: int, *names: str) -> Mask:
        """Mask [BIG, BIG] of the pixels from which (dx, dy) leads to one of the classes; past the edge lies none."""
        return shifted(self.where(*names), -dx, -dy)

    def develop(self) -> None:
        """Turn the tones into the picture."""
        table = np.zeros((len(self.palette), 4), np.uint8)
        table[:, :3] = np.array(self.palette)
        packed = np.take(table.view(np.uint32)[:, 0], self.tones)  # a colour is one number: three times as fast
        self.picture = packed.view(np.uint8).reshape(BIG, BIG, 4)

    def mix(self, mask: Mask, colour: Colour, share: float, window: tuple[slice, slice]) -> None:
        """Mix a colour into the picture where the mask [h, w] of the window says."""
        patch = self.picture[window][..., :3]
        inside = mask > 0
        patch[inside] = (patch[inside] * (1 - share) + np.array(colour) * share).astype(np.uint8)

    def regions(self, name: str) -> list[Region]:
        """Connected parts of a class, the lowest last; specks are left out."""
        number = label(name)
        if not (self.small == number).any():
            return []
        count, parts, stats, _ = cv2.connectedComponentsWithStats((self.small == number).astype(np.uint8))
        whole = self.where(name)
        regions = []
        for part in range(1, count):
            left, top, width, height, area = (int(v) for v in stats[part])
            if area < SPECK_PX:
                continue
            x, y = max(0, SCALE * left - 1), max(0, SCALE * top - 1)
            right, low = min(BIG, SCALE * (left + width) + 1), min(BIG, SCALE * (top + height) + 1)
            mask = whole[y:low, x:right]
            if count > 2:
                own = (parts[top : top + height, left : left + width] == part).astype(np.uint8)
                own = cv2.resize(own, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST)
                dy, dx = SCALE * top - y, SCALE * left - x
                own = cv2.copyMakeBorder(
                    own, dy, low - SCALE * (top + height), dx, right - SCALE * (left + width), cv2.BORDER_CONSTANT
                )
                mask = mask & np.asarray(cv2.dilate(own, np.ones((3, 3), np.uint8)), np.uint8)
            if mask.any():
                regions.append(Region(x, y, np.asarray(mask, np.uint8), area / SIZE**2))
        return sorted(regions, key=lambda region: region.y + region.height)
