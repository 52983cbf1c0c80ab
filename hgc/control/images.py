"""Safe decoding: whatever a person hands over becomes an upright 8-bit RGB picture, or is refused in one sentence."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hgc.refused import Refused

RGB = tuple[int, int, int]
WHITE: RGB = (255, 255, 255)
BLACK: RGB = (0, 0, 0)

MIN_SIDE_PX = 8
MAX_SIDE_PX = 4096
MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 2**20

# Formats whose decoders need no outside program (EPS would start Ghostscript). A phone's MPO opens as JPEG.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageRefused(Refused, ValueError):
    """A picture that cannot be used; the message is one sentence for a person: what is wrong and what to do."""


@dataclass(frozen=True)
class Decoded:
    """An upright RGB picture and, in plain words, what was done to get it."""

    image: Image.Image
    notes: tuple[str, ...] = ()

    @property
    def pixels(self) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return np.array(self.image)


def decode(source: bytes | Path | Image.Image | np.ndarray, background: RGB = WHITE) -> Decoded:
    """Decode a picture; transparent parts are put on `background`.

    Arrays are [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]: uint8, uint16, bool, or float in 0..1 or 0..255.
    The longer side of the result is at most MAX_SIDE_PX. Raises ImageRefused.
    """
    if isinstance(source, np.ndarray):
        check_size(*_array_size(source))
        image, notes = _image_of(source)
    elif isinstance(source, Image.Image):
        image, notes = _loaded(source)
    else:
        with _opened(source) as opened:
            image, notes = _loaded(opened)
    rgb, colour_notes = _rgb(image, background)
    small, size_notes = _bounded(rgb)
    return Decoded(small, (*notes, *colour_notes, *size_notes))


def decode_sheet(png: bytes) -> np.ndarray:
    """A drawing uint8 [H, W, 4] whose alpha says what is painted. Raises ImageRefused."""
    with _opened(png) as opened:
        image, _ = _loaded(opened)
    return np.array(image.convert("RGBA"))


def check_size(width: int, height: int) -> None:
    """Raise ImageRefused for a picture too small to say anything or too large to read."""
    if min(width, height) < MIN_SIDE_PX:
        raise ImageRefused(
            f"This picture is {width} × {height} pixels and at least {MIN_SIDE_PX} × {MIN_SIDE_PX} are needed: "
            "choose a larger one."
        )
    if width * height > MAX_PIXELS:
        raise ImageRefused(_too_large(f"{width} × {height} pixels, more"))


def _opened(source: bytes | Path) -> Image.Image:
    if isinstance(source, Path) and not os.path.isfile(source):  # false for a name too long for the disk, too
        raise ImageRefused(f"There is no file {source.name!r}: choose an existing picture.")
    size_bytes = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size_bytes > MAX_BYTES:
        raise ImageRefused(
            f"This file has {size_bytes / 2**20:.0f} MB and at most {MAX_BYTES / 2**20:.0f} MB are read: "
            "save it smaller."
        )
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefused(_too_large("far more")) from error
    # Decoders meet hostile bytes here and raise nearly anything; whatever it is, the file is not a picture for us.
    except Exception as error:
        raise ImageRefused(
            "This file is not a picture that can be read: save it as PNG or JPEG and try again."
        ) from error


def _loaded(opened: Image.Image) -> tuple[Image.Image, list[str]]:
    """The first frame with its pixels read, upright; the size is checked before any pixel is decoded."""
    check_size(*opened.size)
    notes = []
    try:
        # The attribute belongs to file formats that can hold several frames.
        if getattr(opened, "is_animated", False):
            animated = opened.format in ("GIF", "WEBP", "PNG", "AVIF")
            notes.append("animated: first frame used" if animated else "several pictures in one file: first one used")
            opened.seek(0)
        opened.load()
        orientation = _orientation(opened)
    except Exception as error:
        raise ImageRefused("This picture is cut off or damaged: save or download it again.") from error
    if orientation in _UPRIGHT:
        notes.append("turned upright, as its EXIF orientation says")
        return opened.transpose(_UPRIGHT[orientation]), notes
    return opened.copy(), notes


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8. Broken EXIF says nothing about the pixels, so it counts as upright."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        return 1


def _array_size(array: np.ndarray) -> tuple[int, int]:
    """(width, height) of a picture array."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageRefused(
            f"An array of shape {array.shape} is not a picture: give [height, width] or [height, width, 1, 3 or 4]."
        )
    return array.shape[1], array.shape[0]


