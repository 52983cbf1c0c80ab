"""From whatever a person brings to the control map as the model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from hgc.control.annotators import ANNOTATORS, AnnotatorSettings, annotate
from hgc.control.canvas import Pixels, fit, snap
from hgc.control.images import RGB, WHITE, ImageRefused, decode
from hgc.control.lines import detected, edge_map

UNPAINTED = "sky"
# Of its length; less goes unsaid.
LEAST_CUT = 0.02


@dataclass(frozen=True)
class Prepared:
    """A control map uint8 [size, size, 3], and in plain words what was done to make it."""

    map: Pixels
    notes: tuple[str, ...] = ()

    @property
    def png(self) -> bytes:
        buffer = BytesIO()
        Image.fromarray(self.map).save(buffer, "PNG")
        return buffer.getvalue()


def prepare_control(
    picture: Pixels,
    control: str,
    size: int,
    palette: Mapping[str, RGB],
    annotator: str | None = None,
    settings: AnnotatorSettings | None = None,
) -> Prepared:
    """Fits a drawing (annotator None) or a photo, uint8 [H, W, 3 or 4], to the model's size, classes and polarity.

    Raises ImageRefused when the annotator's map is not of this control's kind, AnnotatorUnavailable without weights.
    """
    notes: tuple[str, ...] = ()
    cut = _cut(picture)
    if annotator is not None:
        if annotator not in ANNOTATORS:
            raise ImageRefused(f"Unknown annotator '{annotator}': choose one of {', '.join(ANNOTATORS)}.")
        if ANNOTATORS[annotator].kind not in (control, "shuffle"):
            fitting = ", ".join(a.label for a in ANNOTATORS.values() if a.kind == control and not a.needs_weights)
            raise ImageRefused(
                f"{ANNOTATORS[annotator].label} makes {ANNOTATORS[annotator].kind}, this control reads {control}: "
                f"choose {fitting}."
            )
        photo = fit(picture[:, :, :3], (size, size), "photo")
        made = annotate(photo, annotator, settings, palette)
        picture, notes = made.map, made.notes
    if control == "segmentation":
        return _classes(picture, size, palette, (*cut, *notes), drawn=annotator is None)
    if annotator is None:
        lines = edge_map(fit(picture, (size, size), "photo"))
    else:
        lines = detected(fit(picture, (size, size), "edges"))
    # An annotator that found no lines has said so already.
    return Prepared(lines.map, (*cut, *(notes or lines.notes)))


def _cut(picture: Pixels) -> tuple[str, ...]:
    """The note on a picture that is not square."""
    rows, columns = picture.shape[:2]
    lost = 1 - min(rows, columns) / max(rows, columns)
    sides = "at the top and the bottom" if rows > columns else "on the left and the right"
    return (f"the picture is not square: {lost:.0%} of it is cut off {sides}",) if lost > LEAST_CUT else ()


def _classes(picture: Pixels, size: int, palette: Mapping[str, RGB], notes: tuple[str, ...], drawn: bool) -> Prepared:
    paper = WHITE if drawn else None
    snapped = snap(fit(picture, (size, size), "labels"), palette, UNPAINTED, paper)
    said = list(notes)
    if snapped.share_unpainted == 1:
        said.append(f"nothing is painted: all of it counts as {UNPAINTED}")
    elif snapped.share_unpainted > 0.002:
        said.append(f"{snapped.share_unpainted:.0%} of the pixels are unpainted and count as {UNPAINTED}")
    if snapped.share_snapped > 0.002:
        said.append(f"{snapped.share_snapped:.0%} of the pixels were snapped to the nearest class")
    return Prepared(snapped.map, tuple(said))


def read_map(png: bytes) -> Pixels:
    """The pixels uint8 [H, W, 3] of a request's control map. Raises ImageRefused."""
    return decode(png).pixels
