"""A person's drawing or photo, and the control map that is made of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from hgc.control.annotators import ANNOTATORS, LINES, read_by, serves
from hgc.control.canvas import Pixels
from hgc.control.images import ImageRefused, decode
from hgc.control.lines import edge_map
from hgc.control.pictures import INPAINT, as_inpainting_map, as_mask
from hgc.control.reading import Reading
from hgc.ui.components.easel import CANVAS_PX, from_url
from hgc.ui.playground.size import OWN, Size, size_of
from hgc.ui.playground.source_panel import PART, WHOLE

if TYPE_CHECKING:
    from hgc.studio.control_map import Prepared
    from hgc.studio.studio import Studio

Source = Literal["paint", "lines", "photo"]
SOURCES: tuple[Source, ...] = ("paint", "lines", "photo")  # as the panel has them

PEN = (27, 31, 38)
# The controls that maps may be painted for in areas, by one model or another.
PAINTED = ("segmentation", "depth")
# Which of a model's controls reads the map: its name, or the one that goes with what is drawn or how it is read.
AUTO = "auto"
# A photo's way to a map: the annotators, and these for maps that are ready, with what each is.
AS_LABELS, AS_LINES, AS_MAP = "as_labels", "as_lines", "as_map"
READY: Mapping[str, tuple[str, str]] = {
    AS_LABELS: ("segmentation", "It is a label map already"),
    AS_LINES: ("edges", "It is a line drawing already"),
    "as_depth": ("depth", "It is a depth map already"),
    "as_normals": ("normals", "It is a map of normals already"),
    "as_pose": ("pose", "It is a drawn pose already"),
    "as_tile": ("tile", "Keep to the photo itself (tile)"),
    AS_MAP: ("", "It is a finished map already"),
}


NOTHING_BEGUN = "This control reads a picture to begin from: give it one under More to draw from."
NOTHING_ANEW = "Under More to draw from, choose Only what I paint over and paint over the part to change."

# The fields of a Reading that the panel has, in its order.
READING = (
    "framing",
    "position",
    "low_threshold",
    "high_threshold",
    "sigma_px",
    "line_threshold",
    "line_score",
    "line_length",
    "hands",
    "resolution_px",
)


class NothingYet(ImageRefused):
    """A map that waits for something else on the page; the message says for what."""


def sources_of(controls: Collection[str], which: str, areas: Collection[str]) -> tuple[Source, ...]:
    """The ways to a map of the chosen control, or of any that a model has: few can be drawn, all be read or given.

    Those in `areas` may be painted. Inpainting's map has none: it is made from the picture to begin from.
    """
    if which == INPAINT:
        return ()
    asked = controls if which == AUTO else (which,)
    by = {"paint": areas, "lines": LINES, "photo": asked}
    return tuple(source for source in SOURCES if any(name in by[source] for name in asked))


def offering(sources: Collection[str], of: str = "") -> str:
    """A style under which no other way to a map can be chosen: what stands in a list, events under way still hold.

    `of` begins the names of a second panel's components.
    """
    choice = f"#{of}way" if of else "#source"
    hidden = [f"{choice} label:nth-of-type({n})" for n, source in enumerate(SOURCES, 1) if source not in sources]
    if len(sources) == 1:  # a photo is drawn on where there is a canvas
        hidden += [choice] if of else ["#on-canvas"]
    if not sources:
        hidden += [choice, "#tracing", *(f"#{of}{source}-panel" for source in SOURCES)]
    return f"<style>{', '.join(hidden)} {{ display: none !important }}</style>" if hidden else ""


def sheet_of(picture: Pixels, control: str) -> Pixels:
    """A map or sketch uint8 [H, W, 3] as a drawing on the canvas of its kind: enlarged without mixing colours.

    Lines of either polarity become dark ones on a bare sheet, as a pen draws them.
    """
    large = cv2.resize(picture, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_NEAREST)
    if control == "segmentation":
        return np.dstack([large, np.full(large.shape[:2], 255, np.uint8)])
    sheet = np.zeros((CANVAS_PX, CANVAS_PX, 4), np.uint8)
    sheet[edge_map(large.astype(np.uint8)).map[:, :, 0] > 0] = (*PEN, 255)
    return sheet


@dataclass(frozen=True)
class ControlInput:
    """A drawing or photo: pixels uint8 [H, W, 3 or 4], the control that reads them, and how they become a map.

    `anew` is the sheet of what is painted over an inpainting control's picture, uint8 [side, side, 4]. With `areas` the
    picture is painted in them.
    """

    picture: Pixels
    control: str
    annotator: str | None = None
    notes: tuple[str, ...] = ()
    reading: Reading | None = None
    size: Size | None = None
    anew: Pixels | None = None
    areas: bool = False


def drawn(
    source: Source,
    painting: str | None,
    lines: str | None,
    photo: str | None,
    annotator: str,
    size: str = OWN,
    which: str = AUTO,
    begun: str | None = None,
    part: str = WHOLE,
    mask: str | None = None,
    *reading: Any,
) -> ControlInput:
    """Reads the panel's inputs, the last in the order of `READING`. Raises ImageRefused where there is nothing to read.

    A canvas is clean, and its sheet is the whole of the picture, whatever the size. `begun`, `part` and `mask` are the
    picture to begin from and what is painted over it, which inpainting's map is made from.
    """
    asked, control = size_of(size), kind_drawn(source, annotator, which)
    if control == INPAINT:
        return replace(inpainted(begun, part, mask), size=asked)
    if source == "photo":
        given = read_photo(photo, annotator, dict(zip(READING, reading, strict=False)))
        return replace(given, control=control, size=asked)
    sheet = stretched(from_url(lines if source == "lines" else painting), asked)
    return ControlInput(sheet, control, size=asked, areas=source == "paint")


def inpainted(begun: str | None, part: str, mask: str | None) -> ControlInput:
    """What an inpainting control reads: the picture to begin from, and what is painted over it.

    Raises NothingYet, ImageRefused.
    """
    if begun is None:
        raise NothingYet(NOTHING_BEGUN)
    sheet = from_url(mask)
    if part != PART or not sheet[..., 3].any():
        raise NothingYet(NOTHING_ANEW)
    decoded = decode(Path(begun))
    return ControlInput(decoded.pixels[:, :, :3], INPAINT, notes=decoded.notes, anew=sheet)


def stretched(sheet: Pixels, size: Size | None) -> Pixels:
    """A canvas's sheet [side, side, 4] in the proportions of a size, as its canvas showed it; colours are not mixed."""
    if size is None or size[0] == size[1]:
        return sheet
    return np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def read_photo(path: str | None, annotator: str, how: Mapping[str, Any] | None = None) -> ControlInput:
    """An uploaded file as a person meant it; `how` has fields of a Reading. Raises ImageRefused."""
    if path is None:
        raise ImageRefused("There is no photo yet: drop one into the box or take an example.")
    reading, decoded = Reading.parse(how), decode(Path(path))
    if annotator in READY:
        return ControlInput(decoded.pixels, READY[annotator][0], None, decoded.notes, reading)
    if annotator not in ANNOTATORS:
        raise ImageRefused(f"There is no annotator {annotator[:40]!r}: choose one of {', '.join(ANNOTATORS)}.")
    return ControlInput(decoded.pixels, kind_of(annotator), annotator, decoded.notes, reading)


