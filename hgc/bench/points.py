"""The pictures of a benchmark, a line each in a file, and as a table: a row a method and budget, points of a chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import nan
from pathlib import Path
from statistics import fmean, median, pstdev

from hgc.bench.drawn import lost
from hgc.bench.intervals import Interval, interval
from hgc.bench.table import text_table
from hgc.cache.anatomy import Macs
from hgc.cache.plan import Plan
from hgc.charts import pareto as charts
from hgc.judges import ERRORS
from hgc.ledger import append_line, lines_of
from hgc.metrics import pooled_miou
from hgc.planning.methods import METHODS
from hgc.request import Request

FULL = "full"
# Rows of the null band: full pictures that differ from the full run's by noise or number of steps.
OTHER_SEED = "other seed"
NULL_STEPS = (50, 200)
# HGC's two caches, and their rows where each is alone.
HGC_PARTS = {"coarse": "hgc coarse", "fine": "hgc fine"}


def in_steps(steps: int) -> str:
    """The null band's row of a full run in so many steps."""
    return f"{steps} steps"


@dataclass(frozen=True)
class PlanPicture:
    """One picture by one plan. Likeness is to the full run's picture; `psnr_long` to that of the long run, if any.

    `overlaps` are the pixels of each class shared with the label map and in either, empty under edges. `latency_ms` is
    the part of one picture in the pipeline's whole call, in which `together` pictures were drawn, by so many `threads`.
    """

    seed: int
    psnr: float
    ssim: float
    perceptual: float | None
    psnr_long: float | None
    control_score: float
    overlaps: Mapping[str, tuple[int, int]]
    latency_ms: float
    together: int
    threads: int


class Ledger:
    """Pictures by what determines them; `key` names weights, device and the long run."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._known: dict[str, PlanPicture] = {}
        for record in lines_of(path):
            with suppress(KeyError, TypeError):
                self._known[record["key"]] = PlanPicture(**record["shown"])

    def known(self, request: Request, plan: Plan, together: int) -> PlanPicture | None:
        """The picture as drawn with so many in one call."""
        return self._known.get(self._name(request, plan, together))

    def add(self, request: Request, plan: Plan, shown: PlanPicture) -> None:
        name = self._name(request, plan, shown.together)
        append_line(self._path, {"key": name, "shown": asdict(shown)})
        self._known[name] = shown

    def _name(self, request: Request, plan: Plan, together: int) -> str:
        return f"{self._key} {request.picture_digest} {plan.steps} {plan.digest} {together}"


@dataclass(frozen=True)
class MethodPoint:
    """A method at a budget over all pictures.

    MACs are of one picture, `share` in the paper's convention; likeness is a mean, the spread a standard deviation.
    `control_score` is of all pictures' pixels under label maps and else a mean, `control_lost` the part of the full
    run's that is missing, of an error the part that has come, `lead_db` the PSNR over that of fewer steps at the
    same budget. `psnr_interval` and `lead_interval` are the 95% confidence intervals of these means, the second one
    paired by picture. Times are medians of one picture's part and of full over own: `alone` of those drawn one in a
    call, the others of those drawn together. `each` is what all this is of.
    """

    method: str
    control: str
    sampler: str
    budget: float
    macs_paper: int
    macs_full: int
    share: float
    pictures: int
    psnr: float
    psnr_spread: float
    psnr_interval: Interval | None
    ssim: float
    perceptual: float | None
    psnr_long: float | None
    control_score: float
    control_lost: float
    lead_db: float | None
    lead_interval: Interval | None
    alone_ms: float | None
    alone_speedup: float | None
    together_ms: float | None
    together_speedup: float | None
    each: tuple[PlanPicture, ...]


@dataclass(frozen=True)
class Rows:
    """The pictures of one method at one budget, in the order of the full run's; of the null band the first of them."""

    method: str
    budget: float
    macs: Macs
    shown: Sequence[PlanPicture]


def points(control: str, sampler: str, rows: Sequence[Rows]) -> list[MethodPoint]:
    """One point for each; the first are the full run's."""
    fewer = {row.budget: row for row in rows if row.method == "fewer_steps"}
    return [_point(control, sampler, row, rows[0], fewer.get(row.budget)) for row in rows]


