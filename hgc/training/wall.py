"""A wall of pictures that shows what the model can draw: times of day down, seasons across.

python -m hgc wall --out assets/readme/wall.png      # five minutes on two cores
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hgc.landscapes.artist import Artist, Picture, Sitting
from hgc.landscapes.colours import SEASONS, TIMES
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.landscapes.tiles import save_small, tiled

COLUMNS, ROWS = 6, 4
FIRST_SEED = 5000  # never trained on, never measured on
MOST_BYTES = 600_000
SIDES = (256, 224, 192, 160, 128, 96)


@dataclass(frozen=True)
class Place:
    """One picture of the wall: which control draws it, and from what."""

    control: str
    sitting: Sitting


def places() -> list[Place]:
    """24 of them, always the same: in each row four seasons from label maps, then two pictures from edges."""
    hung = []
    for row, time in enumerate(TIMES):
        for column in range(COLUMNS):
            seed = FIRST_SEED + COLUMNS * row + column
            scene = paint(seed, time, SEASONS[(column + (row if column >= len(SEASONS) else 0)) % len(SEASONS)])
            if column < len(SEASONS):
                hung.append(Place("segmentation", Sitting(colour_map(scene.labels), scene.caption, seed)))
            else:
                lines = np.repeat(scene.edges[..., None], 3, axis=2)
                hung.append(Place("edges", Sitting(lines, scene.caption, seed)))
    return hung


def hang(artist: Artist, out: Path, steps: int, tell: Callable[[str], None]) -> int:
    """Draw the wall and write it as one PNG of at most MOST_BYTES, as large as that allows; returns its bytes."""
    pictures: list[Picture] = []
    for place in places():
        pictures += artist.draw(place.control, [place.sitting], steps)
        tell(f"wall: {len(pictures)} of {COLUMNS * ROWS}")
    for side in SIDES:
        size = save_small(tiled(pictures, COLUMNS, side), out)
        if size <= MOST_BYTES:
            return size
    raise ValueError(f"{out.name}: {size} bytes at {SIDES[-1]} pixels a picture, at most {MOST_BYTES} are wanted")
