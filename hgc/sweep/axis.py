"""One setting and the values it takes, read from text as a person writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite, nan

from hgc import limits
from hgc.request import RequestRefused
from hgc.sweep.settings import SETTINGS, Setting, Value, known

MOST_RUNS = limits.SWEEP_RUNS

_NUMBER = r"-?\d+(?:\.\d+)?%?"
_RANGE = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})(?:\s+by\s+({_NUMBER}))?")


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