def kind_drawn(source: str, annotator: str, which: str, areas: Collection[str] = PAINTED) -> str:
    """The kind of map that a source makes: as it was chosen, where that reads what is drawn or how a photo is read.

    `areas` are the controls that a model may have areas painted for.
    """
    if which == INPAINT:
        return INPAINT
    if source == "lines":
        return which if which in LINES else "edges"
    if source != "photo":
        return which if which in areas else "segmentation"
    if annotator in ANNOTATORS:
        return which if which != AUTO and serves(annotator, which) else kind_of(annotator)
    natural = READY[annotator][0] if annotator in READY else ""
    fits = not natural or natural == which or (natural in LINES and which in LINES)
    return which if which != AUTO and fits else natural or "segmentation"


def kind_of(annotator: str) -> str:
    """The kind of map that a photo's way to one makes; what may be any counts as areas."""
    kind = READY[annotator][0] if annotator in READY else ANNOTATORS[annotator].kind
    return "segmentation" if kind == "shuffle" else kind


@dataclass(frozen=True)
class ControlMap:
    """A control map ready to be used: the bytes of its PNG and the control that reads it."""

    png: bytes
    control: str


def fitted(given: ControlInput, studio: Studio) -> ControlInput:
    """A drawing with the control of this model that reads it."""
    unread = given.areas and given.control not in studio.world.painted
    return replace(given, control="segmentation" if unread else read_by(given.control, studio.controls))


def prepare(studio: Studio, given: ControlInput) -> tuple[Prepared, tuple[str, ...]]:
    """The map as the model will see it and all that is to be said of it. Raises ImageRefused, AnnotatorUnavailable."""
    given = fitted(given, studio)
    how = (given.annotator, given.reading, given.size)
    prepared = studio.prepare_control(given.picture, given.control, *how, areas=given.areas)
    if given.anew is not None:
        size = given.size or studio.size
        mask = as_mask(stretched(given.anew, size), size)
        notes = (*prepared.notes, "what you painted over is black here: it is made anew")
        prepared = replace(prepared, map=as_inpainting_map(prepared.map, mask), notes=notes)
    return prepared, (*given.notes, *prepared.notes)
