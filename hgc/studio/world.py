"""The world that a model was trained on: the classes of its label maps, and the words that it understands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgc.control import ade20k, coco_stuff
from hgc.control.canvas import Pixels
from hgc.control.label_sets import LabelSet
from hgc.landscapes import labels
from hgc.landscapes.colours import TIMES
from hgc.landscapes.relief import near_of_map
from hgc.landscapes.scene import paint
from hgc.landscapes.tokenizer import read_prompt
from hgc.models.presets import ADE20K_ONLY, ModelPreset

COLOURFUL_SEED = 7


@dataclass(frozen=True)
class World:
    """`unread` gives, in plain words, what of a prompt a tokenizer's model will not understand or not read.

    `sets` are those that label maps may be painted in, the usual one first. With `examples` there are drawings to begin
    from. `near` tells how near everything in labels [H, W] of the first set is, 0..1: where there is one, areas may be
    painted for a depth control too.
    """

    sets: tuple[LabelSet, ...]
    unread: Callable[[Any, str], tuple[str, ...]]
    examples: bool = False
    near: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None

    @property
    def painted(self) -> tuple[str, ...]:
        """The controls that a map can be painted for in areas."""
        return ("segmentation",) if self.near is None else ("segmentation", "depth")


def _by_vocabulary(tokenizer: Any, prompt: str) -> tuple[str, ...]:
    """Of a model that knows the words of its captions only."""
    reading = read_prompt(tokenizer, prompt)
    notes = []
    if reading.unknown:
        english = "" if all(word.isascii() for word in reading.unknown) else " It reads English words."
        notes.append(f"This model does not know: {', '.join(reading.unknown)}.{english}")
    if reading.cut:
        notes.append(_cut(" ".join(reading.cut)))
    return tuple(notes)


def _by_length(tokenizer: Any, prompt: str) -> tuple[str, ...]:
    """Of a model that knows all words: from the first one that does not fit into its reading."""
    words, left = prompt.split(), tokenizer.model_max_length - 2  # two are the start and the end
    for place, word in enumerate(words):
        left -= len(tokenizer.tokenize(word))
        if left < 0:
            return (_cut(" ".join(words[place:])),)
    return ()


def _cut(words: str) -> str:
    return f"The prompt is too long; cut off: {words}."


LANDSCAPES = World((labels.LABELS,), _by_vocabulary, examples=True, near=near_of_map)
ANYTHING = World((ade20k.LABELS, coco_stuff.LABELS), _by_length)
OF_ADE20K = World((ade20k.LABELS,), _by_length)


def world_of(preset: ModelPreset) -> World:
    """Landscapes has its own world; every other model was trained on pictures of all kinds.

    ControlNet 1.1 reads maps in the colours of ADE20K and of COCO-Stuff, and of one's own nobody knows.
    """
    if preset.name == "landscapes":
        return LANDSCAPES
    return OF_ADE20K if preset.controls.get("segmentation") in ADE20K_ONLY else ANYTHING


def colourful() -> Pixels:
    """Pictures uint8 [N, H, W, 3] with every colour that there is: one scene at all times of day."""
    return np.stack([paint(COLOURFUL_SEED, time=time).image for time in TIMES])
