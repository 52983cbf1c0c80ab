"""A picture for any label map.

painted = paint_map(labels, Mood("dawn", "winter"), seed=3)
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import BIG, SIZE
from hgc.landscapes.colours import Mood, plain_colours
from hgc.landscapes.labels import CLASSES
from hgc.landscapes.painter import ground, heaven, home, mountains, wood
from hgc.landscapes.painter.sheet import Region, Sheet


@dataclass(frozen=True)
class Painted:
    """A picture uint8 [256, 256, 3] and how many trees and houses were painted into its map."""

    image: NDArray[np.uint8]
    round_trees: int
    pines: int
    houses: int


def paint_map(labels: NDArray[np.uint8], mood: Mood, seed: int) -> Painted:
    """Paint a label map uint8 [256, 256]. Raises ValueError for another size or a label that is no class."""
    if labels.shape != (SIZE, SIZE) or labels.max() >= len(CLASSES):
        raise ValueError(
            f"map {labels.shape} with labels up to {labels.max()}; "
            f"needs {SIZE} on a side and labels below {len(CLASSES)}"
        )
    sheet = Sheet(labels, mood, np.random.default_rng(seed))
    parts = {name: sheet.regions(name) for name in CLASSES if name != "sky"}
    _light(sheet, parts["sun_moon"])
    base = np.array([sheet.tone(colour) for colour in plain_colours(mood)], np.uint16)
    sheet.tones = base[sheet.labels]
    heaven.discs(sheet, parts["sun_moon"])
    heaven.clouds(sheet, parts["cloud"])
    for region in parts["mountain"]:
        mountains.mountain(sheet, region)
    ground.grass(sheet, parts["grass"])
    for region in parts["path"]:
        ground.path(sheet, region)
    houses = sum(home.house(sheet, region) for region in parts["house"])
    pointed = bool(sheet.rng.random() < 0.5)
    trees = [wood.tree(sheet, region, pointed) for region in parts["tree"]]
    heaven.sky(sheet)
    for region in parts["water"]:
        ground.water(sheet, region)
    sheet.develop()
    for disc in parts["sun_moon"]:
        heaven.halo(sheet, disc)
    if mood.time == "night":
        heaven.stars(sheet)
    for region in parts["water"]:
        ground.shimmer(sheet, region)
    averaged = cv2.resize(sheet.picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    image = np.array(averaged[..., :3], np.uint8, order="C")
    pines = sum(count for count, is_pine in trees if is_pine)
    return Painted(image, sum(count for count, _ in trees) - pines, pines, houses)


def _light(sheet: Sheet, suns: list[Region]) -> None:
    """Light comes from the largest sun or moon, or from anywhere."""
    largest = max(suns, key=lambda region: region.share, default=None)
    sheet.sun_x = largest.x + largest.width / 2 if largest else sheet.rng.uniform(0.2, 0.8) * BIG
    sheet.side = -1 if sheet.sun_x < BIG / 2 else 1
