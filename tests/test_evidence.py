"""A PNG carries how it was made, unchanged by its travels; anything else is refused in one sentence."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from records import CONTROL_PNG, MADE, PLAN, picture

from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.schedules import HGC
from hgc.control.chunks import MAX_TEXT_CHARS, SIGNATURE, png_with_texts, texts_of
from hgc.control.images import ImageRefused
from hgc.evidence import EvidenceRefused, pixels_digest, read_signed, signed_png
from hgc.request import Request

SHARES = st.floats(0, 1)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
CACHES = st.builds(
    HGC,
    coarse=st.booleans(),
    fine=st.booleans(),
    lambda_inter=SHARES,
    lambda_intra=SHARES,
    gate=SHARES,
    attention_every=st.integers(1, 10),
    fusion=st.sampled_from(["difference", "drop", "average"]),
    order=st.integers(0, 2),
    threshold=st.none() | st.floats(0.001, 9),
)
CONTROL = b64encode(CONTROL_PNG).decode()
REQUESTS = st.builds(
    lambda **fields: Request.make(CONTROL_PNG, **fields),
    prompt=WORDS,
    negative_prompt=WORDS,
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(2, 200),
    sampler=st.sampled_from(["ddim", "dpmpp", "unipc", "euler"]),
    guidance=st.floats(0, 30),
    control_scale=st.floats(0, 2),
    control_end=st.floats(0.5, 1),
    cache=CACHES,
    size=st.none() | st.sampled_from([(64, 128), (512, 512)]),
    second=st.none() | st.just({"control": "depth", "map": CONTROL, "scale": 0.5, "end": 0.9}),
    source=st.just(CONTROL),
    mask=st.none() | st.just(CONTROL),
    strength=st.floats(0.2, 1),
    loras=st.lists(
        st.builds(dict, name=WORDS.filter(bool), weight=st.floats(-1, 1)),
        max_size=2,
        unique_by=lambda lora: lora["name"],
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def saved(request: Request | None = None, pixels: np.ndarray | None = None) -> bytes:
    return signed_png(
        picture() if pixels is None else pixels, request or Request.make(CONTROL_PNG), PLAN, "cached", "0" * 12, MADE
    )


@given(REQUESTS, st.integers(0, 2**32 - 1))
def test_everything_comes_back_from_the_file(request: Request, seed: int) -> None:
    pixels = picture(seed)
    found = read_signed(saved(request, pixels))
    assert np.array_equal(found.pixels, pixels)
    assert not found.altered
    evidence = found.evidence
    assert (evidence.request, evidence.plan, evidence.made) == (request, PLAN, MADE)
    assert (evidence.arm, evidence.trace_digest) == ("cached", "0" * 12)


def test_other_programs_can_read_it_and_its_texts() -> None:
    request = Request.make(CONTROL_PNG, prompt="Blick über den See, 湖")
    opened = Image.open(BytesIO(saved(request)))
    assert np.array_equal(np.array(opened), picture())
    assert Request.parse(opened.text["hgc:request"]) == request  # type: ignore[attr-defined]
    assert json.loads(opened.text["hgc"])["made"]["torch"] == MADE.torch  # type: ignore[attr-defined]


def test_texts_saved_again_by_another_program_are_read_all_the_same() -> None:
    opened = Image.open(BytesIO(saved()))
    for write in ("add_text", "add_itxt"):
        info, buffer = PngInfo(), BytesIO()
        for name, text in opened.text.items():  # type: ignore[attr-defined]
            getattr(info, write)(name, text)
        opened.save(buffer, "PNG", pnginfo=info)
        assert read_signed(buffer.getvalue()).evidence == read_signed(saved()).evidence


def test_a_picture_painted_over_says_so() -> None:
    texts = texts_of(saved(), "hgc")
    touched = picture()
    touched[0, 0] ^= 1
    assert read_signed(png_with_texts(touched, texts)).altered


def test_the_digest_of_pixels_knows_shape_and_values_and_not_the_file() -> None:
    pixels = picture()
    assert pixels_digest(pixels) == pixels_digest(np.asfortranarray(pixels))
    assert pixels_digest(pixels) != pixels_digest(pixels.reshape(16, 64, 3))
    assert pixels_digest(pixels) != pixels_digest(255 - pixels)


def test_made_says_what_differs_and_not_when() -> None:
    later = MADE.model_copy(update={"at": "2030-01-01T00:00:00Z"})
    assert MADE.unlike(later) == {}
    other = MADE.model_copy(update={"torch": "9.9", "weights": "f" * 12})
    assert MADE.unlike(other) == {
        "PyTorch": (MADE.torch, "9.9"),
        "The model's weights": (MADE.weights, "f" * 12),
    }
    assert MADE.words.startswith("21 Nov 2026, 23:10 UTC, cpu (AVX2), float32")


# What is refused


def plain_png() -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture()).save(buffer, "PNG")
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(kind: bytes, body: bytes, png: bytes | None = None) -> bytes:
    """A PNG with one more chunk right after its header."""
    png, header_end = png or plain_png(), len(SIGNATURE) + 25
    return png[:header_end] + chunk(kind, body) + png[header_end:]


def packed(text: bytes) -> bytes:
    return b"hgc\0\0" + zlib.compress(text, 9)


def changed(name: str, change: Callable[[Any], Any]) -> bytes:
    """A signed PNG in which one of the three texts was changed."""
    texts = texts_of(saved(), "hgc")
    return png_with_texts(picture(), texts | {name: json.dumps(change(json.loads(texts[name])))})


def without(name: str) -> bytes:
    texts = texts_of(saved(), "hgc")
    return png_with_texts(picture(), {key: text for key, text in texts.items() if key != name})


def other_tool() -> bytes:
    info, buffer = PngInfo(), BytesIO()
    info.add_text("parameters", "a lake, Steps: 20, Sampler: Euler a")
    Image.fromarray(picture()).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def vast() -> bytes:
    """50,000 × 50,000 pixels in a few hundred bytes, with our texts inside."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    rest = saved()[len(SIGNATURE) + 25 :]
    return SIGNATURE + header + rest


