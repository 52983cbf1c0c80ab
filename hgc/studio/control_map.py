"""From whatever a person brings to the control map as the model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from hgc.control.annotators import ANNOTATORS, annotate
from hgc.control.canvas import Kind, Pixels, fit, on_sheet, snap
from hgc.control.images import BLACK, RGB, WHITE, ImageRefused, decode
from hgc.control.lines import detected, edge_map
from hgc.control.reading import Reading

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
    reading: Reading | None = None,
    canny: tuple[int, int] = (100, 200),
) -> Prepared:
    """Fits a drawing (annotator None) or a photo, uint8 [H, W, 3 or 4], to the model's size, classes and polarity.

    `canny` are the thresholds where the reading has none. Raises ImageRefused when the annotator's map is not of this
    control's kind, AnnotatorUnavailable without weights.
    """
    reading = reading or Reading()
    framed = _Framed(picture, size, reading)
    if annotator is None:
        if control == "segmentation":
            return _classes(framed, framed.at("labels"), palette, ())
        lines = edge_map(framed.at("photo"))
        return framed.prepared(lines.map, lines.notes)
    _check_kind(annotator, control)
    made = annotate(framed.at("photo")[:, :, :3], annotator, reading.settings(canny), palette)
    if control == "segmentation":
        return _classes(framed, made.map, palette, made.notes, paper=None)
    lines = detected(made.map)
    # An annotator that found no lines has said so already.
    return framed.prepared(lines.map, made.notes or lines.notes)


def _check_kind(annotator: str, control: str) -> None:
    """Raises ImageRefused for an annotator that nobody knows or whose maps this control does not read."""
    if annotator not in ANNOTATORS:
        raise ImageRefused(f"Unknown annotator '{annotator}': choose one of {', '.join(ANNOTATORS)}.")
    if ANNOTATORS[annotator].kind not in (control, "shuffle"):
        fitting = ", ".join(a.label for a in ANNOTATORS.values() if a.kind == control and not a.needs_weights)
        raise ImageRefused(
            f"{ANNOTATORS[annotator].label} makes {ANNOTATORS[annotator].kind}, this control reads {control}: "
            f"choose {fitting}."
        )


@dataclass(frozen=True)
class _Framed:
    """A picture of any proportions on its way to a square map."""

    picture: Pixels
    size: int
    reading: Reading

    def at(self, kind: Kind) -> Pixels:
        """The part that is used, at the model's scale; bars are added to the map, so that no detector sees them."""
        return fit(self.picture, (self.size, self.size), kind, self.reading.framing, self.reading.position)

    def prepared(self, control_map: Pixels, notes: tuple[str, ...], bare: RGB = BLACK) -> Prepared:
        return Prepared(on_sheet(control_map, (self.size, self.size), bare), (*self.notes, *notes))

    @property
    def notes(self) -> tuple[str, ...]:
        """The note on a picture that is not square."""
        rows, columns = self.picture.shape[:2]
        lost = 1 - min(rows, columns) / max(rows, columns)
        if lost <= LEAST_CUT:
            return ()
        upright, framing = rows > columns, self.reading.framing
        if framing == "fill":
            side = "width" if upright else "height"
            return (f"the picture is not square: it is stretched to {1 / (1 - lost):.2f} times its {side}",)
        across, along = ("on the left", "the right"), ("at the top", "the bottom")
        if framing == "fit":
            first, second = across if upright else along
            return (f"the picture is not square: bars stay bare {first} and {second}",)
        first, second = along if upright else across
        where = {0.0: f"{first.split()[0]} {second}", 1.0: first}.get(self.reading.position, f"{first} and {second}")
        return (f"the picture is not square: {lost:.0%} of it is cut off {where}",)


def _classes(
    framed: _Framed, picture: Pixels, palette: Mapping[str, RGB], notes: tuple[str, ...], paper: RGB | None = WHITE
) -> Prepared:
    snapped = snap(picture, palette, UNPAINTED, paper)
    said = list(notes)
    if snapped.share_unpainted == 1:
        said.append(f"nothing is painted: all of it counts as {UNPAINTED}")
    elif snapped.share_unpainted > 0.002:
        said.append(f"{snapped.share_unpainted:.0%} of the pixels are unpainted and count as {UNPAINTED}")
    if snapped.share_snapped > 0.002:
        said.append(f"{snapped.share_snapped:.0%} of the pixels were snapped to the nearest class")
    return framed.prepared(snapped.map, tuple(said), palette[UNPAINTED])


def read_map(png: bytes) -> Pixels:
    """The pixels uint8 [H, W, 3] of a request's control map. Raises ImageRefused."""
    return decode(png).pixels
