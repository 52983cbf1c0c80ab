"""Methods x budgets x solvers on scenes and drawings that no plan was made from: cost against fidelity.

python -m hgc bench pareto --out runs/pareto.json                # resumes
python -m hgc bench pareto --scenes 1 --budget 0.5 --long 0      # a minute
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import isfinite, nan
from pathlib import Path
from statistics import fmean, median, pstdev
from time import perf_counter
from typing import Any

from hgc.cache.engine import cached
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rehearsal import plan_macs
from hgc.cache.schedules import full
from hgc.charts import pareto as charts
from hgc.metrics import psnr
from hgc.request import Request
from hgc.service import Studio
from hgc.service.arms import Pixels
from hgc.service.batches import together
from hgc.service.control_map import read_map
from hgc.service.judge import Judge
from hgc.service.methods import METHODS, plan_of
from hgc.service.worker import on_worker

FULL = "full"
CEILING_DB = 99.0  # identical pictures have no PSNR, and means need one

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """What is compared; `long` is the number of steps of the second reference, 0 for none."""

    methods: tuple[str, ...]
    budgets: tuple[float, ...]
    steps: int = 20
    batch: int = 4
    long: int = 100


@dataclass(frozen=True)
class Shown:
    """One picture by one plan. Likeness is to the full run's picture; `psnr_long` to that of the long run, if any."""

    seed: int
    psnr: float
    ssim: float
    perceptual: float | None
    psnr_long: float | None
    control_score: float
    latency_ms: float


@dataclass(frozen=True)
class Point:
    """A method at a budget over all pictures; spreads are standard deviations, latency is for one picture of a batch.

    `macs` and `share` are of one picture in the paper's convention; `lead_db` is the PSNR over that of fewer steps at
    the same budget; `each` is what the means are of.
    """

    method: str
    control: str
    sampler: str
    budget: float
    macs: int
    share: float
    pictures: int
    psnr: float
    psnr_spread: float
    ssim: float
    perceptual: float | None
    psnr_long: float | None
    control_score: float
    control_lost: float
    latency_ms: float
    speedup: float
    lead_db: float | None
    each: tuple[Shown, ...]


class Ledger:
    """What was drawn so far, a line a picture, so that a stop loses one batch; `key` names weights and device."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._known: dict[str, Shown] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
                self._known[record["key"]] = Shown(**record["shown"])
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # the line that was being written when the run was stopped

    def known(self, request: Request, plan: Plan) -> Shown | None:
        return self._known.get(self._name(request, plan))

    def add(self, request: Request, plan: Plan, shown: Shown) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write("\n" + json.dumps({"key": self._name(request, plan), "shown": asdict(shown)}))
        self._known[self._name(request, plan)] = shown

    def _name(self, request: Request, plan: Plan) -> str:
        return f"{self._key} {request.picture_digest} {plan.steps} {plan.digest}"


@on_worker
def compare(studio: Studio, setup: Setup, requests: Sequence[Request], ledger: Ledger, tell: Tell) -> list[Point]:
    """All methods on these requests, which share control, sampler and settings; one row a method and budget."""
    plans = dict(_plans(studio, setup, requests[0], tell))
    judge, rows = Judge.of(studio.loaded.preset), {name: list[Shown]() for name in plans}
    for group in _groups(requests, setup.batch):
        for name, shown in _draw(studio, judge, setup, group, plans, ledger):
            rows[name].append(shown)
        tell(f"{requests[0].control}, {requests[0].sampler}: {len(rows[FULL, 1.0])} of {len(requests)} pictures")
    return _points(studio, requests[0], plans, rows)


Name = tuple[str, float]  # a method and its budget


def _plans(studio: Studio, setup: Setup, request: Request, tell: Tell) -> Iterator[tuple[Name, Plan]]:
    anatomy = studio.anatomy()
    yield (FULL, 1.0), full(anatomy, setup.steps)
    for budget in setup.budgets:
        for method in setup.methods:
            try:
                wanted = request.model_copy(update={"method": method, "budget": budget})
                yield (method, budget), plan_of(wanted, anatomy)
            except PlanRefused as error:
                tell(f"left out: {method} at {budget:.1%} ({error})")


def _draw(
    studio: Studio,
    judge: Judge,
    setup: Setup,
    group: Sequence[Request],
    plans: Mapping[Name, Plan],
    ledger: Ledger,
) -> Iterator[tuple[Name, Shown]]:
    """One batch by every plan; the references are only drawn where something is missing."""
    references: list[list[Pixels]] = []
    call = together([studio.call(request) for request in group])
    for name, plan in plans.items():
        known = [ledger.known(request, plan) for request in group]
        if any(shown is None for shown in known):
            if not references:
                references = _references(studio, setup, group[0], plans[FULL, 1.0], call)
            images, latency_ms = _run(studio, group[0], plan, call)
            known = [
                _shown(judge, request, image, [row[i] for row in references], latency_ms)
                for i, (request, image) in enumerate(zip(group, images, strict=True))
            ]
            for request, shown in zip(group, known, strict=True):
                assert shown is not None
                ledger.add(request, plan, shown)
        yield from ((name, shown) for shown in known if shown is not None)


def _references(
    studio: Studio, setup: Setup, request: Request, whole: Plan, call: Mapping[str, Any]
) -> list[list[Pixels]]:
    """The full run's pictures, which warms up as well, and those of the long run."""
    plans = [whole, *([full(studio.anatomy(), setup.long)] if setup.long else [])]
    return [_run(studio, request, plan, call)[0] for plan in plans]