def _point(control: str, sampler: str, own: Rows, whole: Rows, fewer: Rows | None) -> MethodPoint:
    whole = replace(whole, shown=whole.shown[: len(own.shown)])  # the null band is of the first pictures
    leads = None if fewer is None else [a.psnr - b.psnr for a, b in zip(own.shown, fewer.shown, strict=True)]
    score, whole_score = _followed(own.shown), _followed(whole.shown)
    gone = lost(score, whole_score, control not in ERRORS)
    alone_ms, alone_speedup = _times(own, whole, alone=True)
    together_ms, together_speedup = _times(own, whole, alone=False)
    return MethodPoint(
        method=own.method,
        control=control,
        sampler=sampler,
        budget=own.budget,
        macs_paper=own.macs.paper,
        macs_full=own.macs.full,
        share=own.macs.paper / whole.macs.paper,
        pictures=len(own.shown),
        psnr=fmean(one.psnr for one in own.shown),
        psnr_spread=pstdev(one.psnr for one in own.shown),
        psnr_interval=interval([one.psnr for one in own.shown]),
        ssim=fmean(one.ssim for one in own.shown),
        perceptual=_mean([one.perceptual for one in own.shown]),
        psnr_long=_mean([one.psnr_long for one in own.shown]),
        control_score=score,
        control_lost=nan if gone is None else gone,
        lead_db=None if leads is None else fmean(leads),
        lead_interval=None if leads is None else interval(leads),
        alone_ms=alone_ms,
        alone_speedup=alone_speedup,
        together_ms=together_ms,
        together_speedup=together_speedup,
        each=tuple(own.shown),
    )


def _followed(shown: Sequence[PlanPicture]) -> float:
    """mIoU over the pixels of all pictures under label maps, else the mean score; NaN where nothing can be said."""
    if any(one.overlaps for one in shown):
        return pooled_miou(one.overlaps for one in shown)
    return fmean(one.control_score for one in shown)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _times(own: Rows, whole: Rows, *, alone: bool) -> tuple[float | None, float | None]:
    pairs = [
        (one.latency_ms, full.latency_ms)
        for one, full in zip(own.shown, whole.shown, strict=True)
        if (one.together == 1) == alone
    ]
    return (median(ms for ms, _ in pairs), median(full / ms for ms, full in pairs)) if pairs else (None, None)


def charted(points: Sequence[MethodPoint]) -> list[charts.Point]:
    """Every picture of every method's points, for the chart of cost against fidelity."""
    return [
        charts.Point(
            series=METHODS[point.method].title,
            place=f"{point.budget:.1%}",
            key=f"seed {one.seed}",
            share=point.share,
            macs=point.macs_paper,
            latency_ms=one.latency_ms,
            psnr=one.psnr,
            ssim=one.ssim,
            perceptual=nan if one.perceptual is None else one.perceptual,
            control_score=one.control_score,
            rival=point.method == "fewer_steps",
        )
        for point in points
        if point.method in METHODS
        for one in point.each
    ]


def text(points: Sequence[MethodPoint], measured_on: str) -> str:
    """Sorted by control, sampler, budget and PSNR; "alone" and "together" are times as fast as full compute."""
    ordered = sorted(points, key=lambda p: (p.control, p.sampler, -p.budget, -p.psnr))
    return f"{text_table(ordered, COLUMNS, words=3)}\n{measured_on}"


def _text(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _between(values: Interval | None, form: str) -> str:
    return "–" if values is None else " to ".join(format(value, form) for value in values)


COLUMNS: tuple[tuple[str, Callable[[MethodPoint], str]], ...] = (
    ("control", lambda p: p.control),
    ("sampler", lambda p: p.sampler),
    ("method", lambda p: p.method),
    ("budget", lambda p: f"{p.budget:.1%}"),
    ("G MACs, paper", lambda p: f"{p.macs_paper / 1e9:.1f}"),
    ("full", lambda p: f"{p.macs_full / 1e9:.1f}"),
    ("share", lambda p: f"{p.share:.1%}"),
    ("PSNR", lambda p: f"{p.psnr:.1f}"),
    ("±", lambda p: f"{p.psnr_spread:.1f}"),
    ("95% of the mean", lambda p: _between(p.psnr_interval, ".1f")),
    ("lead", lambda p: _text(p.lead_db, "+.1f")),
    ("95% of the lead", lambda p: _between(p.lead_interval, "+.1f")),
    ("SSIM", lambda p: f"{p.ssim:.4f}"),
    ("perceptual", lambda p: _text(p.perceptual, ".4f")),
    ("to long", lambda p: _text(p.psnr_long, ".1f")),
    ("control score", lambda p: f"{p.control_score:.3f}"),
    ("lost", lambda p: f"{p.control_lost:.2%}"),
    ("ms alone", lambda p: _text(p.alone_ms, ".0f")),
    ("times", lambda p: _text(p.alone_speedup, ".2f")),
    ("ms together", lambda p: _text(p.together_ms, ".0f")),
    ("times", lambda p: _text(p.together_speedup, ".2f")),
)
