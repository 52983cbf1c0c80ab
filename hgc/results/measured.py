"""The embedded model's shipped tables: what methods give for their cost, and a band to compare likeness with.

The tables are made by the commands that `hgc remake --list` shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

FIGURES = Path(__file__).resolve().parents[2] / "assets" / "figures"
SETTING = {"model": "landscapes", "sampler": "ddim", "steps": 20}
WORDS = "Landscapes, 20 steps of DDIM"
LONG_STEPS = 100  # of the reference in the -long tables


@dataclass(frozen=True)
class Rung:
    """A method at a cost, a share of full compute: mean PSNR in dB to the full picture, over so many scenes."""

    share: float
    psnr: float
    scenes: int


@dataclass(frozen=True)
class Band:
    """How like, in dB, the full picture is to the same one in `steps` steps; a mean over scenes."""

    steps: int
    psnr: float
    scenes: int


def rungs(method: str, control: str) -> tuple[Rung, ...]:
    """The measured costs of a method, the cheapest first; empty where it was not measured."""
    for table in ("methods", "hgc"):
        points = [p for p in _points(f"{table}-{control}-ddim") if p["method"] == method]
        if points:
            return tuple(sorted((Rung(p["share"], p["psnr"], p["pictures"]) for p in points), key=lambda r: r.share))
    return ()


def long_band(figures: Mapping[str, Any]) -> Band | None:
    """The band of a comparison's `figures`; None where it was not measured for its settings."""
    if any(figures.get(name) != value for name, value in SETTING.items()):
        return None
    for point in _points(f"optimised-{figures['control']}-long"):
        if point["method"] == "full":
            return Band(LONG_STEPS, fmean(one["psnr_long"] for one in point["each"]), point["pictures"])
    return None


@cache
def _points(table: str) -> tuple[dict[str, Any], ...]:
    path = FIGURES / f"{table}.json"
    return tuple(json.loads(path.read_text(encoding="utf-8"))["points"]) if path.exists() else ()
