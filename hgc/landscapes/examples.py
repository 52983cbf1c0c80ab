"""The drawings that come with Studio: those of the app's gallery, and those the model is tried with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hgc.models.presets import ASSETS

FOLDER = ASSETS / "examples"
GALLERY, TRIALS = "examples.json", "drawings.json"


@dataclass(frozen=True)
class Example:
    """A drawing of `control`'s kind in a PNG of the examples' folder, with a prompt and a seed that suit it.

    One that shows something of the caches brings settings of HGC for them, and `about` says what was measured.
    """

    title: str
    file: str
    control: Literal["segmentation", "edges"]
    prompt: str
    seed: int
    cache: Mapping[str, Any] | None = None
    about: str = ""

    def __post_init__(self) -> None:
        if self.control not in ("segmentation", "edges"):
            raise ValueError(f"example {self.title!r}: control {self.control!r}; known: segmentation, edges")

    @property
    def path(self) -> Path:
        return FOLDER / self.file

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """RGB [H, W, 3]."""
        return np.array(Image.open(self.path).convert("RGB"))


@cache
def gallery() -> tuple[Example, ...]:
    """The examples of the app, in the order in which the page shows them."""
    return _listed(GALLERY)


@cache
def trials() -> tuple[Example, ...]:
    """Drawings a hand might make that ask more of the model: shaky, blobby, empty, upside down, in one class only."""
    return _listed(TRIALS)


@cache
def drawings() -> tuple[Example, ...]:
    """Every drawing once, those of the gallery first."""
    return (*(example for example in gallery() if example.cache is None), *trials())


def _listed(index: str) -> tuple[Example, ...]:
    return tuple(Example(**entry) for entry in json.loads((FOLDER / index).read_text(encoding="utf-8")))
