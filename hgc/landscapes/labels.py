"""The nine classes of a landscape and their colours, in label order; fixed for good, weights depend on them."""

import numpy as np
from numpy.typing import NDArray

from hgc.control.label_sets import LabelSet

CLASSES: tuple[str, ...] = ("sky", "sun_moon", "cloud", "mountain", "grass", "water", "path", "tree", "house")

PALETTE: dict[str, tuple[int, int, int]] = {
    "sky": (70, 130, 180),
    "sun_moon": (255, 220, 60),
    "cloud": (220, 220, 235),
    "mountain": (120, 100, 90),
    "grass": (90, 180, 80),
    "water": (40, 80, 220),
    "path": (210, 180, 120),
    "tree": (20, 110, 50),
    "house": (200, 60, 60),
}

LABELS = LabelSet("Landscapes", PALETTE, "sky")
COLOURS: NDArray[np.uint8] = np.array([PALETTE[name] for name in CLASSES], dtype=np.uint8)  # [classes, 3]


def label(name: str) -> int:
    """The number of a class. Raises ValueError for an unknown name."""
    if name not in CLASSES:
        raise ValueError(f"class {name!r} is unknown; known classes: {', '.join(CLASSES)}")
    return CLASSES.index(name)


def colour_map(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels [..., H, W] to the RGB map [..., H, W, 3] that the segmentation ControlNet reads.

    Raises ValueError where a label is not a class number.
    """
    highest = int(labels.max(initial=0))
    if highest >= len(CLASSES):
        raise ValueError(f"label {highest} is not a class; labels run from 0 to {len(CLASSES) - 1}: relabel the map")
    return COLOURS[labels]
