"""The ways from a photo to a map that the page offers for a model's controls."""

from __future__ import annotations

from collections.abc import Sequence

from hgc.control.annotators import ANNOTATORS, read_by, serves
from hgc.models.presets import presets
from hgc.ui.playground.drawing import AS_MAP, AUTO, READY

LANDSCAPES = tuple(presets()["landscapes"].controls)
UNFETCHED = "downloads its weights first"


def annotator_choices(controls: Sequence[str] = LANDSCAPES) -> list[tuple[str, str]]:
    """The ways to read a photo for a model with these controls, those first that need nothing.

    What has to be fetched before is marked.
    """
    readable = [known for known in ANNOTATORS.values() if any(serves(known.name, control) for control in controls)]
    # Landscapes' classes are colours; of other classes a colour says nothing.
    if tuple(controls) != LANDSCAPES:
        readable = [known for known in readable if known.name not in ("palette_snap", "content_shuffle")]
    here = [(f"{known.label}: {known.hint}", known.name) for known in readable if not known.needs_weights]
    ready = [(title, name) for name, (kind, title) in READY.items() if read_by(kind, controls) in controls]
    others = [
        (f"{known.label}: {known.hint}{'' if known.ready() else f' ({UNFETCHED})'}", known.name)
        for known in readable
        if known.needs_weights
    ]
    return [*here, *ready, *others]


def ways_to(control: str) -> list[tuple[str, str]]:
    """The ways from a photo to a control's map, those first that need nothing; what has to be fetched is marked."""
    known = [
        way
        for way in ANNOTATORS.values()
        if serves(way.name, control) and (way.kind != "shuffle" or control == way.kind)
    ]
    marks = {way.name: "" if way.ready() else f" ({UNFETCHED})" for way in known}
    read = [(f"{way.label}: {way.hint}{marks[way.name]}", way.name) for way in known]
    free = [entry for entry in read if not ANNOTATORS[entry[1]].needs_weights]
    return [*free, (READY[AS_MAP][1], AS_MAP), *(entry for entry in read if entry not in free)]


def ways_of(controls: Sequence[str], which: str) -> list[tuple[str, str]]:
    """The ways to read a photo for the chosen control, or for all that a model has."""
    if which == AUTO:
        return annotator_choices(controls)
    return [way for way in ways_to(which) if way[1] != "palette_snap" or tuple(controls) == LANDSCAPES]
