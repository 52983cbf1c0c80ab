"""How like the full picture another one is to be, as people write it: 45 dB, or 99% of its control score."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

LEAST_DB, MOST_DB = 10.0, 90.0  # less is another picture; identical ones have no PSNR
_TIME = re.compile(r"(\d{1,7}(?:\.\d{1,6})?)\s*(ms|s)", re.IGNORECASE | re.ASCII)
_WRITTEN = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*(db|%)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Target:
    """At least so much: of PSNR to the full picture in dB, or of its control score as a share, 0 to 1."""

    measure: Literal["psnr", "control"]
    least: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "45 dB" or "99%". Raises ValueError with what may be written."""
        written = _WRITTEN.fullmatch(text.strip())
        if written is None:
            raise ValueError("write a PSNR such as 45 dB, or a part of the full picture's control score such as 99%")
        number, decibels = float(written[1]), written[2] != "%"
        if decibels and not LEAST_DB <= number <= MOST_DB:
            raise ValueError(f"choose from {LEAST_DB:g} to {MOST_DB:g} dB")
        if not decibels and not 0 < number <= 100:
            raise ValueError("choose a part of the control score above 0% and up to 100%")
        return cls("psnr", number) if decibels else cls("control", number / 100)

    def __str__(self) -> str:
        return self.told(self.least)

    @property
    def words(self) -> str:
        """The target in a sentence."""
        return str(self) if self.measure == "psnr" else f"{self} of the control score"

    def told(self, value: float) -> str:
        """A value of its measure."""
        return f"{value:.6g} dB" if self.measure == "psnr" else f"{100 * value:.6g}%"


def milliseconds(text: str) -> float | None:
    """A time that is written as people do, 2.5 s or 800 ms; None for what is no time."""
    written = _TIME.fullmatch(text.strip())
    return None if written is None else float(written[1]) * (1 if written[2].lower() == "ms" else 1000)
