"""A recipe's pictures and lists, from the files and words that the shell's options have for them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hgc.cli.options import with_own
from hgc.control.images import Decoded, decode
from hgc.control.pictures import INPAINT, as_inpainting_map, as_mask, as_source
from hgc.control.reading import Reading
from hgc.request import Recipe, RequestRefused
from hgc.studio.control_map import Prepared, decoded
from hgc.studio.studio import Studio

SECOND = ("scale", "start", "end")


def read_pictures(options: Mapping[str, Any], studio: Studio, reading: Reading | None = None) -> dict[str, Any]:
    """A recipe's fields from the options; every picture is brought to the size that is asked for.

    Raises RequestRefused, ImageRefused.
    """
    words = with_own(options, studio.loaded.preset) | {
        "source": None,
        "mask": None,
        "second": None,
        "loras": options["loras"] or (),
    }
    size = Recipe.parse(words).size or studio.size
    given = {name: decode(options[name]).pixels for name in ("source", "mask") if options[name] is not None}
    if len(given) == 2 and given["source"].shape[:2] != given["mask"].shape[:2]:
        (height, width), (own_height, own_width) = given["source"].shape[:2], given["mask"].shape[:2]
        raise RequestRefused(
            f"the mask is {own_width} × {own_height} pixels, the source {width} × {height}; paint it over the source"
        )
    if "source" in given:
        words["source"] = as_source(given["source"], size, reading)
    if "mask" in given:
        words["mask"] = as_mask(given["mask"], size, reading)
    if options["second"] is not None:
        words["second"] = _second(options["second"], studio, size, reading)
    return words


def read_image(image: Path | None, options: Mapping[str, Any]) -> Decoded | None:
    """The file of the control map; inpainting's alone can do without one. Raises RequestRefused, ImageRefused."""
    if image is not None:
        return decode(image)
    control, lacks = options["control"], [f"--{name}" for name in ("source", "mask") if options[name] is None]
    if control != INPAINT:
        raise RequestRefused(f"control '{control[:40]}' reads a map: give it with --image")
    if lacks:
        raise RequestRefused(f"control {INPAINT} is made from a picture and its mask: give {' and '.join(lacks)}")
    return None


def map_of(
    picture: Decoded | None,
    studio: Studio,
    asked: Recipe,
    annotator: str | None = None,
    reading: Reading | None = None,
) -> Prepared:
    """The control map of `read_image`'s file; without one, of the recipe's source and mask.

    Raises RequestRefused, ImageRefused, AnnotatorUnavailable.
    """
    if picture is not None:
        prepared = studio.prepare_control(picture.pixels, asked.control, annotator, reading, asked.size)
        return replace(prepared, notes=(*picture.notes, *prepared.notes))
    studio.check_control(asked.control)
    return Prepared(as_inpainting_map(decoded(asked.source or ""), asked.mask or ""))


def _second(text: str, studio: Studio, size: tuple[int, int], reading: Reading | None) -> dict[str, Any]:
    control, equals, rest = text.partition("=")
    path, *numbers = rest.split(",")
    if not equals or not path or len(numbers) > len(SECOND):
        raise RequestRefused(f"--second '{text[:80]}': give such as depth=near.png or depth=near.png,0.5,0,0.8")
    png = studio.prepare_control(decode(Path(path)).pixels, control, None, reading, size).png
    named = dict(zip(SECOND, (_number(number, text) for number in numbers), strict=False))
    return {"control": control, "map": b64encode(png).decode()} | named


def _number(text: str, whole: str | None) -> float:
    try:
        return float(text)
    except ValueError:
        raise RequestRefused(f"'{text[:40]}' in '{(whole or '')[:80]}' is not a number") from None