def _run(studio: Studio, request: Request, plan: Plan, call: Mapping[str, Any]) -> tuple[list[Pixels], float]:
    """The pictures uint8 [H, W, 3] and the time of the whole call for one of them."""
    pipe, begun = studio.loaded.pipeline(request.control, request.sampler), perf_counter()
    with cached(pipe, plan):
        images = pipe(**{**call, "num_inference_steps": plan.steps}).images
        pixels = list((images.float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return pixels, (perf_counter() - begun) * 1e3 / len(pixels)


def _shown(judge: Judge, request: Request, image: Pixels, references: Sequence[Pixels], latency_ms: float) -> Shown:
    whole, *long = references
    alike = judge.likeness(whole, image)
    return Shown(
        seed=request.seed,
        psnr=min(alike.psnr, CEILING_DB),
        ssim=alike.ssim,
        perceptual=alike.perceptual,
        psnr_long=min(psnr(long[0], image), CEILING_DB) if long else None,
        control_score=judge.score(image, read_map(request.control_bytes), request.control),
        latency_ms=latency_ms,
    )


def _points(
    studio: Studio, request: Request, plans: Mapping[Name, Plan], rows: Mapping[Name, list[Shown]]
) -> list[Point]:
    anatomy, guided = studio.anatomy(), request.guidance > 1
    whole, first = plan_macs(plans[FULL, 1.0], anatomy, guidance=guided).paper, rows[FULL, 1.0]
    found = []
    for (method, budget), shown in rows.items():
        macs = plan_macs(plans[method, budget], anatomy, guidance=guided).paper
        rival = rows.get(("fewer_steps", budget))
        mean = fmean(one.psnr for one in shown)
        distances = [one.perceptual for one in shown if one.perceptual is not None]
        longs = [one.psnr_long for one in shown if one.psnr_long is not None]
        scores = [(one.control_score, own.control_score) for one, own in zip(shown, first, strict=True)]
        judged = [(score, own) for score, own in scores if isfinite(score) and isfinite(own)]
        found.append(
            Point(
                method=method,
                control=request.control,
                sampler=request.sampler,
                budget=budget,
                macs=macs,
                share=macs / whole,
                pictures=len(shown),
                psnr=mean,
                psnr_spread=pstdev(one.psnr for one in shown),
                ssim=fmean(one.ssim for one in shown),
                perceptual=fmean(distances) if distances else None,
                psnr_long=fmean(longs) if longs else None,
                control_score=fmean(score for score, _ in judged) if judged else 0.0,
                control_lost=1 - sum(s for s, _ in judged) / max(sum(own for _, own in judged), 1e-9)
                if judged
                else 0.0,
                latency_ms=median(one.latency_ms for one in shown),
                speedup=median(own.latency_ms / one.latency_ms for own, one in zip(first, shown, strict=True)),
                lead_db=mean - fmean(one.psnr for one in rival) if rival else None,
                each=tuple(shown),
            )
        )
    return found


def _groups(requests: Iterable[Request], size: int) -> Iterator[list[Request]]:
    left = iter(requests)
    while group := list(islice(left, size)):
        yield group


def charted(points: Sequence[Point]) -> list[charts.Point]:
    """Every picture of every point but the full run's, for the chart of cost against fidelity."""
    return [
        charts.Point(
            series=METHODS[point.method].title,
            place=f"{point.budget:.1%}",
            key=f"seed {one.seed}",
            share=point.share,
            macs=point.macs,
            latency_ms=one.latency_ms,
            psnr=one.psnr,
            ssim=one.ssim,
            perceptual=nan if one.perceptual is None else one.perceptual,
            control_score=one.control_score,
            rival=point.method == "fewer_steps",
        )
        for point in points
        if point.method != FULL
        for one in point.each
    ]


def as_text(points: Sequence[Point], measured_on: str) -> str:
    head = (
        f"{'control':<14}{'sampler':<9}{'budget':>7}  {'method':<20}{'share':>7}{'PSNR':>7}{'±':>6}{'lead':>7}"
        f"{'SSIM':>8}{'perceptual':>12}{'to long':>9}{'control':>9}{'lost':>8}{'ms':>7}{'times':>7}"
    )
    lines = [head]
    for p in sorted(points, key=lambda p: (p.control, p.sampler, -p.budget, -p.psnr)):
        lead = "" if p.lead_db is None else f"{p.lead_db:+.1f}"
        seen = "" if p.perceptual is None else f"{p.perceptual:.4f}"
        long = "" if p.psnr_long is None else f"{p.psnr_long:.1f}"
        lines.append(
            f"{p.control:<14}{p.sampler:<9}{p.budget:>7.1%}  {p.method:<20}{p.share:>7.1%}{p.psnr:>7.1f}"
            f"{p.psnr_spread:>6.1f}{lead:>7}{p.ssim:>8.4f}{seen:>12}{long:>9}{p.control_score:>9.3f}{p.control_lost:>8.2%}"
            f"{p.latency_ms:>7.0f}{p.speedup:>7.2f}"
        )
    return "\n".join([*lines, measured_on])


def as_json(points: Sequence[Point], measured_on: str) -> str:
    return json.dumps({"measured_on": measured_on, "points": [asdict(point) for point in points]}, indent=1)
