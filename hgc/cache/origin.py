"""How a plan came about, as data; and what people call it, which is made of that here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hgc.cache.rules import PlanRefused

IMPORTED = "imported"
MOST_KNOBS = 32
Knob = bool | int | float | str | tuple[int, ...] | None
Knobs = Mapping[str, Knob]


@dataclass(frozen=True)
class Origin:
    """The maker of a plan: a `method` and its `knobs`.

    `carried_over` has what was measured, by the setting's name, where the plan is for something else: {"guidance": 2}.
    `edited` says that somebody changed the plan by hand since. A plan that was read without all this is IMPORTED, and
    `called` is its name there.
    """

    method: str
    knobs: Knobs = field(default_factory=dict)
    carried_over: Knobs = field(default_factory=dict)
    edited: bool = False
    called: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.called, str | None):
            raise PlanRefused(f"a plan's name is words, not {type(self.called).__name__}")
        if not isinstance(self.method, str) or not isinstance(self.edited, bool):
            raise PlanRefused(
                f"origin of a plan: method {self.method!r} is not a word, or edited {self.edited!r} not a truth value"
            )
        for name in ("knobs", "carried_over"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        try:
            _ = self.words
        except (KeyError, TypeError, ValueError) as error:
            raise PlanRefused(f"origin of a plan: {self.method} with knobs {dict(self.knobs)} ({error!r})") from error

    @cached_property
    def words(self) -> str:
        """The plan's name: "block caching δ=0.21, carried over from guidance 2, not measured here, by hand"."""
        made = _TITLES.get(self.method, _plain(self.method))(self.knobs) if self.called is None else self.called
        return ", ".join(part for part in (made, self.carried_words, "by hand" if self.edited else "") if part)

    @property
    def carried_words(self) -> str:
        """The parts of it that were measured for something else, in words; empty where none was."""
        measured = [_SETTINGS.get(name, "{}").format(value) for name, value in self.carried_over.items()]
        return f"carried over from {', '.join(measured)}, not measured here" if measured else ""

    def notes(self, called: str = "The plan") -> tuple[str, ...]:
        """Notes for people on a plan that was not made, or not measured, for the run at hand."""
        return (f"{called} was {self.carried_words}.",) if self.carried_over else ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON, without what is not set."""
        optional = {"knobs": self.knobs, "carried_over": self.carried_over, "edited": self.edited}
        named = {} if self.called is None else {"called": self.called}
        return {"method": self.method} | {name: value for name, value in optional.items() if value} | named

    @classmethod
    def read(cls, data: Mapping[str, Any] | None, name: str) -> Origin:
        """The origin that a plan of this name was written with; IMPORTED without one, or where the name is another.

        Raises PlanRefused, TypeError where it is malformed.
        """
        origin = cls(IMPORTED, called=name) if data is None else cls(**data)
        return origin if origin.words == name else cls(IMPORTED, called=name)


def _checked(name: str, knobs: Any) -> Knobs:
    if not isinstance(knobs, Mapping):
        raise PlanRefused(f"origin of a plan: {name} {knobs!r}; give an object of names and values")
    if len(knobs) > MOST_KNOBS:
        raise PlanRefused(f"origin of a plan: {len(knobs)} {name}, at most {MOST_KNOBS} are read")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in knobs.items()}
    for key, value in values.items():
        if not isinstance(value, bool | int | float | str | tuple | None):
            raise PlanRefused(f"origin of a plan: {name} '{key}' is {value!r}; give a number or a word")
    return values


def _plain(method: str) -> Callable[[Knobs], str]:
    return lambda knobs: method.replace("_", " ")


def _block_caching(knobs: Knobs) -> str:
    groups = [f" {group} ×{knobs[group]:g}" for group in ("control", "output") if knobs.get(group, 1.0) != 1.0]
    return f"block caching δ={knobs['delta']:.3g}{','.join(groups)}"


def _deepcache(knobs: Knobs) -> str:
    around = "" if knobs["centre"] is None else f" around {knobs['centre']}"
    deeper = f" branch {knobs['branch']}" if knobs["branch"] else ""
    return f"deepcache N={knobs['interval']}{around}{deeper}"


_TITLES: Mapping[str, Callable[[Knobs], str]] = {
    "hgc": lambda knobs: "hgc by measured similarity" if knobs.get("similarity") else "hgc",
    "block_caching": _block_caching,
    "deepcache": _deepcache,
    "tgate": lambda knobs: f"tgate m={knobs['gate_step']}",
    "fewer_steps": lambda knobs: f"fewer steps: {knobs['count']} of {knobs['steps']}",
}
_SETTINGS: Mapping[str, str] = {"steps": "{} steps", "guidance": "guidance {:g}"}
