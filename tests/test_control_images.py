"""Pictures people really bring: each is decoded rightly or refused in one sentence."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from hgc.control.images import BLACK, MAX_SIDE_PX, Decoded, ImageRefused, decode

HEIGHT, WIDTH = 20, 30


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def halves(left: Any, right: Any, dtype: type = np.uint8) -> np.ndarray:
    """A 20 × 30 picture whose left and right halves have one value each."""
    shape = (HEIGHT, WIDTH, *np.shape(left))
    picture = np.empty(shape, dtype)
    picture[:, : WIDTH // 2], picture[:, WIDTH // 2 :] = left, right
    return picture


def noise(height: int = 64, width: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def corners(decoded: Decoded) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in decoded.pixels[0, column]) for column in (0, -1)]


def checked_refusal(source: Any) -> str:
    with pytest.raises(ImageRefused) as caught:
        decode(source)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert ": " in message, "what is wrong, then what to do"
    return message


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM"])
def test_every_format_is_read(file_format: str) -> None:
    decoded = decode(encoded(Image.fromarray(halves((255, 0, 0), (0, 0, 255))), file_format))
    assert decoded.image.mode == "RGB"
    assert decoded.image.size == (WIDTH, HEIGHT)
    np.testing.assert_allclose(corners(decoded), [(255, 0, 0), (0, 0, 255)], atol=12)
    assert decoded.notes == ()


def test_bytes_path_image_and_array_are_the_same_picture(tmp_path: Path) -> None:
    picture = np.asarray(noise())
    png = encoded(Image.fromarray(picture), "PNG")
    (tmp_path / "picture.png").write_bytes(png)
    for source in (png, tmp_path / "picture.png", Image.open(io.BytesIO(png)), picture):
        np.testing.assert_array_equal(decode(source).pixels, picture)


def test_the_given_image_is_left_alone() -> None:
    image = Image.new("RGBA", (WIDTH, HEIGHT), (10, 20, 30, 0))
    decode(image)
    assert image.mode == "RGBA"
    assert image.getpixel((0, 0)) == (10, 20, 30, 0)


@pytest.mark.parametrize("source", [b"", b"<svg></svg>", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"GIF89a", bytes(1000)])
def test_what_is_no_image_is_refused(source: bytes) -> None:
    assert "not a picture" in checked_refusal(source)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    assert "'absent.png'" in checked_refusal(tmp_path / "absent.png")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_truncated_is_refused(file_format: str) -> None:
    whole = encoded(noise(), file_format)
    checked_refusal(whole[: len(whole) // 2])


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
def test_too_small_is_refused_with_both_numbers(size: tuple[int, int]) -> None:
    message = checked_refusal(encoded(Image.new("RGB", size), "PNG"))
    assert f"{size[0]} × {size[1]}" in message
    assert "8 × 8" in message
    assert checked_refusal(np.zeros((size[1], size[0], 3), np.uint8)) == message


def test_20000_px_wide_is_scaled_down_and_said() -> None:
    decoded = decode(encoded(Image.new("L", (20_000, 1000), 200), "PNG"))
    assert decoded.image.size == (MAX_SIDE_PX, 205)
    assert decoded.notes == ("scaled down from 20000 × 1000 to 4096 × 205 pixels",)


def test_too_long_and_thin_is_refused() -> None:
    assert "20000 × 20" in checked_refusal(encoded(Image.new("L", (20_000, 20)), "PNG"))


def test_a_decompression_bomb_is_refused_before_its_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    below_pillows_limit = encoded(Image.new("1", (9000, 9000)), "PNG")
    above_pillows_limit = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("pixels were decoded"))
    assert "9000 × 9000" in checked_refusal(below_pillows_limit)
    assert "50 million" in checked_refusal(above_pillows_limit)


def palette_image() -> Image.Image:
    image = Image.new("P", (WIDTH, HEIGHT), 0)
    image.putpalette([255, 0, 0, 9, 9, 9])
    image.paste(1, (WIDTH // 2, 0, WIDTH, HEIGHT))
    return image


def red_then_clear(mode: str) -> bytes:
    """PNG whose left half is red (dark grey in LA) and whose right half is clear."""
    if mode == "P":
        return encoded(palette_image(), "PNG", transparency=1)
    if mode == "RGB":
        return encoded(Image.fromarray(halves((255, 0, 0), (9, 9, 9))), "PNG", transparency=(9, 9, 9))
    return encoded(Image.fromarray(halves((255, 0, 0, 255), (9, 9, 9, 0))).convert(mode), "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_parts_are_put_on_the_background(mode: str) -> None:
    drawn = (76, 76, 76) if mode == "LA" else (255, 0, 0)
    on_white = decode(red_then_clear(mode))
    assert corners(on_white) == [drawn, (255, 255, 255)]
    assert on_white.notes == ("transparent parts put on white",)
    assert corners(decode(red_then_clear(mode), background=BLACK)) == [drawn, (0, 0, 0)]


def test_half_transparent_is_mixed_and_opaque_alpha_is_not_mentioned() -> None:
    mixed = decode(encoded(Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 128)), "PNG"))
    assert corners(mixed) == [(127, 127, 127)] * 2
    assert decode(encoded(Image.new("RGBA", (WIDTH, HEIGHT), (1, 2, 3, 255)), "PNG")).notes == ()


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_keeps_its_brightness(file_format: str) -> None:
    decoded = decode(encoded(Image.fromarray(halves(0, 32_896, np.uint16)), file_format))
    assert corners(decoded) == [(0, 0, 0), (128, 128, 128)]
    assert decoded.notes == ("16-bit: scaled to 8 bits",)


def test_16_bit_in_the_other_byte_order() -> None:
    swapped = Image.fromarray(halves(0, 32_896, np.uint16).astype(">u2"))
    assert swapped.mode == "I;16B"
    assert corners(decode(swapped)) == [(0, 0, 0), (128, 128, 128)]


def test_a_dark_16_bit_picture_stays_dark() -> None:
    assert corners(decode(halves(0, 257, np.uint16))) == [(0, 0, 0), (1, 1, 1)]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (halves(0, 255), (0, 255)),
        (halves((0, 0, 0), (255, 255, 255)), (0, 255)),
        (halves(False, True, np.bool_), (0, 255)),
        (halves(0.0, 1.0, np.float32), (0, 255)),
        (halves(0.0, 200.0, np.float64), (0, 200)),
        (halves(-1.0, 1.0, np.float32), (0, 255)),
        (halves(0, 200, np.int64), (0, 200)),
        (halves(0, 70_000, np.int32), (0, 255)),
    ],
)
def test_arrays_of_every_usual_type(array: np.ndarray, expected: tuple[int, int]) -> None:
    assert [corner[0] for corner in corners(decode(array))] == list(expected)


def test_a_stretched_range_is_said() -> None:
    assert decode(halves(-1.0, 1.0, np.float32)).notes == ("values -1 to 1 stretched to 0 to 255",)


@pytest.mark.parametrize("shape", [(20,), (20, 30, 2), (2, 20, 30, 3)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    assert str(shape) in checked_refusal(np.zeros(shape, np.uint8))


def test_arrays_without_pixels_are_refused() -> None:
    assert "complex128" in checked_refusal(halves(0, 1j, np.complex128))
    assert "not numbers" in checked_refusal(halves(0.0, np.nan, np.float32))


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_and_said(file_format: str) -> None:
    decoded = decode(encoded(Image.fromarray(halves((0, 255, 255, 0), (255, 255, 0, 0)), "CMYK"), file_format))
    np.testing.assert_allclose(corners(decoded), [(255, 0, 0), (0, 0, 255)], atol=12)
    assert decoded.notes[0].startswith("CMYK: converted to RGB")


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "La", "PA", "RGBA", "RGBa", "RGBX", "HSV", "LAB", "YCbCr", "I", "F"]
)
def test_every_pillow_mode_becomes_rgb(mode: str) -> None:
    decoded = decode(Image.new(mode, (WIDTH, HEIGHT)))
    assert decoded.image.mode == "RGB"
    assert decoded.image.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_animated_gives_the_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    decoded = decode(encoded(frames[0], file_format, save_all=True, append_images=frames[1:], lossless=True))
    np.testing.assert_allclose(corners(decoded), [(255, 0, 0)] * 2, atol=2)
    assert decoded.notes == ("animated: first frame used",)


def test_several_pages_give_the_first() -> None:
    pages = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    decoded = decode(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert corners(decoded) == [(255, 0, 0)] * 2
    assert decoded.notes == ("several pictures in one file: first one used",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """Independent reference: Pillow's own transposition of the same file."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = encoded(noise(48, 64), "PNG", exif=exif)
    decoded = decode(picture)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(picture)))
    np.testing.assert_array_equal(decoded.pixels, np.asarray(upright))
    assert decoded.image.size == ((64, 48) if orientation < 5 else (48, 64))
    assert bool(decoded.notes) == (orientation != 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_broken_exif_does_not_spoil_the_picture() -> None:
    decoded = decode(encoded(noise(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"))
    assert decoded.image.size == (64, 64)


PNG = encoded(noise(16, 16), "PNG")


@given(position=st.integers(8, len(PNG) - 1), value=st.integers(0, 255))
def test_a_damaged_file_is_decoded_or_refused_never_anything_else(position: int, value: int) -> None:
    damaged = PNG[:position] + bytes([value]) + PNG[position + 1 :]
    with contextlib.suppress(ImageRefused):
        assert decode(damaged).image.mode == "RGB"


@given(st.binary(max_size=200))
def test_any_bytes_after_a_jpeg_header_are_decoded_or_refused(tail: bytes) -> None:
    with pytest.raises(ImageRefused):
        decode(b"\xff\xd8\xff\xe0\x00\x10JFIF" + tail)
