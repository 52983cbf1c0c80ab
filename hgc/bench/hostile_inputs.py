"""Hostile and careless inputs, drawn from a schema by a seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from random import Random
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

WORDS: Sequence[Any] = (
    "", " ", "\0", "..", "/", "../../../../x", "/etc/passwd", "x1/../../../../y", "C:\\x", "~", "%s%n", "{0}",
    "NaN", "null", "-1", "1e999", "0x10", "<script>alert(1)</script>", "'; DROP TABLE runs; --", "\u202e", "\u0301",
    "\ud800", "a" * 3_000, "a " * 3_000, "(" * 500, "9" * 5_000, "segmentation", "edges", "ddim", "Paper", "hgc",
)  # fmt: skip
NUMBERS: Sequence[Any] = (
    0, -1, 1, 2, 3, 0.5, 1.5, -0.0, 1e-320, 1e308, -1e308, 2**31, 2**53 + 1, 2**63, 2**64, 10**9, 10**30, 20_000, 201,
)  # fmt: skip
# Of quantities that decide how long a run takes: what is not refused is soon over.
QUICK: Mapping[str, Sequence[Any]] = {
    "steps": (2, 3), "scenes": (1,), "x": ("steps=2, 3", "budget=0.9", "seed=1"), "y": ("", "seed=2"), "seeds": ("",),
    "settings": ({"steps": 2}, {"steps": 2, "prompt": "a hill"}),
}  # fmt: skip
SOUND_SHARE = 0.55  # of the fields of an input; more, and hardly any would be refused for one reason alone
DEEPEST = 6


class InputDraw:
    """Draws inputs; the same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def choice(self, *words: str) -> str:
        return self.random.choice(words)

    def word(self) -> str:
        return str(self.random.choice(WORDS))

    def anything(self, depth: int = 0) -> Any:
        """Plain data of any kind."""
        kinds = 4 if depth >= DEEPEST else 6
        kind = self.random.randrange(kinds)
        if kind == 0:
            return self.word()
        if kind == 1:
            return self.random.choice(NUMBERS)
        if kind == 2:
            return self.random.choice((None, True, False))
        if kind == 3:
            return self.random.choice(({}, [], [[]], {"path": "/etc/passwd"}, nested(self.random.choice((40, 200)))))
        if kind == 4:
            return [self.anything(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.word(): self.anything(depth + 1) for _ in range(self.random.randrange(4))}

    def argument(self, name: str, schema: Mapping[str, Any], sound: Mapping[str, Any]) -> Any:
        """A value for an argument: one of its kind more often than not; `sound` has one for every name."""
        if self.random.random() > SOUND_SHARE:
            return self.anything()
        if name in QUICK:
            return self.random.choice(QUICK[name])
        if name in sound and self.random.random() < 0.8:
            return sound[name]
        return self._of(schema)

    def _of(self, schema: Mapping[str, Any]) -> Any:
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self._of(self.random.choice(options))
        if schema.get("enum"):
            return self.random.choice([*schema["enum"], self.word()])
        kind = schema.get("type")
        if kind in ("number", "integer"):
            return self.random.choice(NUMBERS)
        if kind == "string":
            return self.word()
        if kind == "boolean":
            return self.random.choice((True, False))
        return None if kind == "null" else self.anything()

    def changed(self, data: Any) -> Any:
        """Plain data with one part of it, somewhere, in place of which there is another, or none."""
        if isinstance(data, dict) and data and self.random.random() < 0.85:
            name = self.random.choice(list(data))
            rest = {key: value for key, value in data.items() if key != name}
            fate = self.random.random()
            if fate < 0.1:
                return rest
            if fate < 0.15:
                return {**data, self.word(): self.anything()}
            return {**data, name: self.changed(data[name])}
        if isinstance(data, list) and data and self.random.random() < 0.85:
            at = self.random.randrange(len(data))
            fate = self.random.random()
            if fate < 0.1:
                return [*data[:at], *data[at + 1 :]]
            if fate < 0.2:
                return [*data, *data[at:], *data[at:]]
            return [*data[:at], self.changed(data[at]), *data[at + 1 :]]
        return self.anything()

    def damaged(self, data: bytes) -> bytes:
        """Bytes cut off, flipped or doubled."""
        if not data or (fate := self.random.random()) < 0.2:
            return data[: self.random.randrange(len(data) + 1)]
        content = bytearray(data)
        for _ in range(self.random.choice((1, 4, 64))):
            content[self.random.randrange(len(content))] = self.random.randrange(256)
        return bytes(content) if fate < 0.9 else bytes(content) + data

    def text(self, data: Any) -> str:
        """The JSON of changed data, now and then damaged."""
        text = json.dumps(self.changed(data))
        return text if self.random.random() < 0.9 else self.damaged(text.encode()).decode("utf-8", "replace")

    def archive(self, files: Mapping[str, bytes]) -> bytes:
        """A recording with one of its files changed, its packing another, or its bytes damaged."""
        name = self.random.choice(list(files))
        content = files[name]
        if name.endswith(".json") and self.random.random() < 0.8:
            content = self.text(json.loads(content)).encode("utf-8", "replace")
        else:
            content = self.damaged(content)
        folder = self.word().replace("\ud800", "").replace("\0", "0")[:40] if self.random.random() < 0.1 else "0001-run"
        packing = self.random.choice((ZIP_STORED, ZIP_DEFLATED, ZIP_DEFLATED, ZIP_LZMA))
        buffer = BytesIO()
        with ZipFile(buffer, "w", packing) as zipped:
            for file, data in ({**files, name: content}).items():
                zipped.writestr(f"{folder}/{file}", data)
        return buffer.getvalue() if self.random.random() < 0.85 else self.damaged(buffer.getvalue())


def nested(depth: int) -> Any:
    """Lists within lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value
