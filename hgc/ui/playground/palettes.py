"""Sets of colours to paint with: a model's classes, and swatches by their titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hgc.control.images import RGB
from hgc.control.label_sets import LabelSet, plain
from hgc.ui.components.easel import Swatches


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


def swatches(
    name: str, colours: Mapping[str, RGB], chosen: str, like: Mapping[str, Mapping[str, str]] | None = None
) -> Swatches:
    """A set of colours to paint with, by their titles, and the one to begin with.

    `like` has, for each of the other sets, the title there of what is alike.
    """
    others = like or {}
    classes = [
        {
            "name": title,
            "colour": "#{:02x}{:02x}{:02x}".format(*colour),
            "like": {other: names[title] for other, names in others.items() if title in names},
        }
        for title, colour in colours.items()
    ]
    return {"name": name, "classes": classes, "chosen": chosen}
