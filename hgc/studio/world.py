"""The world that a model was trained on: the classes of its label maps, and the words that it understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hgc.control import ade20k
from hgc.control.canvas import Pixels
from hgc.control.images import RGB
from hgc.landscapes.colours import TIMES
from hgc.landscapes.labels import PALETTE
from hgc.landscapes.scene import paint
from hgc.landscapes.tokenizer import read_prompt
from hgc.models.presets import ModelPreset

COLOURFUL_SEED = 7


@dataclass(frozen=True)
class World:
    """`unread` gives, in plain words, what of a prompt a tokenizer's model will not understand or not read.

    `palette` maps the classes of label maps to their colours, in label order. Where a world is `painted`, its areas are
    painted by hand, and there are examples.
    """

    palette: Callable[[], Mapping[str, RGB]]
    unread: Callable[[Any, str], tuple[str, ...]]
    painted: bool = False


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


LANDSCAPES = World(lambda: PALETTE, _by_vocabulary, painted=True)
ANYTHING = World(ade20k.palette, _by_length)


def world_of(preset: ModelPreset) -> World:
    """Landscapes has its own world; every other model was trained on pictures of all kinds."""
    return LANDSCAPES if preset.name == "landscapes" else ANYTHING


def colourful() -> Pixels:
    """Pictures uint8 [N, H, W, 3] with every colour that there is: one scene at all times of day."""
    return np.stack([paint(COLOURFUL_SEED, time=time).image for time in TIMES])
