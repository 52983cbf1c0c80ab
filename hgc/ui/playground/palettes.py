"""A model's classes as swatches to paint with."""

from __future__ import annotations

from collections.abc import Sequence

from hgc.control.label_sets import LabelSet, plain
from hgc.ui.components.easel import Swatches, swatches


def palettes(sets: Sequence[LabelSet]) -> list[Swatches]:
    """The colours that a model's areas are painted with."""
    return [_palette(labels, [other for other in sets if other is not labels]) for labels in sets]


def _palette(labels: LabelSet, others: Sequence[LabelSet]) -> Swatches:
    titles = {name: class_title(name) for name in labels.palette}
    like = {
        other.name: {title: class_title(match) for name, title in titles.items() if (match := other.like(name))}
        for other in others
    }
    colours = {titles[name]: colour for name, colour in labels.palette.items()}
    return swatches(labels.name, colours, class_title(labels.like("water")), like)


def class_title(name: str) -> str:
    """A class as its swatch is called."""
    return plain(name.replace("_", " or "))
