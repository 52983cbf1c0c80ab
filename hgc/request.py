"""A recipe is everything that determines a picture but its control map; a request is a recipe with its map.

Plain data that travels by form, API, command line, link and PNG. What a run costs and how it is planned needs a recipe
only: the map changes neither. Names of models, controls and samplers are whatever a model calls them: the loaded one
checks them.
"""

from __future__ import annotations

import json
import reprlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from math import ceil
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from hgc import limits
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.schedules import HGC
from hgc.models.presets import GUIDANCE
from hgc.refused import Refused
from hgc.target import Target

Task = Literal["text", "image", "inpaint"]
ArmName = Literal["full", "cached", "rival"]
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's words for a field there is not
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def _encoded(value: str, what: str, kinds: Mapping[str, bytes]) -> str:
    try:
        data = b64decode(value, validate=True)
    except Base64Error as error:
        raise ValueError(f"not base64; encode the bytes of a {' or '.join(kinds)}") from error
    if not data.startswith(tuple(kinds.values())):
        raise ValueError(f"not a {' or '.join(kinds)}; save the {what} as {next(iter(kinds))}")
    return value


def _side(value: int) -> int:
    if value % limits.SIZE_STEP_PX:
        raise ValueError(f"sizes go in steps of {limits.SIZE_STEP_PX} pixels; take {_nearest_side(value)}")
    return value


def _two_sides(value: Any) -> Any:
    """Both sides of a size that is written as people write it, such as 768x512."""
    if not isinstance(value, str):
        return value
    sides = value.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.strip().isascii() and side.strip().isdigit() for side in sides):
        raise ValueError("write width x height, such as 768x512")
    return tuple(int(side) for side in sides)


def _several(value: Any) -> Any:
    """LoRAs that are written in a line, such as ink=0.8, line=1."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _nearest_side(value: int) -> int:
    return max(1, round(value / limits.SIZE_STEP_PX)) * limits.SIZE_STEP_PX


def _target(text: str) -> str:
    return str(Target.parse(text))


Share = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(ge=0, le=2)]
Prompt = Annotated[str, Field(max_length=limits.PROMPT_CHARS)]
Name = Annotated[str, Field(max_length=limits.NAME_CHARS)]
PathName = Annotated[str, Field(max_length=limits.NAME_CHARS, pattern=limits.NAME)]
Side = Annotated[int, Field(ge=limits.LEAST_SIDE_PX, le=limits.MOST_SIDE_PX), AfterValidator(_side)]
Map = Annotated[
    str,
    Field(max_length=limits.CONTROL_PNG_CHARS),
    AfterValidator(partial(_encoded, what="control map", kinds={"PNG": PNG})),
]
Photo = Annotated[
    str,
    Field(max_length=limits.PICTURE_CHARS),
    AfterValidator(partial(_encoded, what="picture", kinds={"PNG": PNG, "JPEG": JPEG})),
]


class RequestRefused(Refused, ValueError):
    """A request that cannot be run; one sentence says which field, what it is and what it may be."""


class SecondControl(BaseModel):
    """Another control beside the first: its map as the model sees it, a PNG in base64, its strength and its window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: PathName
    map: Map
    scale: Scale = 1.0
    start: Share = 0.0
    end: Share = 1.0

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start {self.start} must lie before end {self.end}")
        return self


