"""A record: a finished comparison as plain data, enough to show all of it again without a model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Annotated, Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer

from hgc import limits
from hgc.cache.trace import Trace
from hgc.evidence import Digest, EvidenceRefused, Made, Pixels, Word, read_signed
from hgc.refused import Refused
from hgc.request import Request, RequestRefused

FORMAT = 1
Arm = Annotated[str, Field(pattern=limits.ARM)]
Note = Annotated[str, Field(max_length=4_000)]
THUMBNAIL_PX = 160


class RecordRefused(Refused, ValueError):
    """A record that cannot be read; one sentence says why."""


@dataclass(frozen=True)
class KeptArm:
    """One picture of a run: its signed PNG, its trace as JSON, and what was measured.

    `control_score` is 0..1, of depth an error in grey levels; NaN where nothing could be scored.
    """

    name: str
    png: bytes
    trace_json: str
    latency_ms: float
    denoise_ms: float
    control_score: float

    @property
    def pixels(self) -> Pixels:
        """uint8 [H, W, 3]. Raises RecordRefused."""
        try:
            return read_signed(self.png).pixels
        except EvidenceRefused as error:
            raise RecordRefused(f"picture '{self.name}': {error}") from error

    @property
    def trace(self) -> Trace:
        """Raises RecordRefused."""
        try:
            return Trace.from_json(self.trace_json)
        except (ValueError, RecursionError) as error:
            raise RecordRefused(f"trace of '{self.name}': {error}") from error


@dataclass(frozen=True)
class Record:
    """A comparison that was made once: its request, its arms in the order in which they were made, and its figures.

    `likeness` is by arm, then by measure; `figures` are those that stood beside the pictures.
    """

    request: Request
    arms: tuple[KeptArm, ...]
    likeness: Mapping[str, Mapping[str, float | None]]
    digest: str
    score_name: str
    made: Made
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The cached picture's method, as the list of runs names it."""
        return str(self.figures.get("plan", ""))

    @property
    def share(self) -> float:
        """MACs of the cached picture as a share of the full one's, paper convention; NaN where they are not known."""
        share = self.figures.get("macs_ratio")
        return float(share) if isinstance(share, float) or (type(share) is int and abs(share) < 2**53) else math.nan

    def arm(self, name: str) -> KeptArm:
        """Raises RecordRefused."""
        match = next((arm for arm in self.arms if arm.name == name), None)
        if match is None:
            raise RecordRefused(f"this run has no picture '{name}'; it has {', '.join(arm.name for arm in self.arms)}")
        return match

    def thumbnail(self) -> bytes:
        """The cached picture as a small JPEG, to be found again by."""
        picture = Image.fromarray(self.arm("cached").pixels)
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=85)
        return buffer.getvalue()

    def files(self) -> dict[str, bytes]:
        """Every file of the record by its name."""
        sheet = RunSheet(
            arms={arm.name: ArmFigures.of(arm) for arm in self.arms},
            likeness={name: dict(values) for name, values in self.likeness.items()},
            digest=self.digest,
            score_name=self.score_name,
            made=self.made,
            notes=self.notes,
            figures=dict(self.figures),
        )
        files = {
            "run.json": sheet.model_dump_json(indent=1).encode(),
            "request.json": self.request.model_dump_json(indent=1).encode(),
        }
        for arm in self.arms:
            files |= {f"{arm.name}.png": arm.png, f"{arm.name}.trace.json": arm.trace_json.encode()}
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Record:
        """Raises RecordRefused with one sentence."""
        try:
            sheet = RunSheet.model_validate_json(files["run.json"])
            request = Request.parse(files["request.json"].decode())
            arms = tuple(
                KeptArm(
                    name,
                    files[f"{name}.png"],
                    files[f"{name}.trace.json"].decode(),
                    measured.latency_ms,
                    measured.denoise_ms,
                    measured.control_score,
                )
                for name, measured in sheet.arms.items()
            )
        except KeyError as error:
            raise RecordRefused(f"this recording has no file {error}: export it again") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RecordRefused(f"this recording's run.json cannot be read ({where}: {first['msg']})") from error
        except (RequestRefused, UnicodeDecodeError) as error:
            raise RecordRefused(f"this recording's request cannot be read: {error}") from error
        return cls(
            request=request,
            arms=arms,
            likeness=sheet.likeness,
            digest=sheet.digest,
            score_name=sheet.score_name,
            made=sheet.made,
            notes=sheet.notes,
            figures=sheet.figures,
        )


class ArmFigures(BaseModel):
    """The measured figures of an arm. JSON knows neither infinity nor NaN: they are written as words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    denoise_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    control_score: float

    @field_serializer("latency_ms", "denoise_ms", "control_score", when_used="json")
    def _in_words(self, value: float) -> float | str:
        return _word(value)

    @classmethod
    def of(cls, arm: KeptArm) -> ArmFigures:
        return cls(latency_ms=arm.latency_ms, denoise_ms=arm.denoise_ms, control_score=arm.control_score)


class RunSheet(BaseModel):
    """run.json: everything of a record but its request, its pictures and its traces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    arms: Annotated[dict[Arm, ArmFigures], Field(min_length=1, max_length=8)]
    likeness: dict[Arm, dict[Word, float | None]]
    digest: Digest
    score_name: Word
    made: Made
    notes: Annotated[tuple[Note, ...], Field(max_length=64)]
    figures: dict[str, Any]

    @field_serializer("likeness", when_used="json")
    def _likeness_in_words(self, value: dict[str, dict[str, float | None]]) -> dict[str, dict[str, float | str | None]]:
        return {
            arm: {name: None if number is None else _word(number) for name, number in alike.items()}
            for arm, alike in value.items()
        }

    @field_serializer("figures", when_used="json")
    def _figures_as_told(self, value: dict[str, Any]) -> Any:
        return json.loads(json.dumps(value))


def _word(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
