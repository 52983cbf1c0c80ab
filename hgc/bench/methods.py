"""Every method of `bench paper` on the same scenes, maps and noise: cost, time, likeness and obedience in one table.

python -m hgc bench peers --scenes 64 --controls segmentation --controls edges     # an hour on two cores, resumes
python -m hgc bench peers --scenes 1                                               # two minutes
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

from hgc.bench import paper
from hgc.cache.engine import cached
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.metrics import psnr, ssim
from hgc.request import Request
from hgc.service import Studio
from hgc.service.control_map import read_map
from hgc.service.judge import Judge
from hgc.service.studio import Pixels, pixels_of

FULL = "full compute"
COUNTED_ONLY = "bound"  # a method that only a count can be given for

Scene = Callable[[int, str], Request]  # a seed and a control to the request of a painted scene
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Drawn:
    """One picture by one method; `latency_ms` is the pipeline's whole call, likeness is to the full picture."""

    method: str
    control: str
    seed: int
    macs_paper: int
    macs_full: int
    latency_ms: float
    psnr: float
    ssim: float
    control_score: float


@dataclass(frozen=True)
class Row:
    """One method over all scenes of one control. PSNR and times are medians, the rest means; PSNR None is identical."""

    method: str
    control: str
    scenes: int
    tmacs_paper: float
    tmacs_full: float
    share_paper: float
    latency_ms: float
    speedup: float
    psnr: float | None
    ssim: float
    control_score: float


class Ledger:
    """What was drawn so far, a line a picture, so that a stop loses one; `key` names weights and device."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._known: dict[str, Drawn] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
                self._known[record["key"]] = Drawn(**record["drawn"])
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # the line that was being written when the run was stopped

    def known(self, request: Request, plan: Plan) -> Drawn | None:
        return self._known.get(self._name(request, plan))

    def add(self, request: Request, plan: Plan, drawn: Drawn) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write("\n" + json.dumps({"key": self._name(request, plan), "drawn": asdict(drawn)}))
        self._known[self._name(request, plan)] = drawn

    def _name(self, request: Request, plan: Plan) -> str:
        return f"{self._key} {request.picture_digest} {plan.steps} {plan.digest}"


def methods(studio: Studio) -> Mapping[str, Plan]:
    """The methods by title, the full computation first."""
    return {title: plan for title, plan in paper.plans(studio.anatomy()).items() if COUNTED_ONLY not in title}


def draw_all(
    studio: Studio, scene: Scene, seeds: Sequence[int], controls: Sequence[str], ledger: Ledger, tell: Tell
) -> list[Drawn]:
    """Every method's picture of every scene; what the ledger knows is not drawn again."""
    plans, judge, found = methods(studio), Judge.of(studio.loaded.preset), []
    for i, seed in enumerate(seeds):
        for control in controls:
            found += _draw(studio, judge, scene(seed, control), plans, ledger)
            tell(f"scene {i + 1}/{len(seeds)}, {control}")
    return found


def _draw(studio: Studio, judge: Judge, request: Request, plans: Mapping[str, Plan], ledger: Ledger) -> list[Drawn]:
    if all(ledger.known(request, plan) for plan in plans.values()):
        return [drawn for plan in plans.values() if (drawn := ledger.known(request, plan))]
    call, found = studio.call(request), []
    _run(studio, request, plans[FULL], call)  # warms up
    reference: Pixels | None = None
    for title, plan in plans.items():
        known = ledger.known(request, plan)
        if known and reference is not None:
            found.append(known)
            continue
        image, latency_ms = _run(studio, request, plan, call)
        reference = image if reference is None else reference  # drawn anew after a stop: only its figures are kept
        macs = plan_macs(plan, studio.anatomy(), guidance=request.guidance > 1)
        drawn = Drawn(
            method=title,
            control=request.control,
            seed=request.seed,
            macs_paper=macs.paper,
            macs_full=macs.full,
            latency_ms=latency_ms,
            psnr=psnr(reference, image),
            ssim=ssim(reference, image),
            control_score=judge.score(image, read_map(request.control_bytes), request.control),
        )
        ledger.add(request, plan, drawn)
        found.append(drawn)
    return found


def _run(studio: Studio, request: Request, plan: Plan, call: Mapping[str, Any]) -> tuple[Pixels, float]:
    """The picture and the time of the whole call; the full computation is the plain pipeline's, without the engine."""
    pipe = studio.loaded.pipeline(request.control, request.sampler)
    begun = perf_counter()
    with cached(pipe, plan) if plan.table or plan.steps != paper.STEPS else nullcontext():
        image = pixels_of(pipe(**{**call, "num_inference_steps": plan.steps}).images)  # waits for the device
    return image, (perf_counter() - begun) * 1e3


def table(found: Iterable[Drawn]) -> list[Row]:
    """One row for each control and method, in the order drawn."""
    groups: dict[tuple[str, str], list[Drawn]] = {}
    for drawn in found:
        groups.setdefault((drawn.control, drawn.method), []).append(drawn)
    return [_row(group, groups[control, FULL]) for (control, _), group in groups.items()]


def _row(group: list[Drawn], full: list[Drawn]) -> Row:
    likeness = median(drawn.psnr for drawn in group)
    return Row(
        method=group[0].method,
        control=group[0].control,
        scenes=len(group),
        tmacs_paper=group[0].macs_paper / 1e12,
        tmacs_full=group[0].macs_full / 1e12,
        share_paper=group[0].macs_paper / full[0].macs_paper,
        latency_ms=median(drawn.latency_ms for drawn in group),
        speedup=median(whole.latency_ms / own.latency_ms for whole, own in zip(full, group, strict=True)),
        psnr=likeness if isfinite(likeness) else None,
        ssim=fmean(drawn.ssim for drawn in group),
        control_score=fmean(drawn.control_score for drawn in group),
    )


def as_text(rows: list[Row], measured_on: str) -> str:
    lines = []
    for control in dict.fromkeys(row.control for row in rows):
        lines.append(
            f"{control:<56}{'G MACs paper':>13}{'full':>8}{'share':>8}{'ms':>7}{'times':>7}{'PSNR':>7}{'SSIM':>8}"
            f"{'control':>9}"
        )
        for row in (row for row in rows if row.control == control):
            likeness = "same" if row.psnr is None else f"{row.psnr:.1f}"
            lines.append(
                f"{row.method:<56}{row.tmacs_paper * 1e3:>13.0f}{row.tmacs_full * 1e3:>8.0f}{row.share_paper:>8.1%}"
                f"{row.latency_ms:>7.0f}{row.speedup:>7.2f}{likeness:>7}{row.ssim:>8.4f}{row.control_score:>9.3f}"
            )
    return "\n".join([*lines, measured_on])


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]
