"""How a picture was made, inside the picture: a PNG that carries its whole Request, its plan and what it was made with.

Three texts stand in the file: `hgc` (which picture this is, digests, versions), `hgc:request` and `hgc:plan`, all JSON;
and one for each picture that it was made from, in base64.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hgc import limits
from hgc.cache.plan import Plan, PlanRefused
from hgc.control.chunks import png_with_texts, texts_of
from hgc.control.images import ImageRefused, decode
from hgc.refused import Refused
from hgc.request import Request, RequestRefused

Pixels = NDArray[np.uint8]
Word = Annotated[str, Field(max_length=80)]
Digest = Annotated[str, Field(pattern=limits.DIGEST)]
HEAD, REQUEST, PLAN = "hgc", "hgc:request", "hgc:plan"
PICTURES = ("source", "mask")  # fields of a request that are too large to share its text
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
FORMAT = 1


class EvidenceRefused(Refused, ValueError):
    """A picture that does not say how it was made, or not so that it can be read; one sentence says why."""


def _moment(text: str) -> str:
    datetime.strptime(text, MOMENT)
    return text


class Made(BaseModel):
    """The origin of a picture. `at` is UTC; `processor` the CPU's vector instructions or the GPU's name.

    `weights` are twelve hex digits that name the content of all networks in this dtype. With `graphs` steps alike were
    recorded and replayed where the device can, which changes no bit; `compiled` ones differ by rounding. `judge` is who
    scored the picture: networks by their ids on the Hub; nothing where nobody did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Annotated[str, AfterValidator(_moment)]
    studio: Word
    torch: Word
    diffusers: Word
    device: Word
    dtype: Word
    processor: Word
    threads: Annotated[int, Field(ge=1, le=4096)]
    weights: Digest
    graphs: bool = False
    compiled: bool = False
    judge: Annotated[str, Field(max_length=200)] = ""

    @property
    def words(self) -> str:
        """When and with what, in one line."""
        at = datetime.fromisoformat(self.at)
        return (
            f"{at:%-d %b %Y, %H:%M} UTC, {self.device} ({self.processor}), {self.dtype}, HGC Studio {self.studio}, "
            f"torch {self.torch}, weights {self.weights}"
        )

    def unlike(self, other: Made) -> dict[str, tuple[str, str]]:
        """The differences to the other's origin, by title, both in words; the time aside."""
        both = {title: (str(getattr(self, name)), str(getattr(other, name))) for name, title in _MADE_TITLES.items()}
        return {title: (mine, theirs) for title, (mine, theirs) in both.items() if mine != theirs}


_MADE_TITLES = {
    "studio": "HGC Studio",
    "torch": "PyTorch",
    "diffusers": "Diffusers",
    "device": "Device",
    "dtype": "Precision",
    "processor": "Processor",
    "threads": "Threads",
    "weights": "The model's weights",
}


class Head(BaseModel):
    """The short text: which picture of the request it is, and the digests that name it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    arm: Annotated[str, Field(pattern=limits.ARM)]
    plan_digest: Digest
    trace_digest: Digest
    pixels: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    made: Made


@dataclass(frozen=True)
class Evidence:
    """A PNG's statements about itself: the table it was made by, and the digest of the pixels it was saved with."""

    request: Request
    plan: Plan
    arm: str
    trace_digest: str
    pixels_digest: str
    made: Made


@dataclass(frozen=True)
class Signed:
    """A picture uint8 [H, W, 3] with its evidence; `altered` when its pixels are no longer those it was saved with."""

    pixels: Pixels
    evidence: Evidence

    @property
    def altered(self) -> bool:
        return pixels_digest(self.pixels) != self.evidence.pixels_digest

    def told(self, settings: Mapping[str, str]) -> str:
        """What it says of itself, in lines for the shell; `settings` are its request's, in words by title."""
        evidence = self.evidence
        lines = [
            f"the {evidence.arm} picture, made {evidence.made.words}",
            f"plan {evidence.plan.name} ({evidence.plan.digest}), trace {evidence.trace_digest}",
            *(f"{title}: {value}" for title, value in settings.items()),
        ]
        if self.altered:
            lines.append("its pixels are not those it was saved with: the picture was edited")
        return "\n".join(lines)


def pixels_digest(pixels: Pixels) -> str:
    """SHA-256 of a picture's shape and values, 64 hex digits; the file it stands in does not matter."""
    return sha256(str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def signed_png(pixels: Pixels, request: Request, plan: Plan, arm: str, trace_digest: str, made: Made) -> bytes:
    """A PNG of `pixels` uint8 [H, W, 3] that carries how it was made. Raises ImageRefused for a request too large."""
    head = Head(arm=arm, plan_digest=plan.digest, trace_digest=trace_digest, pixels=pixels_digest(pixels), made=made)
    rest = request.model_dump_json(exclude=set(PICTURES))
    texts = {HEAD: head.model_dump_json(), REQUEST: rest, PLAN: json.dumps(plan.as_dict())}
    apart = {f"{HEAD}:{name}": getattr(request, name) for name in PICTURES if getattr(request, name) is not None}
    return png_with_texts(pixels, {name: _ascii(text) for name, text in texts.items()} | apart)


def read_signed(png: bytes) -> Signed:
    """The picture and what it says of itself. Raises EvidenceRefused with one sentence."""
    try:
        texts = texts_of(png, HEAD)
        if not texts:
            raise EvidenceRefused(
                "This PNG was not made by HGC Studio, or a program on its way took out what it carried: "
                "drop one that was downloaded here."
            )
        evidence = _evidence(texts)
        return Signed(decode(png).pixels, evidence)
    except ImageRefused as error:
        raise EvidenceRefused(str(error)) from error


def _evidence(texts: Mapping[str, str]) -> Evidence:
    if missing := [name for name in (HEAD, REQUEST, PLAN) if name not in texts]:
        raise EvidenceRefused(f"This PNG does not carry {missing[0]!r}, so it cannot be restored: download it again.")
    head = _head(texts[HEAD])
    try:
        apart = {name: texts[f"{HEAD}:{name}"] for name in PICTURES if f"{HEAD}:{name}" in texts}
        request = Request.parse(_object(texts, REQUEST) | apart)
        plan = Plan.from_dict(_object(texts, PLAN))
    except (RequestRefused, PlanRefused) as error:
        raise EvidenceRefused(f"What this PNG carries cannot be used: {error}") from error
    if plan.digest != head.plan_digest:
        raise EvidenceRefused(
            f"This PNG says that its plan is {head.plan_digest} but carries {plan.digest}: it was changed by hand."
        )
    return Evidence(request, plan, head.arm, head.trace_digest, head.pixels, head.made)


def _head(text: str) -> Head:
    try:
        head = Head.model_validate(_object({HEAD: text}, HEAD))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EvidenceRefused(f"What this PNG says of itself cannot be read ({where}: {first['msg']}).") from error
    if head.format != FORMAT:
        raise EvidenceRefused(
            f"This PNG carries its settings in format {head.format}, this version reads format {FORMAT}: update Studio."
        )
    return head


def _object(texts: Mapping[str, str], name: str) -> dict[str, Any]:
    """A JSON object; hostile nesting and endless numbers are errors like any other."""
    try:
        value = json.loads(texts[name])
    except (ValueError, RecursionError) as error:
        raise EvidenceRefused(f"What this PNG carries as {name!r} is not JSON: download it again.") from error
    if not isinstance(value, dict):
        raise EvidenceRefused(f"What this PNG carries as {name!r} is not an object with fields: download it again.")
    return value


def _ascii(text: str) -> str:
    return json.dumps(json.loads(text))