HOSTILE: dict[str, tuple[bytes, str]] = {
    "not a PNG": (b"\xff\xd8\xff\xe0 JFIF", "not a PNG"),
    "empty": (b"", "not a PNG"),
    "foreign": (plain_png(), "not made by HGC Studio"),
    "of another tool": (other_tool(), "not made by HGC Studio"),
    "cut off": (saved()[:-200], "ends too early"),
    "a bit flipped": (saved()[:90] + bytes([saved()[90] ^ 1]) + saved()[91:], "checksum"),
    "a bomb": (with_chunk(b"zTXt", packed(b" " * 200_000_000)), "more than 1,000,000 characters"),
    "a bomb in UTF-8": (with_chunk(b"iTXt", b"hgc\0\1\0\0\0" + zlib.compress(b" " * 9_000_000)), "more than 1,000,000"),
    "a long plain text": (with_chunk(b"tEXt", b"hgc\0" + b" " * 1_000_001), "more than 1,000,000 characters"),
    "no stream": (with_chunk(b"zTXt", b"hgc\0\0 nonsense"), "cannot be read"),
    "half a stream": (with_chunk(b"zTXt", packed(b"0123456789" * 99)[:-6]), "breaks off"),
    "an unknown packing": (with_chunk(b"zTXt", b"hgc\0\7" + b"x"), "unknown way"),
    "a name without an end": (with_chunk(b"tEXt", b"hgc"), "breaks off"),
    "a short iTXt": (with_chunk(b"iTXt", b"hgc\0\1"), "breaks off"),
    "no UTF-8": (with_chunk(b"iTXt", b"hgc\0\0\0\0\0\xff\xfe"), "not UTF-8"),
    "texts twice": (with_chunk(b"tEXt", b"hgc\0{}", saved()), "twice"),
    "one text alone": (with_chunk(b"tEXt", b"hgc\0cposix\nsystem\n"), "does not carry"),
    "no request": (without("hgc:request"), "does not carry 'hgc:request'"),
    "no plan": (without("hgc:plan"), "does not carry 'hgc:plan'"),
    "a list": (changed("hgc:request", lambda _: []), "not an object"),
    "an unknown field": (changed("hgc:request", lambda request: request | {"turbo": 1}), "turbo"),
    "a seed of text": (changed("hgc:request", lambda request: request | {"seed": "x"}), "seed"),
    "a map that is none": (changed("hgc:request", lambda request: request | {"control_png": "aGk="}), "control_png"),
    "another plan": (changed("hgc:plan", lambda plan: plan | {"name": "x"}), "changed by hand"),
    "no plan at all": (changed("hgc:plan", lambda plan: plan | {"steps": "many"}), "steps"),
    "another format": (changed("hgc", lambda head: head | {"format": 99}), "format 99"),
    "a day that is none": (changed("hgc", lambda h: h | {"made": h["made"] | {"at": "2026-13-01"}}), "made.at"),
    "a strange arm": (changed("hgc", lambda head: head | {"arm": "../../etc"}), "arm"),
    "a vast picture": (vast(), "than the 50 million pixels"),
    "many chunks": (with_chunk(b"noOp", b"") [:33] + chunk(b"noOp", b"") * 30_000 + plain_png()[33:], "20,000 parts"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_foreign_damaged_and_hostile_files_get_one_sentence(name: str) -> None:
    data, says = HOSTILE[name]
    with pytest.raises(EvidenceRefused) as refused:
        read_signed(data)
    message = str(refused.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 400


def test_deep_nesting_and_endless_numbers_are_refused() -> None:
    texts = texts_of(saved(), "hgc")
    for text in ("[" * 200_000, '{"a":' * 200_000, "9" * 100_000, "NaN", '{"seed": 1e999}'):
        with pytest.raises(EvidenceRefused):
            read_signed(png_with_texts(picture(), texts | {"hgc:request": text}))


def refusal(png: bytes) -> str:
    """Why a file is refused; nothing when it is read. Any other error is a failure."""
    try:
        read_signed(png)
    except EvidenceRefused as refused:
        return str(refused)
    return ""


@given(st.sampled_from(["hgc", "hgc:request", "hgc:plan"]), JSON, st.data())
def test_any_json_in_place_of_ours_is_read_or_refused(name: str, value: Any, data: st.DataObject) -> None:
    texts = texts_of(saved(), "hgc")
    ours = json.loads(texts[name])
    field = data.draw(st.none() | st.sampled_from(sorted(ours)))
    put = value if field is None else ours | {field: value}
    assert "\n" not in refusal(png_with_texts(picture(), texts | {name: json.dumps(put)}))


@given(st.binary(max_size=400), st.integers(0, 3000))
def test_any_bytes_are_read_or_refused(noise: bytes, place: int) -> None:
    ours = saved()
    for data in (SIGNATURE + noise, ours[:place] + noise + ours[place + len(noise) :]):
        assert "\n" not in refusal(data)


def test_what_would_not_be_read_is_not_written() -> None:
    with pytest.raises(ImageRefused, match="smaller PNG"):
        png_with_texts(picture(), {"hgc": "x" * (MAX_TEXT_CHARS + 1)})


def test_the_plan_is_the_one_that_was_run() -> None:
    other = Plan(Origin("other"), 2, "landscapes", {"unet": "CR"})
    png = signed_png(picture(), Request.make(CONTROL_PNG), other, "full", "1" * 12, MADE)
    assert read_signed(png).evidence.plan == other


def test_a_picture_is_told_in_lines_and_an_edited_one_says_so() -> None:
    signed = read_signed(saved())
    lines = signed.told({"Seed": "7"}).splitlines()
    assert lines[0].startswith("the cached picture, made ")
    assert lines[1] == f"plan {PLAN.name} ({PLAN.digest}), trace {'0' * 12}"
    assert lines[2:] == ["Seed: 7"]
    edited = replace(signed, pixels=255 - signed.pixels)
    assert edited.told({}).endswith("the picture was edited")