class Lora(BaseModel):
    """A LoRA that was added here, by its name, or `id:file` of the Hub; and its weight. Also written as ink=0.8."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=limits.LORA_CHARS)]
    weight: Annotated[float, Field(ge=-4, le=4)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, equals, weight = value.rpartition("=")
        try:
            return {"name": name.strip(), "weight": float(weight)} if equals else {"name": weight.strip()}
        except ValueError as error:
            raise ValueError("write a LoRA and its weight, such as ink=0.8") from error

    def __str__(self) -> str:
        return f"{self.name}={self.weight:g}"


class Recipe(BaseModel):
    """How a picture is to be made, whatever its control map shows.

    `size` is width and height in pixels; without it the model's own. `second` is another control. With `source`, a PNG
    or JPEG in base64, a picture is made from that picture (image to image): noise is added as far as `strength`, 1 for
    noise alone, and `steps` are those that are then computed, the last of `schedule_steps`. With `mask` as well, a PNG,
    only its white parts are made anew (inpainting).

    `method` names how the second picture saves work. With a `budget`, a share of full compute, it is the method's plan
    of most compute within it; without one, HGC's plan is what `cache` describes, and every other method is refused.
    `at_least` is a target (hgc.target) in the place of a budget; beside one, what that budget was chosen for.
    `plan` overrides both with a table of its own. `verify` is the relative error above which a forecast of the second
    picture's plan is not trusted while it runs (hgc.cache.rules.Verification). `rival` names the method of a third
    picture, at the cost of the second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Name = Field("landscapes", description="Which model.")
    control: PathName = Field(
        "segmentation", description="segmentation, edges, or another control that the model has: depth, pose …"
    )
    prompt: Prompt = Field("", description="What to paint.")
    negative_prompt: Prompt = Field("", description="What to avoid.")
    seed: int = Field(0, ge=0, lt=2**32, description="Decides the noise.")
    steps: int = Field(20, ge=2, le=limits.STEPS, description="Denoising steps.")
    sampler: PathName = Field("ddim", description="ddim, dpmpp, unipc or euler, or another that the model has.")
    guidance: float = Field(
        GUIDANCE, ge=0, le=limits.GUIDANCE, description="How strictly it follows the prompt; 1 switches guidance off."
    )
    control_scale: Scale = Field(1.0, description="How strictly it follows the map; 0 runs no ControlNet.")
    control_start: Share = Field(0.0, description="Share of the steps before the control starts.")
    control_end: Share = Field(1.0, description="Share of the steps after which the control ends.")
    size: Annotated[tuple[Side, Side] | None, BeforeValidator(_two_sides)] = Field(
        None, description="Width x height in pixels, in steps of 64, such as 768x512; else the model's own."
    )
    second: SecondControl | None = Field(None, description="Another control and its map.")
    source: Photo | None = Field(None, description="A picture to begin from instead of noise alone.")
    strength: float = Field(0.7, ge=0.05, le=1, description="How much the source is changed; 1 leaves nothing of it.")
    mask: Map | None = Field(None, description="White where the source is replaced; the rest stays.")
    loras: Annotated[tuple[Lora, ...], BeforeValidator(_several)] = Field(
        (),
        max_length=limits.LORAS,
        description="LoRAs that were added here with their weights, such as ink=0.8,line=1.",
    )
    cache: HGC = Field(HGC(), description="HGC's settings; not with a budget.")
    plan: dict[str, Any] | None = Field(None, description="A plan of your own, instead of a method's.")
    method: Name = Field("hgc", description="How the second picture saves work.")
    budget: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Share of full compute that the second picture may use, 0 to 1."
    )
    at_least: Annotated[str, Field(max_length=40), AfterValidator(_target)] | None = Field(
        None,
        description="Instead of a budget: how like the full picture the second one is to be, 45 dB or 99% of its "
        "control score; the cheapest plan that was measured to give it.",
    )
    verify: Annotated[float, Field(ge=0, lt=10)] | None = Field(
        None, description="Compute the next step after a forecast with a larger error than this, such as 0.2."
    )
    rival: Name | None = Field(
        None, description="Also draw a third picture by this method at the same cost; fewer_steps is without a cache."
    )

    @field_validator("plan")
    @classmethod
    def _is_plan(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            Plan.from_dict(value)
        return value

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.control_start >= self.control_end:
            raise ValueError(f"control_start {self.control_start} must lie before control_end {self.control_end}")
        return self

    @field_validator("loras")
    @classmethod
    def _without_weightless(cls, value: tuple[Lora, ...]) -> tuple[Lora, ...]:
        """A LoRA of weight 0 is none: the picture is the same, and so is its digest."""
        return tuple(lora for lora in value if lora.weight)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mask is not None and self.source is None:
            raise ValueError("a mask says where a source picture is made anew, and there is none; give source as well")
        if self.second is not None and self.second.control == self.control:
            raise ValueError(f"the second control is '{self.control}' as the first is; choose another")
        if len({lora.name for lora in self.loras}) < len(self.loras):
            raise ValueError("the same LoRA is given twice; give it once, with one weight")
        if self.schedule_steps > limits.SCHEDULE_STEPS:
            raise ValueError(
                f"{self.steps} steps at strength {self.strength} are the end of {self.schedule_steps}, at most "
                f"{limits.SCHEDULE_STEPS} are taken; choose fewer steps or more strength"
            )
        return self

    @model_validator(mode="after")
    def _budgeted(self) -> Self:
        if self.method != "hgc" and self.budget is None and self.at_least is None and self.plan is None:
            raise ValueError(f"method {self.method} needs a budget, a share of full compute such as 0.5")
        return self

    @classmethod
    def parse(cls, data: Mapping[str, Any] | str) -> Self:
        """From a mapping or JSON text. Raises RequestRefused with one sentence."""
        if not isinstance(data, str | Mapping):
            raise RequestRefused(f"a request is an object with fields, not a {type(data).__name__}")
        try:
            return cls.model_validate_json(data) if isinstance(data, str) else cls.model_validate(dict(data))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "request"
            given = (
                ""
                if where in ("request", "control_png", "plan", "source", "mask", "second", "second.map")
                else f" (given: {_shown(first['input'])})"
            )
            reason = (
                "there is no such field" if first["type"] in UNKNOWN else first["msg"].removeprefix("Value error, ")
            )
            raise RequestRefused(f"{where}: {reason}{given}") from error

    def but(self, **fields: Any) -> Self:
        """The same with other values in some fields, all of them checked. Raises RequestRefused."""
        return self.parse(self.model_dump() | fields)

    def with_map(self, control_png: bytes) -> Request:
        """The request that makes a picture of this recipe on a control map. Raises RequestRefused."""
        return Request.parse(self.model_dump() | {"control_png": b64encode(control_png).decode()})

    @property
    def task(self) -> Task:
        """The kind of pipeline: text to image, image to image, or inpainting."""
        return "text" if self.source is None else "image" if self.mask is None else "inpaint"

    @property
    def controls(self) -> tuple[str, ...]:
        """The names of its controls, the first one first."""
        return (self.control,) if self.second is None else (self.control, self.second.control)

    @property
    def schedule_steps(self) -> int:
        """The number of steps whose last `steps` are computed: more of them where a picture is begun from another."""
        if self.source is None:
            return self.steps
        # diffusers computes int(number * strength) of a number of steps; this is the least that gives `steps`.
        number = ceil(self.steps / self.strength)
        return number if int(number * self.strength) >= self.steps else number + 1

    @property
    def own_plan(self) -> Plan | None:
        """The plan that overrides `cache`. Raises RequestRefused when it is malformed."""
        try:
            return None if self.plan is None else Plan.from_dict(self.plan)
        except PlanRefused as error:
            raise RequestRefused(f"plan: {error}") from error

    @property
    def picture_digest(self) -> str:
        """Twelve hex digits that name what both arms share: noise, prompt, scheduler, the map of a request; not the
        caches, nor what is not in use."""
        caches = {"cache", "plan", "method", "budget", "at_least", "verify", "rival"}
        shared = self.model_dump(mode="json", exclude=caches if self.source else caches | {"strength"})
        shared = {name: value for name, value in shared.items() if value not in (None, [])}
        return sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:12]


def _shown(value: Any) -> str:
    """A given value in short, however large or deep it is."""
    return " ".join((value[:200] if isinstance(value, str) else reprlib.repr(value)).split())[:60]


class Request(Recipe):
    """One picture to make: a recipe, and in `control_png` the control map as the model sees it, a PNG in base64."""

    control_png: Map

    @classmethod
    def make(cls, control_png: bytes, **fields: Any) -> Request:
        """A request from the bytes of a PNG. Raises RequestRefused."""
        return cls.parse({"control_png": b64encode(control_png).decode(), **fields})

    @property
    def control_bytes(self) -> bytes:
        return b64decode(self.control_png)
