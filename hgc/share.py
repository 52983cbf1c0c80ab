"""A request as a link: the form's settings, compressed, after the question mark of the page's address.

The control map goes along where it is an example of the gallery or small enough, a second control's map and a picture
to start from where they are small enough; otherwise the link has none of them, and a saved picture is the way to hand
them on.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Any

import numpy as np

from hgc.control.chunks import inflated
from hgc.control.images import ImageRefused, decode
from hgc.landscapes import examples
from hgc.landscapes.examples import Example
from hgc.refused import Refused
from hgc.request import Request, RequestRefused

NAME = "s"
# Proxies in front of a page take 8,192 characters of an address; the rest of it needs room too.
MAX_LINK_CHARS = 7_000
MAX_JSON_BYTES = 200_000
EXAMPLE, MAP = "example", "control_png"
PICTURES = {MAP, "second", "source", "mask"}


class LinkRefused(Refused, ValueError):
    """A link that cannot be made or read; one sentence says why."""


@dataclass(frozen=True)
class Shared:
    """The content of a link. Without its pictures (`has_map`), the request has the first example's map."""

    request: Request
    has_map: bool


@dataclass(frozen=True)
class Link:
    """A query such as `s=eJy…`, and whether the control map and all other pictures are in it."""

    query: str
    has_map: bool


def link_of(request: Request) -> Link:
    """The shortest link that restores a request, with its pictures where they fit.

    Raises LinkRefused when nothing fits.
    """
    # Defaults too: another version may have others.
    fields = request.model_dump(mode="json", exclude={MAP})
    shown = _example_of(request)
    with_map = fields | ({MAP: request.control_png} if shown is None else {EXAMPLE: shown.file})
    bare = {name: value for name, value in fields.items() if name not in PICTURES}
    for values, has_map in ((with_map, True), (bare, False)):
        query = f"{NAME}={_packed(values)}"
        if len(query) <= MAX_LINK_CHARS:
            return Link(query, has_map)
    raise LinkRefused(
        f"These settings need a link of {len(query):,} characters and at most {MAX_LINK_CHARS:,} are safe: "
        "save a picture instead, it carries them."
    )


def read_link(packed: str) -> Shared:
    """The request behind the value of a link's query. Raises LinkRefused with one sentence."""
    if len(packed) > MAX_LINK_CHARS:
        raise LinkRefused(f"This link has {len(packed):,} characters and at most {MAX_LINK_CHARS:,} are read.")
    values = _unpacked(packed)
    example = values.pop(EXAMPLE, None)
    has_map = example is not None or MAP in values
    try:
        if MAP not in values:
            values[MAP] = b64encode(_example(example).path.read_bytes()).decode()
        return Shared(Request.parse(values), has_map)
    except RequestRefused as error:
        raise LinkRefused(f"This link's settings cannot be used: {error}.") from error


def _packed(values: dict[str, Any]) -> str:
    text = json.dumps(values, separators=(",", ":"))
    return urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def _unpacked(packed: str) -> dict[str, Any]:
    try:
        data = urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        values = json.loads(inflated(data, MAX_JSON_BYTES))
    except (Base64Error, ImageRefused, ValueError, RecursionError) as error:
        raise LinkRefused("This link is not whole: copy it again, to its very end.") from error
    if not isinstance(values, dict):
        raise LinkRefused("This link holds no settings: copy it again from the page.")
    return values


def _example_of(request: Request) -> Example | None:
    """The example of the gallery whose map this is, if it is one."""
    try:
        pixels = decode(request.control_bytes).pixels
    except ImageRefused:
        return None
    for example in examples.gallery():
        if example.control == request.control and np.array_equal(example.pixels, pixels):
            return example
    return None


def _example(file: Any) -> Example:
    """The example of this file's name; the first one where a link has no map."""
    listed = examples.gallery()
    example_here = listed[0] if file is None else next((example for example in listed if example.file == file), None)
    if example_here is None:
        raise LinkRefused(f"This link asks for an example {str(file)[:40]!r}, which is not here: update Studio.")
    return example_here
