"""The control maps that come with Studio, each with a prompt that suits it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from hgc.control.canvas import Pixels
from hgc.models.presets import ASSETS

FOLDER = ASSETS / "examples"


@dataclass(frozen=True)
class Example:
    """A drawing of `control`'s kind, in a PNG of the examples' folder."""

    title: str
    file: str
    control: Literal["segmentation", "edges"]
    prompt: str
    seed: int

    @property
    def path(self) -> Path:
        return FOLDER / self.file

    @property
    def pixels(self) -> Pixels:
        """uint8 [H, W, 3]."""
        return np.array(Image.open(self.path).convert("RGB"))


@cache
def examples() -> tuple[Example, ...]:
    """All examples, in the order in which the page shows them."""
    listed = json.loads((FOLDER / "examples.json").read_text(encoding="utf-8"))
    return tuple(Example(**entry) for entry in listed)
