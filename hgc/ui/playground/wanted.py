"""How the second picture is wanted: a method and a share of full compute, raised to what the method can reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hgc.cache.schedules import OutOfReach
from hgc.control.annotators import ANNOTATORS
from hgc.planning.presets import budget_of
from hgc.request import CacheSettings
from hgc.ui.playground.drawing import AS_LINES
from hgc.ui.runner import blank_png, made

if TYPE_CHECKING:
    from hgc.ui.loader import StudioLike

HGC = "hgc"


@dataclass(frozen=True)
class Wanted:
    """What the panel says: a chosen preset counts before the percentage on the budget's slider."""

    method: str
    preset: str | None
    percent: float

    @property
    def share(self) -> float:
        """Of full compute."""
        return self.percent / 100 if self.preset is None else budget_of(self.preset)


@dataclass(frozen=True)
class Reach:
    """A share that the method reaches, and where it is not the one that was wanted, why."""

    share: float
    sentence: str = ""


def within_reach(studio: StudioLike, wanted: Wanted, fields: Mapping[str, Any]) -> Reach:
    """The wanted share, or the nearest that the method reaches in a run of these fields. Raises PlanRefused."""
    shared = {name: value for name, value in fields.items() if name not in ("plan", "rival")}
    try:
        asked = shared | {"method": wanted.method, "budget": wanted.share}
        studio.forecast(made(blank_png(studio.size), asked, {}, studio.model))
    except OutOfReach as error:
        return Reach(min(1.0, error.nearest), f"{error}. Until then, Run takes its least.")
    return Reach(wanted.share)


def settings_within(studio: StudioLike, share: float, fields: Mapping[str, Any]) -> CacheSettings:
    """HGC's settings for a share in a run of these fields. Raises PlanRefused."""
    return studio.settings_for(
        share,
        int(fields["steps"]),
        guidance=fields["guidance"] > 1,
        window=(fields["control_start"], fields["control_end"]),
        strength=fields["control_scale"],
    )


def planned(
    studio: StudioLike, wanted: Wanted, fields: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The request's fields that say how its second picture is made, within the method's reach.

    A preset of HGC is asked for its settings; without one they are those given, which stand on the page.
    """
    if wanted.method != HGC:
        return {"method": wanted.method, "budget": within_reach(studio, wanted, fields).share}
    if wanted.preset is None:
        return {"cache": dict(settings)}
    return {"cache": settings_within(studio, within_reach(studio, wanted, fields).share, fields).model_dump()}


def unplanned(wanted: Wanted, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same as it stands on the page, whether in reach or not."""
    return {"cache": dict(settings)} if wanted.method == HGC else {"method": wanted.method, "budget": wanted.share}


def by_method(
    studio: StudioLike,
    method: str,
    wanted: str | float,
    fields: Mapping[str, Any],
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The request's fields for a method and a preset or a share, or for settings of HGC. Raises PlanRefused."""
    if settings is not None:
        return {"cache": dict(settings)}
    if method == HGC:
        guided = fields["guidance"] > 1
        return {"cache": studio.settings_for(wanted, int(fields["steps"]), guidance=guided).model_dump()}
    return {"method": method, "budget": budget_of(wanted)}


def control_of(source: str, annotator: str) -> str:
    """The kind of map that the drawing panel will make."""
    if source == "photo":
        lines = annotator == AS_LINES or (annotator in ANNOTATORS and ANNOTATORS[annotator].kind == "edges")
        return "edges" if lines else "segmentation"
    return "edges" if source == "lines" else "segmentation"
