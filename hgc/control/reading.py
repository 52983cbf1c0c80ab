"""How a picture becomes a control map: what of it is used, and how sharply a detector looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hgc import limits

from .annotators import GRID_PX, AnnotatorSettings
from .canvas import Framing
from .images import ImageRefused

# Canny's gradients reach a little over this on a step from black to white.
MAX_GRADIENT = 1000


class Reading(BaseModel):
    """The framing of a picture that is not square, and the settings of detectors, as AnnotatorSettings has them.

    `position` 0..1 is where a crop lies along the longer side, from the left or the top. Without thresholds of their
    own edges are looked for as the model's control was trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    framing: Framing = "crop"
    position: float = Field(0.5, ge=0, le=1)
    low_threshold: int | None = Field(None, ge=0, le=MAX_GRADIENT)
    high_threshold: int | None = Field(None, ge=0, le=MAX_GRADIENT)
    sigma_px: float = Field(6.0, ge=0.5, le=32)
    line_threshold: int = Field(8, ge=0, le=254)
    line_score: float = Field(0.1, ge=0, le=1)
    line_length: float = Field(0.1, ge=0, le=200)
    hands: bool = False
    resolution_px: int = Field(0, ge=0, le=limits.MOST_SIDE_PX)

    @model_validator(mode="after")
    def _ordered(self) -> Reading:
        low, high = self.low_threshold, self.high_threshold
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"Canny's thresholds are low {low} and high {high}, and the low one must not be the higher: "
                "lower the first or raise the second."
            )
        if 0 < self.resolution_px < GRID_PX:
            raise ValueError(
                f"The reading's resolution_px is {self.resolution_px}: take 0 for the map's own size, or at least "
                f"{GRID_PX} pixels."
            )
        return self

    @classmethod
    def parse(cls, given: Mapping[str, Any] | None) -> Reading:
        """A reading from plain data. Raises ImageRefused, naming the first field that is wrong."""
        if not isinstance(given, Mapping | None):
            raise ImageRefused(f"A reading is an object with {', '.join(cls.model_fields)}; this is {given!r:.80}.")
        try:
            return cls(**{str(name): value for name, value in (given or {}).items()})
        except ValidationError as error:
            raise ImageRefused(_told(error)) from error

    def settings(self, canny: tuple[int, int]) -> AnnotatorSettings:
        """The settings of the detectors; `canny` are the thresholds where none were chosen. Raises ImageRefused."""
        low = canny[0] if self.low_threshold is None else self.low_threshold
        high = canny[1] if self.high_threshold is None else self.high_threshold
        # One alone moves the other along.
        low = min(low, high) if self.low_threshold is None else low
        high = max(low, high)
        return AnnotatorSettings(
            low,
            high,
            self.sigma_px,
            self.line_threshold,
            line_score=self.line_score,
            line_length=self.line_length,
            hands=self.hands,
            resolution_px=self.resolution_px,
        )


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return str(first["msg"]).removeprefix("Value error, ")
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"'{name:.40}' is not part of a reading; known are {', '.join(Reading.model_fields)}."
    return f"The reading's {name} is {first['input']!r:.40}: {first['msg'][0].lower()}{first['msg'][1:]}."
