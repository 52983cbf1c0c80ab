"""A link restores a request, map included where it fits; what is no link of ours is refused in one sentence."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64encode
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_evidence import REQUESTS

from hgc.control.images import decode
from hgc.landscapes import examples
from hgc.limits import PROMPT_CHARS
from hgc.request import Request
from hgc.share import MAX_LINK_CHARS, NAME, LinkRefused, link_of, read_link


def value(query: str) -> str:
    name, _, packed = query.partition("=")
    assert name == NAME
    assert set(packed) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    return packed


@given(REQUESTS)
def test_a_request_survives_its_link(request: Request) -> None:
    link = link_of(request)
    shared = read_link(value(link.query))
    assert link.has_map
    assert shared.has_map
    assert shared.request == request


def noise(side: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_example_goes_by_its_name() -> None:
    example = examples.gallery()[0]
    buffer = BytesIO()
    Image.fromarray(example.pixels).save(buffer, "PNG", compress_level=0)
    request = Request.make(buffer.getvalue(), prompt=example.prompt)
    link = link_of(request)
    assert len(link.query) < 700
    shared = read_link(value(link.query))
    assert shared.has_map
    assert np.array_equal(decode(shared.request.control_bytes).pixels, example.pixels)


def test_a_map_too_large_stays_behind_and_everything_else_comes_along() -> None:
    request = Request.make(noise(64), control="edges", prompt="a lake", seed=7, method="deepcache", budget=0.4)
    link = link_of(request)
    shared = read_link(value(link.query))
    assert (link.has_map, shared.has_map) == (False, False)
    assert len(link.query) <= MAX_LINK_CHARS
    assert shared.request.model_copy(update={"control_png": request.control_png}) == request


def test_words_beyond_any_link_are_refused() -> None:
    words = "".join(map(chr, range(0x4E00, 0x4E00 + 2 * PROMPT_CHARS)))
    request = Request.make(noise(64), prompt=words[:PROMPT_CHARS], negative_prompt=words[PROMPT_CHARS:])
    with pytest.raises(LinkRefused, match="save a picture instead"):
        link_of(request)


def packed(values: Any) -> str:
    return urlsafe_b64encode(zlib.compress(json.dumps(values).encode())).decode().rstrip("=")


BAD = {
    "too long": ("a" * 9000, "at most 7,000"),
    "no base64": ("%%%%", "not whole"),
    "no stream": ("abcd", "not whole"),
    "cut off": (packed({"prompt": "a lake in autumn"})[:-5], "not whole"),
    "a bomb": (packed(" " * 5_000_000), "not whole"),
    "a list": (packed([1]), "no settings"),
    "deep": (urlsafe_b64encode(zlib.compress(b"[" * 150_000)).decode(), "not whole"),
    "an unknown field": (packed({"turbo": 1}), "turbo"),
    "a bad value": (packed({"steps": 0}), "steps"),
    "an unknown example": (packed({"example": "../../secret.png"}), "not here"),
    "an example of another type": (packed({"example": ["lake.png"]}), "not here"),
    "a map that is none": (packed({"control_png": "aGk="}), "control_png"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_links_get_one_sentence(name: str) -> None:
    text, says = BAD[name]
    with pytest.raises(LinkRefused) as refused:
        read_link(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(LinkRefused):
        read_link(text + "!")
