"""The style a picture is in: flat colours, as the painter has them, or an ink wash made of these."""

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import SIZE
from hgc.landscapes.labels import label

Style = Literal["flat", "ink"]
STYLES: tuple[Style, ...] = get_args(Style)

PAPER, INK = np.array((246, 238, 222), np.float32), np.array((34, 34, 44), np.float32)
WASHES = 5
SOFT = 0.3  # of a wash's step is its edge
CHROMA, ACCENT = 0.36, 0.62  # the share of their colours that all things keep, and sun, moon and houses
ACCENTS = ("sun_moon", "house")
LINE = 0.85


def drawn_in(
    style: Style, image: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A flat picture uint8 [256, 256, 3], its labels [256, 256] known, in a style. Raises ValueError for an unknown."""
    if style not in STYLES:
        raise ValueError(f"style {style!r} is unknown; known: {', '.join(STYLES)}")
    return image if style == "flat" else _ink(image, labels, rng)


def _ink(image: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mottled = _blotches(rng, 7)
    wet = _washes((grey / 255) ** 0.95 + 0.014 * mottled)
    tone = 0.05 + 0.95 * wet
    accents = np.isin(labels, [label(name) for name in ACCENTS]).astype(np.float32)
    kept = CHROMA + (ACCENT - CHROMA) * cv2.GaussianBlur(accents, (0, 0), 0.8)
    colour = (image.astype(np.float32) - grey[..., None]) * kept[..., None]
    washed = INK + (PAPER - INK) * tone[..., None] + colour
    line = _brush(grey, labels) * (1 + 0.35 * _blotches(rng, 12))
    return np.round(washed + (INK - washed) * line.clip(0, 0.9)[..., None]).clip(0, 255).astype(np.uint8)


def _washes(tone: NDArray[np.float32]) -> NDArray[np.float32]:
    """A tone 0..1 in few steps with soft edges."""
    steps = tone.clip(0, 1) * WASHES
    whole = np.floor(steps)
    rise = ((steps - whole - 0.5) / SOFT + 0.5).clip(0, 1)
    return np.asarray((whole + rise * rise * (3 - 2 * rise)) / WASHES, np.float32)


def _brush(grey: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Lines between the classes, the darker the more the tones differ there: what fog hides has none."""
    kernel = np.ones((3, 3), np.uint8)
    between = (cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)).astype(np.float32)
    contrast = cv2.dilate(grey, kernel) - cv2.erode(grey, kernel)
    return np.asarray(LINE * cv2.GaussianBlur(between, (0, 0), 0.85) * (0.15 + contrast / 45).clip(0, 1), np.float32)


def _blotches(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """A soft unevenness -1..1 [256, 256]."""
    coarse = rng.uniform(-1, 1, (count, count)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.float32)
