"""The embedded model's shipped tables: what methods give for their cost, and a band to compare likeness with.

The tables are made by the commands that `hgc remake --list` shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

FIGURES = Path(__file__).resolve().parents[2] / "assets" / "figures"
SAMPLER, STEPS = "ddim", 20
SETTING = {"model": "landscapes", "sampler": SAMPLER, "steps": STEPS}
WORDS = "Landscapes, 20 steps of DDIM"
LONG_STEPS = 100  # of the reference in the -long tables
# Where one budget is in several, the table of most pictures counts; drawings by other hands are in the first two.
METHOD_TABLES = ("methods", "block-caching", "hgc", "rivals")
TABLES = tuple(f"{name}-{{control}}-ddim" for name in ("optimised", "quality", *METHOD_TABLES, "low"))
SOLVERS = "solvers-{control}"
NULL = "null-{control}-ddim"  # other noise, and more steps


@dataclass(frozen=True)
class MeasuredRung:
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


@dataclass(frozen=True)
class MeasuredPicture:
    """One picture of a table beside the full one: PSNR in dB, and of both the control score.

    Under label maps `overlaps` are, by class, the pixels shared with the map and in either; empty under edges.
    """

    psnr: float
    score: float
    full_score: float
    overlaps: Mapping[str, Sequence[int]]
    full_overlaps: Mapping[str, Sequence[int]]


@dataclass(frozen=True, eq=False)
class MeasuredBudget:
    """A method's pictures within a budget, and the part of full compute that they took."""

    method: str
    sampler: str
    budget: float
    share: float
    pictures: tuple[MeasuredPicture, ...]


@cache
def measured(method: str, control: str, sampler: str) -> tuple[MeasuredBudget, ...]:
    """A method's pictures by budget, the lowest first; of each budget the table of most pictures."""
    best = dict[float, MeasuredBudget]()
    for point, full in _pairs(control):
        if (point["method"], point["sampler"]) == (method, sampler):
            pictures = tuple(_shown(one, whole) for one, whole in zip(point["each"], full["each"], strict=True))
            here = MeasuredBudget(method, sampler, point["budget"], point["share"], pictures)
            if here.budget not in best or len(pictures) > len(best[here.budget].pictures):
                best[here.budget] = here
    return tuple(best[budget] for budget in sorted(best))


def _pairs(control: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every point of methods, with the full run's of the same pictures."""
    for table in (*TABLES, SOLVERS):
        points = _points(table.format(control=control))
        full = {point["sampler"]: point for point in points if point["method"] == "full"}
        yield from ((point, full[point["sampler"]]) for point in points if point["method"] != "full")


def _shown(one: Mapping[str, Any], whole: Mapping[str, Any]) -> MeasuredPicture:
    scores = one["control_score"], whole["control_score"]
    return MeasuredPicture(one["psnr"], *scores, one.get("overlaps", {}), whole.get("overlaps", {}))


def rungs(method: str, control: str, tables: Sequence[str] = METHOD_TABLES) -> tuple[MeasuredRung, ...]:
    """The measured costs of a method by the first of these tables that has it, the cheapest first; empty where none
    has."""
    for table in tables:
        points = [p for p in _points(f"{table}-{control}-ddim") if p["method"] == method]
        if points:
            return tuple(
                sorted((MeasuredRung(p["share"], p["psnr"], p["pictures"]) for p in points), key=lambda r: r.share)
            )
    return ()


def long_band(figures: Mapping[str, Any]) -> Band | None:
    """The band of a comparison's `figures`; None where it was not measured for its settings."""
    if any(figures.get(name) != value for name, value in SETTING.items()):
        return None
    for point in _points(f"optimised-{figures['control']}-long"):
        if point["method"] == "full":
            return Band(LONG_STEPS, fmean(one["psnr_long"] for one in point["each"]), point["pictures"])
    longer = [point for point in _points(NULL.format(**figures)) if point["budget"] > 1]
    if not longer:
        return None
    longest = max(longer, key=lambda point: float(point["budget"]))
    return Band(round(longest["budget"] * STEPS), longest["psnr"], longest["pictures"])


def noise_band(figures: Mapping[str, Any]) -> Band | None:
    """How like the full picture is to the same one from other noise; None as above."""
    if any(figures.get(name) != value for name, value in SETTING.items()):
        return None
    points = _points(NULL.format(**figures))
    return next((Band(STEPS, p["psnr"], p["pictures"]) for p in points if p["method"] == "other seed"), None)


@cache
def _points(table: str) -> tuple[dict[str, Any], ...]:
    path = FIGURES / f"{table}.json"
    return tuple(json.loads(path.read_text(encoding="utf-8"))["points"]) if path.exists() else ()
