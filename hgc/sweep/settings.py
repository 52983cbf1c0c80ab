"""The settings a sweep can run over, and which fields of a request each value sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hgc.planning.methods import METHODS
from hgc.request import RequestRefused

Value = float | int | str
# What a setting decides: the picture itself, one number of HGC's plan, or the whole plan.
Decides = Literal["picture", "number", "plan"]

LADDER = ("off", "coarse", "fine", "both")


@dataclass(frozen=True)
class Setting:
    """One thing a sweep can run over. `change` makes a value the fields of a Request.

    `example` is text that `Axis.parse` reads; `words` are the known values of a setting that has no others.
    """

    name: str
    title: str
    hint: str
    example: str
    decides: Decides
    kind: type[float] | type[int] | type[str]
    change: Callable[[Value], dict[str, Any]]
    words: tuple[str, ...] = ()

    @property
    def of_hgc(self) -> bool:
        """Whether it is a setting of HGC's, so that no other method can be meant."""
        return self.decides == "number" or self.name == "caches"

    def shown(self, value: Value) -> str:
        """A value as a label words it."""
        if isinstance(value, str):
            return METHODS[value].title if self.name == "method" else value
        return f"{100 * value:.4g}%" if self.name == "budget" else f"{value:.6g}" if self.kind is float else str(value)


def _picture(field: str) -> Callable[[Value], dict[str, Any]]:
    return lambda value: {field: value}


def _number(field: str, cache: str) -> Callable[[Value], dict[str, Any]]:
    """A number of HGC's plan; it has an effect only where its cache is on."""
    return lambda value: {**_BY_SETTINGS, "cache": {field: value, cache: True}}


def _caches(value: Value) -> dict[str, Any]:
    return {**_BY_SETTINGS, "cache": {"coarse": value in ("coarse", "both"), "fine": value in ("fine", "both")}}


_BY_SETTINGS: Mapping[str, Any] = {"plan": None, "method": "hgc", "budget": None}

SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "budget",
            "Budget",
            "percent of full compute",
            "20%, 37%, 50%, 65%",
            "plan",
            float,
            lambda value: {"plan": None, "budget": value},
        ),
        Setting(
            "method",
            "Method",
            "each at the budget",
            "hgc, deepcache, step_skip, fewer_steps",
            "plan",
            str,
            lambda value: {"plan": None, "method": value},
            tuple(METHODS),
        ),
        Setting("caches", "Caches", "off, coarse, fine, both", ", ".join(LADDER), "plan", str, _caches, LADDER),
        Setting(
            "lambda_inter",
            "λ inter",
            "share of key steps",
            "0.2, 0.35, 0.5",
            "number",
            float,
            _number("lambda_inter", "coarse"),
        ),
        Setting(
            "lambda_intra",
            "λ intra",
            "share of layers refreshed in between",
            "0, 0.1, 0.3",
            "number",
            float,
            _number("lambda_intra", "coarse"),
        ),
        Setting(
            "gate",
            "Gate",
            "share of the steps with two branches",
            "0.4, 0.6, 0.8, 1",
            "number",
            float,
            _number("gate", "fine"),
        ),
        Setting(
            "attention_every",
            "N",
            "attention at every n-th key step",
            "1, 2, 4",
            "number",
            int,
            _number("attention_every", "fine"),
        ),
        Setting("steps", "Steps", "denoising steps", "10, 20, 30", "picture", int, _picture("steps")),
        Setting("guidance", "Guidance", "how strictly words count", "2, 4, 7", "picture", float, _picture("guidance")),
        Setting("seed", "Seed", "decides the noise", "0..2", "picture", int, _picture("seed")),
    )
}


def known(name: str) -> Setting:
    """Raises RequestRefused."""
    if name not in SETTINGS:
        raise RequestRefused(f"nothing is called '{name[:40]}': sweep over {', '.join(SETTINGS)}")
    return SETTINGS[name]
