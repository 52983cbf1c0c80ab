"""The settings that can be swept, and the values that one takes, read from text as a person writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, Literal

from hgc import limits
from hgc.planning.methods import METHODS
from hgc.request import RequestRefused

Value = float | int | str
# What a setting decides: the picture itself, one number of HGC's plan, or the whole plan.
Decides = Literal["picture", "number", "plan"]

LADDER = ("off", "coarse", "fine", "both")
_BY_SETTINGS: Mapping[str, Any] = {"plan": None, "method": "hgc", "budget": None, "at_least": None}
MOST_RUNS = limits.SWEEP_RUNS
_NUMBER = r"-?\d+(?:\.\d+)?%?"
_RANGE = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})(?:\s+by\s+({_NUMBER}))?")


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
            lambda value: {"plan": None, "budget": value, "at_least": None},
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
            "attention every n-th time",
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


@dataclass(frozen=True)
class Axis:
    """A setting and the values it takes, in the order in which they are shown."""

    name: str
    values: tuple[Value, ...]

    @classmethod
    def parse(cls, name: str, text: str) -> Axis:
        """Values from text such as '0.2, 0.35', '0..4' or '0.2..0.6 by 0.1'. Raises RequestRefused in one sentence."""
        setting = known(name)
        if len(text) > limits.AXIS_CHARS:
            raise RequestRefused(f"{setting.title}: {len(text):,} characters, at most {limits.AXIS_CHARS:,} are read")
        parts = [part for part in (part.strip() for part in text.split(",")) if part]
        values: list[Value] = []
        for part in parts:
            values += [_word(setting, part)] if setting.kind is str else _numbers(setting, part)
        if not values:
            raise RequestRefused(f"{setting.title}: no values; write some, such as {setting.example}")
        return cls(name, tuple(dict.fromkeys(values)))

    @classmethod
    def read(cls, text: str) -> Axis:
        """A setting and its values in one text, such as 'budget=0.2, 0.35'. Raises RequestRefused."""
        name, equals, values = text.partition("=")
        if not equals:
            raise RequestRefused(f"'{text[:40]}': name a setting and its values, such as 'budget=0.2, 0.35'")
        return cls.parse(name.strip().replace("-", "_"), values)

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.name]

    @property
    def labels(self) -> list[str]:
        """The values as words, in order."""
        return [self.setting.shown(value) for value in self.values]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Further seeds, none from empty text. Raises RequestRefused."""
    return tuple(int(seed) for seed in Axis.parse("seed", text).values) if text.strip() else ()


def _word(setting: Setting, part: str) -> str:
    if setting.words and part not in setting.words:
        raise RequestRefused(f"{setting.title}: '{part[:40]}'; choose among {', '.join(setting.words)}")
    return part


def _numbers(setting: Setting, part: str) -> list[Value]:
    if not (span := _RANGE.fullmatch(part)):
        return [_number_in(setting, part)]
    first, last = (_number_in(setting, end) for end in span.groups()[:2])
    if span[3] is None and setting.kind is float:
        raise RequestRefused(f"{setting.title}: '{part}' has no step; write such as {first:g}..{last:g} by 0.1")
    step = 1 if span[3] is None else _number_in(setting, span[3])
    if step <= 0 or last < first:
        raise RequestRefused(f"{setting.title}: '{part}' leads nowhere; write the smaller end first and a step above 0")
    if (last - first) / step >= MOST_RUNS:
        raise RequestRefused(
            f"{setting.title}: '{part[:40]}' are {(last - first) / step + 1:.4g} values, at most {MOST_RUNS} are drawn"
        )
    count = int((last - first) / step + 1e-9) + 1
    return [setting.kind(round(first + i * step, 9)) for i in range(count)]


def _number_in(setting: Setting, text: str) -> float | int:
    scale = 100 if text.endswith("%") else 1
    try:
        number = float(text.removesuffix("%")) / scale
    except ValueError:
        number = nan
    if not isfinite(number):
        raise RequestRefused(f"{setting.title}: '{text[:40]}' is not a number; write such as {setting.example}")
    if setting.name == "budget" and scale == 1 and number > 1:
        return number / 100  # a budget is in percent all over the page; a share of one is read as well
    if setting.kind is float:
        return number
    if number != int(number):
        raise RequestRefused(f"{setting.title}: {text[:40]} is not a whole number; write such as {setting.example}")
    return int(number)
