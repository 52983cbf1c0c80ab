"""Text inside a PNG: written compressed, read within limits and before any pixel is decoded.

The chunks are those of the PNG specification (W3C, third edition, section 11.3.3): tEXt, zTXt and iTXt.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hgc.control.images import MAX_BYTES, ImageRefused

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Pillow refuses to open a PNG with more in one text.
MAX_TEXT_CHARS = 1_000_000
MAX_CHUNKS = 20_000
_DAMAGED = "This PNG is damaged ({}): save or download it again."


class Chunk(NamedTuple):
    kind: bytes
    body: bytes


def png_with_texts(pixels: NDArray[np.uint8], texts: Mapping[str, str]) -> bytes:
    """The bytes of a PNG of `pixels` [H, W, 3] that carries ASCII texts. Raises ImageRefused for a text too long."""
    info = PngInfo()
    for name, text in texts.items():
        if len(text) > MAX_TEXT_CHARS:
            raise ImageRefused(
                f"What the picture should carry as {name!r} has {len(text):,} characters and at most "
                f"{MAX_TEXT_CHARS:,} fit: give the control map as a smaller PNG."
            )
        info.add_text(name, text, zip=True)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def texts_of(png: bytes, prefix: str) -> dict[str, str]:
    """The texts whose names begin with `prefix`. Raises ImageRefused for what is no PNG, damaged or too long."""
    if not png.startswith(SIGNATURE):
        raise ImageRefused("This file is not a PNG: only PNGs carry how they were made.")
    if len(png) > MAX_BYTES:
        raise ImageRefused(f"This file has {len(png) / 2**20:.0f} MB and at most {MAX_BYTES / 2**20:.0f} MB are read.")
    texts: dict[str, str] = {}
    for chunk in _chunks(png):
        if chunk.kind not in _READERS or not chunk.body.startswith(prefix.encode("latin-1")):
            continue
        name, text = _READERS[chunk.kind](chunk.body)
        if name in texts:
            raise ImageRefused(f"This PNG carries {name!r} twice, so that it is not clear which one holds.")
        texts[name] = text
    return texts


def _chunks(png: bytes) -> Iterator[Chunk]:
    """Every chunk with its checksum checked."""
    place = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if place + 12 > len(png):
            raise ImageRefused(_DAMAGED.format("it ends too early"))
        length, kind = struct.unpack_from(">I4s", png, place)
        end = place + 8 + length
        if end + 4 > len(png):
            raise ImageRefused(_DAMAGED.format("it ends too early"))
        body = png[place + 8 : end]
        if zlib.crc32(kind + body) != struct.unpack_from(">I", png, end)[0]:
            raise ImageRefused(_DAMAGED.format(f"a checksum at byte {end} is wrong"))
        if kind == b"IEND":
            return
        yield Chunk(kind, body)
        place = end + 4
    raise ImageRefused(f"This PNG has more than {MAX_CHUNKS:,} parts: save it again with a common program.")


def _plain(body: bytes) -> tuple[str, str]:
    name, text = _split(body, 1)
    return name.decode("latin-1"), _bounded(text).decode("latin-1")


def _compressed(body: bytes) -> tuple[str, str]:
    name, rest = _split(body, 1)
    if rest[:1] != b"\0":
        raise ImageRefused(_DAMAGED.format("a text is compressed in an unknown way"))
    return name.decode("latin-1"), inflated(rest[1:]).decode("latin-1")


def _international(body: bytes) -> tuple[str, str]:
    name, rest = _split(body, 1)
    if len(rest) < 2:
        raise ImageRefused(_DAMAGED.format("a text breaks off"))
    _language, _translated, text = _split(rest[2:], 2)
    raw = inflated(text) if rest[0] else _bounded(text)
    try:
        return name.decode("latin-1"), raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ImageRefused(_DAMAGED.format("a text is not UTF-8")) from error


_READERS = {b"tEXt": _plain, b"zTXt": _compressed, b"iTXt": _international}


def _split(body: bytes, times: int) -> list[bytes]:
    parts = body.split(b"\0", times)
    if len(parts) != times + 1:
        raise ImageRefused(_DAMAGED.format("a text breaks off"))
    return parts


def _bounded(text: bytes) -> bytes:
    if len(text) > MAX_TEXT_CHARS:
        raise ImageRefused(_too_long())
    return text


def inflated(packed: bytes, limit: int = MAX_TEXT_CHARS) -> bytes:
    """Undoes zlib's compression, never beyond `limit` bytes. Raises ImageRefused."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(packed, limit + 1)
    except zlib.error as error:
        raise ImageRefused(_DAMAGED.format("a compressed text cannot be read")) from error
    if len(text) > limit:
        raise ImageRefused(_too_long())
    if not stream.eof:
        raise ImageRefused(_DAMAGED.format("a compressed text breaks off"))
    return text


def _too_long() -> str:
    return f"This PNG carries a text of more than {MAX_TEXT_CHARS:,} characters, more than HGC Studio writes."
