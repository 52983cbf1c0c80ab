"""The map of the second control, as the model will see it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hgc.control.images import ImageRefused
from hgc.control.pictures import INPAINT
from hgc.ui.components.easel import from_url
from hgc.ui.playground.drawing import READING, ControlInput, inpainted, prepare, read_photo, sources_of, stretched
from hgc.ui.playground.size import Size

if TYPE_CHECKING:
    from hgc.studio.control_map import Prepared
    from hgc.studio.studio import Studio

NO_SECOND_MAP = "The second control has no map yet: draw it or give it a photo, or choose None for it."


def second_map(
    studio: Studio,
    size: Size | None,
    begun: str | None,
    part: str,
    mask: str | None,
    control: str,
    way: str,
    painting: str | None,
    lines: str | None,
    photo: str | None,
    annotator: str,
    *reading: Any,
) -> Prepared:
    """The second control's map as the model will see it; `reading` is in the order of `READING`. Raises Refused.

    `begun`, `part` and `mask` are the picture to begin from and what is painted over it, which inpainting reads.
    """
    if control == INPAINT:
        return _noted(*prepare(studio, replace(inpainted(begun, part, mask), size=size)))
    sheet = {"paint": painting, "lines": lines}.get(way, photo)
    if not sheet:
        raise ImageRefused(NO_SECOND_MAP)
    if way not in sources_of((control,), control, studio.world.painted):
        what = "lines" if way == "lines" else "areas"
        raise ImageRefused(f"This second control reads no {what}: give it a photo or a finished map.")
    if way in ("paint", "lines"):
        given = ControlInput(stretched(from_url(sheet), size), control, areas=way == "paint")
    else:
        given = read_photo(photo, annotator, dict(zip(READING, reading, strict=False)))
    prepared = studio.prepare_control(given.picture, control, given.annotator, given.reading, size, areas=given.areas)
    return _noted(prepared, (*given.notes, *prepared.notes))


def _noted(prepared: Prepared, notes: tuple[str, ...]) -> Prepared:
    """A map with all that is to be said of it."""
    return replace(prepared, notes=notes)
