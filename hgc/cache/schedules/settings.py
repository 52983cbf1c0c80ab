"""The settings of a method: a frozen dataclass in the method's own file, with the defaults and bounds of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_args, get_type_hints

from annotated_types import Interval

from hgc.cache.origin import Knobs
from hgc.cache.rules import PlanRefused


@dataclass(frozen=True)
class Settings:
    """Checked when made: PlanRefused names the setting, its value and the values that it may have.

    Bounds stand in the annotations, such as `Annotated[int, Interval(ge=1, le=10)]`; `bounds` has them by name. A
    setting that is None has no bounds.
    """

    bounds: ClassVar[Mapping[str, Interval]] = {}

    def __init_subclass__(cls) -> None:
        intervals = {name: _bounds(hint) for name, hint in get_type_hints(cls, include_extras=True).items()}
        cls.bounds = {name: bounds for name, bounds in intervals.items() if bounds is not None}

    def __post_init__(self) -> None:
        for name, bounds in self.bounds.items():
            value = getattr(self, name)
            if value is not None and not _holds(bounds, value):
                raise PlanRefused(f"{name} {value}: choose {_words(bounds)}")

    @property
    def knobs(self) -> Knobs:
        """As the origin of a plan has them: all but the forecast, which the plan has itself."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "forecast"}


def _bounds(hint: Any) -> Interval | None:
    for part in (hint, *get_args(hint)):
        for note in getattr(part, "__metadata__", ()):
            if isinstance(note, Interval):
                return note
    return None


def _holds(bounds: Interval, value: Any) -> bool:
    ge, gt, le, lt = bounds.ge, bounds.gt, bounds.le, bounds.lt
    above = (ge is None or value >= ge) and (gt is None or value > gt)
    return above and (le is None or value <= le) and (lt is None or value < lt)


def _words(bounds: Interval) -> str:
    if bounds.ge is not None and bounds.le is not None:
        return f"between {bounds.ge} and {bounds.le}"
    low = f"more than {bounds.gt}" if bounds.ge is None else f"{bounds.ge} or more"
    if bounds.le is not None:
        return f"{low} and at most {bounds.le}"
    return low if bounds.lt is None else f"{low} and less than {bounds.lt}"
