"""Every method of the app on the same scenes, maps and noise, at common shares of full compute, in one table.

python -m hgc bench peers --scenes 64 --budget 0.368     # both controls; resumes
python -m hgc bench peers --scenes 2 --batch 1           # a look
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import Any

import torch

from hgc.bench.setup import BenchRefused
from hgc.cache import schedules
from hgc.cache.adjustment import Adjustment
from hgc.cache.curves import CalibrationRefused
from hgc.cache.engine import cached
from hgc.cache.plan import Plan, PlanRefused
from hgc.request import Request
from hgc.service import Studio
from hgc.service.arms import Pixels
from hgc.service.calibrations import calibration_for
from hgc.service.control_map import read_map
from hgc.service.judge import Judge
from hgc.service.methods import METHODS
from hgc.service.studio import pixels_of
from hgc.service.task import Task
from hgc.service.worker import on_worker

FULL = "Full compute"

Scene = Callable[[int, str], Request]  # a seed and a control to the request of a painted scene
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A method at a share of full compute: one row of the table."""

    title: str
    budget: float
    plan: Plan
    macs_paper: int
    macs_full: int
    adjustment: Adjustment | None = None


@dataclass(frozen=True)
class Drawn:
    """One picture by one method; likeness is to the full picture.

    `latency_ms` is the pipeline's whole call for this picture alone; None where several were drawn in one call.
    """

    method: str
    budget: float
    control: str
    seed: int
    macs_paper: int
    macs_full: int
    latency_ms: float | None
    psnr: float
    ssim: float
    perceptual: float | None
    control_score: float


@dataclass(frozen=True)
class Row:
    """One method over all scenes of one control. PSNR and times are medians, the rest means; PSNR None is identical.

    Times are of the `timed` scenes that were drawn one at a time.
    """

    method: str
    budget: float
    control: str
    scenes: int
    timed: int
    tmacs_paper: float
    tmacs_full: float
    share_paper: float
    latency_ms: float | None
    speedup: float | None
    psnr: float | None
    ssim: float
    perceptual: float | None
    control_score: float


@dataclass(frozen=True)
class Sizes:
    """How many scenes are drawn one at a time, on the clock, and how many of the others in one call."""

    timed: int = 3
    batch: int = 4

    def __post_init__(self) -> None:
        if self.timed < 0 or self.batch < 1:
            raise BenchRefused(f"--timed {self.timed} and --batch {self.batch}: needs at least 0 and at least 1")

    def chunks(self, seeds: Sequence[int]) -> list[tuple[bool, Sequence[int]]]:
        """Seeds that are drawn together, and whether on the clock."""
        alone, rest = seeds[: self.timed], seeds[self.timed :]
        starts = range(0, len(rest), self.batch)
        return [(True, [seed]) for seed in alone] + [(False, rest[i : i + self.batch]) for i in starts]


class Ledger:
    """What was drawn so far, a line a picture, so that a stop loses one call; `key` names weights and device."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._known: dict[str, Drawn] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
                self._known[record["key"]] = Drawn(**record["drawn"])
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # the line that was being written when the run was stopped

    def known(self, request: Request, entry: Entry, timed: bool) -> Drawn | None:
        """The picture, of a call of its own where it is to be timed."""
        found = self._known.get(self._name(request, entry))
        return None if found is not None and timed and found.latency_ms is None else found

    def add(self, request: Request, entry: Entry, drawn: Drawn) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write("\n" + json.dumps({"key": self._name(request, entry), "drawn": asdict(drawn)}))
        self._known[self._name(request, entry)] = drawn

    def _name(self, request: Request, entry: Entry) -> str:
        return (
            f"{self._key} {request.picture_digest} {entry.title} {entry.budget} {entry.plan.steps} {entry.plan.digest}"
        )


def entries(studio: Studio, request: Request, budgets: Sequence[float]) -> tuple[list[Entry], list[str]]:
    """The rows for such requests, the full computation first; and why a method is missing at a share."""
    task, missing = Task(studio.anatomy(), request), []
    whole = schedules.full(task.anatomy, request.steps)
    found = [Entry(FULL, 1.0, whole, task.whole.paper, task.whole.full)]
    for budget in budgets:
        for method in METHODS.values():
            try:
                plan = method.plan(task, budget)
                adjustment = calibration_for(request).adjustment if plan.fitted else None
            except (PlanRefused, CalibrationRefused) as error:
                missing.append(f"{request.control}, {method.title} at {budget:.1%}: {error}")
                continue
            macs = task.cost(plan)
            found.append(Entry(method.title, budget, plan, macs.paper, macs.full, adjustment))
    return found, missing


@on_worker
def draw_all(
    studio: Studio,
    scene: Scene,
    seeds: Sequence[int],
    controls: Sequence[str],
    budgets: Sequence[float],
    sizes: Sizes,
    ledger: Ledger,
    tell: Tell,
) -> list[Drawn]:
    """Every method's picture of every scene; what the ledger knows is not drawn again."""
    judge, found = Judge.of(studio.loaded.preset), []
    for control in controls:
        rows, missing = entries(studio, scene(seeds[0], control), budgets)
        for sentence in missing:
            tell(sentence)
        done = 0
        for timed, chunk in sizes.chunks(seeds):
            found += _draw(studio, judge, [scene(seed, control) for seed in chunk], rows, ledger, timed)
            done += len(chunk)
            tell(f"{control}: scene {done}/{len(seeds)}")
    return found


