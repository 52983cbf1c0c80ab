"""Sets of classes that label maps are painted in; which set a map is in, and a drawing taken over into another set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hgc.control.canvas import Pixels, codes_of, painted
from hgc.control.images import RGB, WHITE

# Of the same look, so that a drawing keeps its sense in another set: plain words, the most usual first.
_ALIKE = (
    ("sky", "clouds", "cloud", "sun moon"),
    ("mountain", "hill", "rock"),
    ("grass", "field", "earth", "dirt", "plant", "flower"),
    ("water", "sea", "river", "lake", "waterfall", "swimming pool"),
    ("path", "road", "dirt track", "sidewalk", "pavement", "sand", "gravel"),
    ("tree", "palm", "potted plant"),
    ("house", "building", "skyscraper", "hovel", "tower", "tent"),
)


@dataclass(frozen=True)
class LabelSet:
    """Classes and their colours, in label order; what is left bare counts as `unpainted`."""

    name: str
    palette: Mapping[str, RGB]
    unpainted: str

    def like(self, name: str) -> str:
        """The class that a class of another set stands for here; nothing where there is none."""
        own = {plain(mine): mine for mine in reversed(tuple(self.palette))}
        groups = [group for group in _ALIKE if plain(name) in group]
        return next((own[word] for word in (plain(name), *sum(groups, ())) if word in own), "")


def plain(name: str) -> str:
    """A class without the marks that data sets give to what they merged: sky-other-merged is sky."""
    words = name.split(",")[0].strip().lower()
    for mark in ("-merged", "-other", "-stuff"):
        words = words.removesuffix(mark)
    return words.replace("-", " ").replace("_", " ")


def set_of(picture: Pixels, sets: Sequence[LabelSet]) -> LabelSet:
    """The set in whose very colours most of a map [H, W, 3 or 4] is; the first where that says nothing.

    White is paper in every set.
    """
    rgb, drawn = painted(picture)
    codes = codes_of(rgb)[drawn & (rgb != WHITE).any(axis=2)]
    return max(sets, key=lambda labels: int(np.isin(codes, _codes(labels)).sum()))


def taken_over(sheet: Pixels, before: Sequence[LabelSet], after: Sequence[LabelSet]) -> tuple[Pixels, tuple[str, ...]]:
    """A drawing [H, W, 4] in the colours of the first set of `after`, and the classes that are left bare there.

    A drawing that is in one of these sets already stays as it is.
    """
    old = set_of(sheet, [*after, *before])
    if any(old is known for known in after):
        return sheet, ()
    rgb, drawn = painted(sheet)
    codes, repainted, bare = codes_of(rgb), sheet.copy(), []
    first = {code: name for name, code in reversed(list(zip(old.palette, _codes(old), strict=True)))}
    for code, name in first.items():
        area = drawn & (codes == code)
        if not area.any():
            continue
        like = after[0].like(name)
        repainted[area] = (*after[0].palette[like], 255) if like else 0
        bare += [] if like else [name]
    return repainted, tuple(bare)


def colours_of(words: str) -> list[RGB]:
    """Colours that are written as rrggbb, one a word."""
    return [(code >> 16, code >> 8 & 255, code & 255) for code in (int(word, 16) for word in words.split())]


def _codes(labels: LabelSet) -> Sequence[int]:
    return codes_of(np.array(list(labels.palette.values()), np.uint8)).tolist()
