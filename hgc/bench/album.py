"""Pictures kept on disk as they are made, so that a long benchmark can stop at any moment and go on later."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import cv2
import numpy as np

from hgc.landscapes.artist import Picture
from hgc.whole import write_whole

DRAWING = ("text_encoder", "unet", "controlnet", "controlnet_edges", "controlnet_depth", "vae")
Tell = Callable[[str], None]
Source = TypeVar("Source")


@dataclass(frozen=True)
class Album:
    """A folder of PNGs, one subfolder a title; a file is there whole or not at all."""

    folder: Path
    batch: int
    tell: Tell

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch of {self.batch} pictures; needs at least 1")

    def pictures(
        self, title: str, asked: Sequence[tuple[str, Source]], make: Callable[[Sequence[Source]], list[Picture]]
    ) -> list[Picture]:
        """The picture of every (name, what to make it from), in order; what is missing is made in batches and kept."""
        page = self.folder / title
        page.mkdir(parents=True, exist_ok=True)
        missing = [(name, source) for name, source in asked if not (page / f"{name}.png").exists()]
        since = perf_counter()
        for start in range(0, len(missing), self.batch):
            part = missing[start : start + self.batch]
            for (name, _), picture in zip(part, make([source for _, source in part]), strict=True):
                write_png(page / f"{name}.png", picture)
            self._say(title, start + len(part), len(missing), perf_counter() - since)
        return [read_png(page / f"{name}.png") for name, _ in asked]

    def _say(self, title: str, done: int, count: int, seconds: float) -> None:
        each = seconds / done
        self.tell(f"{title}: {done} of {count}, {each:.1f} s each, {each * (count - done) / 60:.1f} min left")


def write_png(path: Path, picture: Picture) -> None:
    """Writes an RGB picture, whole or not at all. Raises PlaceRefused."""
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"{path.name}: OpenCV cannot write a picture of shape {picture.shape}")
    write_whole(path, data.tobytes())


def read_png(path: Path) -> Picture:
    """RGB uint8 [H, W, 3]. Raises ValueError with the remedy where the file is not a picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is not a picture: delete it, and the benchmark makes it again")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def named(name: object, picture: Picture, *words: object) -> str:
    """A file's name that changes with the picture and the words it is made from: nothing stale is taken for fresh."""
    return f"{name}-{hashlib.sha256(picture.tobytes() + repr(words).encode()).hexdigest()[:8]}"


def digest(weights: Path, *words: object) -> str:
    """Twelve hex digits that change with any weight that has a part in drawing, or any of the words."""
    running = hashlib.sha256(repr(words).encode())
    for part in DRAWING:
        for file in sorted((weights / part).glob("*.safetensors")):
            running.update(f"{part}/{file.name}\0".encode())
            running.update(file.read_bytes())
    return running.hexdigest()[:12]