def _draw(
    studio: Studio, judge: Judge, requests: Sequence[Request], rows: Sequence[Entry], ledger: Ledger, timed: bool
) -> list[Drawn]:
    """These scenes by every method, each in one call."""

    def known(entry: Entry) -> list[Drawn] | None:
        drawn = [ledger.known(request, entry, timed) for request in requests]
        return None if None in drawn else [one for one in drawn if one is not None]

    before = [known(entry) for entry in rows]
    if all(before):
        return [drawn for group in before for drawn in group or ()]
    call, found = together([studio.call(request) for request in requests]), []
    if timed:
        _run(studio, requests[0], rows[0], call)  # warms up
    whole: list[Pixels] = []
    for entry, group in zip(rows, before, strict=True):
        if group and whole:
            found += group
            continue
        images, latency_ms = _run(studio, requests[0], entry, call)
        whole = whole or images  # drawn anew after a stop: only its figures are kept
        for request, full, image in zip(requests, whole, images, strict=True):
            drawn = _judged(judge, request, entry, full, image, latency_ms if timed else None)
            ledger.add(request, entry, drawn)
            found.append(drawn)
    return found


def _judged(
    judge: Judge, request: Request, entry: Entry, full: Pixels, image: Pixels, latency_ms: float | None
) -> Drawn:
    likeness = judge.likeness(full, image)
    return Drawn(
        method=entry.title,
        budget=entry.budget,
        control=request.control,
        seed=request.seed,
        macs_paper=entry.macs_paper,
        macs_full=entry.macs_full,
        latency_ms=latency_ms,
        psnr=likeness.psnr,
        ssim=likeness.ssim,
        perceptual=likeness.perceptual,
        control_score=judge.score(image, read_map(request.control_bytes), request.control),
    )


def together(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One call of the pipeline for several pictures: tensors [1, …] side by side, the rest is the same in all."""
    first = calls[0]
    return {
        name: torch.cat([call[name] for call in calls]) if isinstance(value, torch.Tensor) else value
        for name, value in first.items()
    }


def _run(studio: Studio, request: Request, entry: Entry, call: Mapping[str, Any]) -> tuple[list[Pixels], float]:
    """The pictures and the time of the whole call; what keeps nothing is the plain pipeline, without the engine."""
    pipe, plan = studio.loaded.pipeline(request.control, request.sampler), entry.plan
    begun = perf_counter()
    with cached(pipe, plan, adjustment=entry.adjustment) if plan.table else nullcontext():
        images = pipe(**{**call, "num_inference_steps": plan.steps}).images
        pictures = [pixels_of(images[i : i + 1]) for i in range(len(images))]  # waits for the device
    return pictures, (perf_counter() - begun) * 1e3


def table(found: Iterable[Drawn]) -> list[Row]:
    """One row for each control, share and method, in the order drawn."""
    groups: dict[tuple[str, float, str], list[Drawn]] = {}
    for drawn in found:
        groups.setdefault((drawn.control, drawn.budget, drawn.method), []).append(drawn)
    return [_row(group, groups[control, 1.0, FULL]) for (control, _, _), group in groups.items()]


def _row(group: list[Drawn], full: list[Drawn]) -> Row:
    likeness = median(drawn.psnr for drawn in group)
    times = [
        (whole.latency_ms, own.latency_ms)
        for whole, own in zip(full, group, strict=True)
        if whole.latency_ms is not None and own.latency_ms is not None
    ]
    distances = [drawn.perceptual for drawn in group if drawn.perceptual is not None]
    return Row(
        method=group[0].method,
        budget=group[0].budget,
        control=group[0].control,
        scenes=len(group),
        timed=len(times),
        tmacs_paper=group[0].macs_paper / 1e12,
        tmacs_full=group[0].macs_full / 1e12,
        share_paper=group[0].macs_paper / full[0].macs_paper,
        latency_ms=median(own for _, own in times) if times else None,
        speedup=median(whole / own for whole, own in times) if times else None,
        psnr=likeness if isfinite(likeness) else None,
        ssim=fmean(drawn.ssim for drawn in group),
        perceptual=fmean(distances) if distances else None,
        control_score=fmean(drawn.control_score for drawn in group),
    )


def as_text(rows: list[Row], measured_on: str) -> str:
    lines = []
    for control in dict.fromkeys(row.control for row in rows):
        lines.append(
            f"{control:<22}{'wanted':>7}{'G MACs paper':>13}{'full':>7}{'share':>7}{'ms':>7}{'times':>7}{'PSNR':>7}"
            f"{'SSIM':>8}{'perceptual':>12}{'control':>9}"
        )
        lines += [_line(row) for row in rows if row.control == control]
    timed = max((row.timed for row in rows), default=0)
    clock = f"ms and times: medians of {timed} scenes drawn one at a time" if timed else "nothing was timed"
    return "\n".join([*lines, f"PSNR: median; the rest: means; {clock}; {measured_on}"])


def _line(row: Row) -> str:
    wanted = "" if row.method == FULL else f"{row.budget:.1%}"
    latency = "–" if row.latency_ms is None else f"{row.latency_ms:.0f}"
    speedup = "–" if row.speedup is None else f"{row.speedup:.2f}"
    likeness = "same" if row.psnr is None else f"{row.psnr:.1f}"
    perceptual = "–" if row.perceptual is None else f"{row.perceptual:.4f}"
    return (
        f"{row.method:<22}{wanted:>7}{row.tmacs_paper * 1e3:>13.1f}{row.tmacs_full * 1e3:>7.1f}{row.share_paper:>7.1%}"
        f"{latency:>7}{speedup:>7}{likeness:>7}{row.ssim:>8.4f}{perceptual:>12}{row.control_score:>9.3f}"
    )


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]
