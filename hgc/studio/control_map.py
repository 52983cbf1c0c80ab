"""From whatever a person brings to the control map as the model sees it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hgc import limits
from hgc.control.annotators import ANNOTATORS, LINES, annotate, serves
from hgc.control.canvas import Kind, Pixels, snap
from hgc.control.fitting import fit, on_sheet
from hgc.control.images import BLACK, RGB, WHITE, ImageRefused, decode
from hgc.control.label_sets import LabelSet, plain, set_of
from hgc.control.lines import detected, edge_map
from hgc.control.reading import Reading
from hgc.landscapes.relief import depth_map

# Of its length; less goes unsaid.
LEAST_CUT = 0.02
NO_AREAS = "This model's depth maps cannot be painted in areas: give a photo or a finished depth map."
NEARNESS = "how near things are was worked out from where they stand on the canvas"
Near = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Prepared:
    """A control map uint8 [H, W, 3], and in plain words what was done to make it."""

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
    size: tuple[int, int],
    sets: Sequence[LabelSet],
    annotator: str | None = None,
    reading: Reading | None = None,
    canny: tuple[int, int] = (100, 200),
    areas: bool = False,
    near: Near | None = None,
) -> Prepared:
    """Fits a drawing (annotator None) or a photo, uint8 [H, W, 3 or 4], to a size, the model's classes and polarity.

    `size` is width and height; a label map is in that one of the `sets` whose colours it has. Without an annotator,
    areas and lines may be drawn by hand; of any other control it is a finished map, unless it is a depth map that
    is painted in `areas` of the first set: `near` tells how near these are. `canny` are the thresholds where the
    reading has none. Raises ImageRefused when the annotator's map is not of this control's kind, and for areas
    without `near`; AnnotatorUnavailable without weights.
    """
    reading = reading or Reading()
    framed = _Framed(picture, size, reading)
    if annotator is None:
        if control == "segmentation":
            return _classes(framed, framed.at("labels"), sets, ())
        if areas and control == "depth":
            return _nearness(framed, sets[0], near)
        if control not in LINES:
            return _carried(framed.prepared(framed.at("photo")[:, :, :3], ()))
        lines = edge_map(framed.at("photo"))
        return framed.prepared(lines.map, lines.notes)
    _check_kind(annotator, control)
    made = annotate(framed.at("photo")[:, :, :3], annotator, reading.settings(canny), sets[0].palette)
    if control == "segmentation":
        return _classes(framed, made.map, sets, made.notes, paper=None)
    if control != "edges":
        return _carried(framed.prepared(made.map, made.notes))
    lines = detected(made.map)
    # An annotator that found no lines has said so already.
    return framed.prepared(lines.map, made.notes or lines.notes)


def _carried(prepared: Prepared) -> Prepared:
    """A map that a request can carry: a large photo's colours are coarsened as far as it takes, and that is said."""
    carried, levels = prepared, 256
    while len(carried.png) * 4 / 3 > limits.CONTROL_PNG_CHARS:
        levels //= 2
        note = f"its colours were coarsened to {levels} levels, so that a request can carry it"
        step = 256 // levels
        carried = Prepared(prepared.map // step * step, (*prepared.notes, note))
    return carried


def _check_kind(annotator: str, control: str) -> None:
    """Raises ImageRefused for an annotator that nobody knows or whose maps this control does not read."""
    if annotator not in ANNOTATORS:
        raise ImageRefused(f"Unknown annotator '{annotator}': choose one of {', '.join(ANNOTATORS)}.")
    if not serves(annotator, control):
        ways = [known.label for known in ANNOTATORS.values() if serves(known.name, control) and not known.needs_weights]
        raise ImageRefused(
            f"{ANNOTATORS[annotator].label} makes {ANNOTATORS[annotator].kind}, this control reads {control}: "
            f"choose {', '.join(ways) or 'an annotator of that kind, or give a finished map'}."
        )


@dataclass(frozen=True)
class _Framed:
    """A picture of any proportions on its way to a map of `size`, width and height."""

    picture: Pixels
    size: tuple[int, int]
    reading: Reading

    @property
    def shape(self) -> tuple[int, int]:
        return self.size[::-1]

    def at(self, kind: Kind) -> Pixels:
        """The part that is used, at the model's scale; bars are added to the map, so that no detector sees them."""
        return fit(self.picture, self.shape, kind, self.reading.framing, self.reading.position)

    def prepared(self, control_map: Pixels, notes: tuple[str, ...], bare: RGB = BLACK) -> Prepared:
        return Prepared(on_sheet(control_map, self.shape, bare), (*self.notes, *notes))

    @property
    def notes(self) -> tuple[str, ...]:
        """The note on a picture of other proportions."""
        (rows, columns), (height, width) = self.picture.shape[:2], self.shape
        lost = 1 - min(rows * width, columns * height) / max(rows * width, columns * height)
        if lost <= LEAST_CUT:
            return ()
        upright, framing = rows * width > columns * height, self.reading.framing
        unlike = "the picture is not square" if height == width else "the picture has other proportions"
        if framing == "fill":
            side = "width" if upright else "height"
            return (f"{unlike}: it is stretched to {1 / (1 - lost):.2f} times its {side}",)
        across, along = ("on the left", "the right"), ("at the top", "the bottom")
        if framing == "fit":
            first, second = across if upright else along
            return (f"{unlike}: bars stay bare {first} and {second}",)
        first, second = along if upright else across
        where = {0.0: f"{first.split()[0]} {second}", 1.0: first}.get(self.reading.position, f"{first} and {second}")
        return (f"{unlike}: {lost:.0%} of it is cut off {where}",)


def _classes(
    framed: _Framed, picture: Pixels, sets: Sequence[LabelSet], notes: tuple[str, ...], paper: RGB | None = WHITE
) -> Prepared:
    labels = set_of(picture, sets)
    snapped, bare = snap(picture, labels.palette, labels.unpainted, paper), plain(labels.unpainted)
    said = list(notes)
    if snapped.share_unpainted == 1:
        said.append(f"nothing is painted: all of it counts as {bare}")
    elif snapped.share_unpainted > 0.002:
        said.append(f"{snapped.share_unpainted:.0%} of the pixels are unpainted and count as {bare}")
    if snapped.share_snapped > 0.002:
        said.append(f"{snapped.share_snapped:.0%} of the pixels were snapped to the nearest class")
    return framed.prepared(snapped.map, tuple(said), labels.palette[labels.unpainted])


def _nearness(framed: _Framed, labels: LabelSet, near: Near | None) -> Prepared:
    """Areas as a depth map. Raises ImageRefused where nobody can tell how near they are."""
    if near is None:
        raise ImageRefused(NO_AREAS)
    painted = _classes(framed, framed.at("labels"), [labels], (NEARNESS,))
    numbers = snap(painted.map, labels.palette, labels.unpainted, paper=None).labels
    return Prepared(depth_map(near(numbers), framed.size), painted.notes)


def decoded(encoded: str) -> Pixels:
    """The pixels uint8 [H, W, 3] of a request's picture, base64. Raises ImageRefused."""
    return decode(b64decode(encoded)).pixels