def _image_of(array: np.ndarray) -> tuple[Image.Image, list[str]]:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array)), []
    if array.dtype == np.bool_:
        return Image.fromarray(array.astype(np.uint8) * 255), []
    if array.dtype.kind not in "uif":
        raise ImageRefused(f"An array of {array.dtype} holds no pixels: give uint8, uint16, bool or float.")
    pixels, notes = _eight_bit(array)
    return Image.fromarray(pixels), notes


def _eight_bit(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Bring integers or floats to 0..255 by the smallest usual range that holds them; stretch what fits none."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageRefused("This picture holds values that are not numbers: save it with finite pixel values.")
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint16 or (values.dtype.kind != "f" and low >= 0 and 255 < high <= 65535):
        return np.round(values / 257.0).astype(np.uint8), ["16-bit: scaled to 8 bits"]
    if low >= 0 and high <= 255:
        scale = 255.0 if values.dtype.kind == "f" and high <= 1 else 1.0
        return np.round(values * scale).astype(np.uint8), []
    stretched = (values.astype(np.float64) - low) * (255.0 / (high - low or 1.0))
    return np.round(stretched).astype(np.uint8), [f"values {low:g} to {high:g} stretched to 0 to 255"]


def _rgb(image: Image.Image, background: RGB) -> tuple[Image.Image, list[str]]:
    """Any Pillow mode to RGB, transparency composited on the background."""
    notes: list[str] = []
    if image.mode == "F" or image.mode.startswith("I"):
        pixels, notes = _eight_bit(_unsigned(image))
        image = Image.fromarray(pixels)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "CMYK":
        notes.append("CMYK: converted to RGB without its colour profile, so colours may shift a little")
    if "A" not in image.getbands() and "a" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB"), notes
    rgba = image.convert("RGBA")
    if np.asarray(rgba.getchannel("A")).min() < 255:
        notes.append(f"transparent parts put on {_colour_name(background)}")
    canvas = Image.new("RGBA", rgba.size, (*background, 255))
    return Image.alpha_composite(canvas, rgba).convert("RGB"), notes


def _unsigned(image: Image.Image) -> np.ndarray:
    """Pixels of a 16-bit, 32-bit or float mode as a native array; I;16 in either byte order stays 16-bit."""
    array = np.asarray(image)
    return array.astype(np.uint16) if image.mode.startswith("I;16") else array


def _colour_name(colour: RGB) -> str:
    return {WHITE: "white", BLACK: "black"}.get(colour, f"the colour {colour}")


def _too_large(size: str) -> str:
    limit = f"{MAX_PIXELS // 10**6} million pixels"
    return f"This picture has {size} than the {limit} that are read: scale it down and try again."


def _bounded(image: Image.Image) -> tuple[Image.Image, list[str]]:
    width, height = image.size
    scale = MAX_SIDE_PX / max(width, height)
    if scale >= 1:
        return image, []
    small = max(round(width * scale), 1), max(round(height * scale), 1)
    if min(small) < MIN_SIDE_PX:
        raise ImageRefused(
            f"This picture is {width} × {height} pixels, too long and thin to use: crop it to the part you want."
        )
    note = f"scaled down from {width} × {height} to {small[0]} × {small[1]} pixels"
    return image.resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0), [note]
