"""What a person gave, from canvas or photo, and the control map that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from hgc.control.annotators import ANNOTATORS, AnnotatorUnavailable
from hgc.control.canvas import Pixels, compose
from hgc.control.images import ImageRefused, decode
from hgc.ui.figures import notes_list

if TYPE_CHECKING:
    from hgc.service import Prepared
    from hgc.ui.loader import StudioLike

Source = Literal["paint", "lines", "photo"]
Control = Literal["segmentation", "edges"]

CANVAS_PX = 512
# A photo's way to a map: the annotators, and two for maps that are ready.
AS_LABELS, AS_LINES = "as_labels", "as_lines"


def editor_value(picture: Pixels) -> dict[str, Any]:
    """A drawing or map as an editor's value, enlarged without mixing colours."""
    large = cv2.resize(picture, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_NEAREST)
    return {"background": large, "layers": [], "composite": large}


@dataclass(frozen=True)
class Drawn:
    """What a person gave: pixels uint8 [H, W, 3 or 4], the control that reads them, and how they become a map."""

    picture: Pixels
    control: Control
    annotator: str | None = None
    notes: tuple[str, ...] = ()


def drawn(
    source: Source,
    painting: Mapping[str, Any] | None,
    lines: Mapping[str, Any] | None,
    photo: str | None,
    annotator: str,
) -> Drawn:
    """Reads the panel's inputs. Raises ImageRefused where there is nothing to read."""
    if source == "photo":
        return read_photo(photo, annotator)
    if source == "lines":
        return Drawn(_sheet(lines), "edges")
    return Drawn(_sheet(painting), "segmentation")


def read_photo(path: str | None, annotator: str) -> Drawn:
    """An uploaded file as a person meant it. Raises ImageRefused."""
    if path is None:
        raise ImageRefused("There is no photo yet: drop one into the box or take an example.")
    decoded = decode(Path(path))
    control: Control
    if annotator in (AS_LABELS, AS_LINES):
        control = "segmentation" if annotator == AS_LABELS else "edges"
        return Drawn(decoded.pixels, control, None, decoded.notes)
    if annotator not in ANNOTATORS:
        raise ImageRefused(f"There is no annotator {annotator!r}: choose one of {', '.join(ANNOTATORS)}.")
    control = "edges" if ANNOTATORS[annotator].kind == "edges" else "segmentation"
    return Drawn(decoded.pixels, control, annotator, decoded.notes)


def _sheet(value: Mapping[str, Any] | None) -> Pixels:
    """The drawing [H, W, 4]; an untouched canvas is a bare sheet."""
    given = {} if value is None else value
    if given.get("layers") or any(given.get(part) is not None for part in ("composite", "background")):
        return compose(given)
    return np.zeros((CANVAS_PX, CANVAS_PX, 4), np.uint8)


@dataclass(frozen=True)
class Sheet:
    """A control map ready to be used: the bytes of its PNG and the control that reads it."""

    png: bytes
    control: Control


def prepare(studio: StudioLike, given: Drawn) -> tuple[Prepared, tuple[str, ...]]:
    """The map as the model will see it and all that is to be said about it. Raises ImageRefused."""
    try:
        prepared = studio.prepare_control(given.picture, given.control, given.annotator)
    except AnnotatorUnavailable as error:
        raise ImageRefused(str(error)) from error
    return prepared, (*given.notes, *prepared.notes)


def seen_text(notes: tuple[str, ...], given: Drawn | None = None) -> str:
    """What stands beside the map as the model sees it; without a drawing, of the example that the page opens with."""
    kind = "Edge map" if given is not None and given.control == "edges" else "Segmentation map"
    if given is not None and given.annotator is not None:
        kind += f", read from your photo by {ANNOTATORS[given.annotator].label}"
    found = notes_list(notes) or '<p class="aside">Nothing had to be changed.</p>'
    return f"<h4>As the model sees it</h4><p>{kind}</p>{found}"
