"""The marked tables of README and results page, made from the figures instead of copied by hand.

python -m hgc bench tables    # after `hgc remake`: every table between its two marks is written anew
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from textwrap import fill as fill_lines
from typing import Any

from hgc.bench.intervals import interval
from hgc.bench.points import FULL, OTHER_SEED, MethodPoint, PlanPicture, in_steps
from hgc.bench.setup import CONTROLS, BenchRefused
from hgc.planning.methods import METHODS
from hgc.whole import write_whole

WIDTH = 120  # of a line of text
DOCUMENTS = ("README.md", "assets/docs/results.md")
SHARES = (0.5, 0.368, 0.2)
NAMED = {"segmentation": "label map", "edges": "edges"}
SAMPLERS = {"dpmpp": "DPM-Solver++", "unipc": "UniPC"}
MARK = re.compile(
    r"(<!-- table: (?P<name>[a-z-]+) -->\n)((?!<!-- table: ).)*?(?P<end><!-- end of table -->)", re.DOTALL
)


@dataclass(frozen=True)
class MeasuredFigures:
    """What `bench pareto` measured, in the files of one folder."""

    folder: Path

    def points(self, name: str) -> list[MethodPoint]:
        """Raises BenchRefused where the file is missing or something else."""
        path = self.folder / f"{name}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["points"]
            return [_point(entry) for entry in found]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchRefused(f"{path.name}: no figures there ({error}); make them with `hgc remake`") from error

    def find(self, name: str, method: str, budget: float = 1.0, sampler: str = "ddim") -> MethodPoint | None:
        """The point of a method within a budget; None where it has none there."""
        wanted = (method, budget, sampler)
        return next((p for p in self.points(name) if (p.method, p.budget, p.sampler) == wanted), None)

    def point(self, name: str, method: str, budget: float = 1.0, sampler: str = "ddim") -> MethodPoint:
        """The same. Raises BenchRefused where there is none."""
        if found := self.find(name, method, budget, sampler):
            return found
        raise BenchRefused(f"{name}.json: has no {method} at {budget:.1%}; make it again with `hgc remake`")


def _point(entry: Mapping[str, Any]) -> MethodPoint:
    """A point as its file has it; what older files lack is None."""
    known: dict[str, Any] = {field.name: entry.get(field.name) for field in fields(MethodPoint)}
    each = ({field.name: one.get(field.name) for field in fields(PlanPicture)} for one in entry["each"])
    return MethodPoint(**known | {"each": tuple(PlanPicture(**one) for one in each)})


def fill(document: Path, figures: MeasuredFigures) -> None:
    """Write every table of a Markdown document between its marks.

    Raises BenchRefused where a mark names no table, or a table's figures are missing.
    """
    text = document.read_text(encoding="utf-8")
    write_whole(document, filled(text, figures).encode())


def filled(text: str, figures: MeasuredFigures) -> str:
    """The text with its tables made anew. Raises BenchRefused as `fill` does."""

    def table(found: re.Match[str]) -> str:
        if (name := found["name"]) not in TABLES:
            raise BenchRefused(f"<!-- table: {name} -->: no such table; there are {', '.join(TABLES)}")
        return f"{found[1]}{TABLES[name](figures)}\n{found['end']}"

    return MARK.sub(table, text)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("|" + "|".join(cell if cell == "---" else f" {cell} " for cell in line) + "|" for line in lines)


def _wrapped(words: str) -> str:
    return fill_lines(words, WIDTH)


def _percent(share: float) -> str:
    """50%, 36.8%."""
    return f"{100 * share:.3g}%"


def _signed(value: float, form: str = ".1f") -> str:
    return format(value, f"+{form}").replace("-", "−")


def _lost(point: MethodPoint) -> str:
    return f"{round(point.control_lost, 4) + 0.0:.2%}".replace("-", "−")


def _mean(point: MethodPoint, count: int | None = None) -> float:
    """The mean PSNR in dB of the first `count` pictures."""
    return fmean(one.psnr for one in point.each[:count])


def _spread(point: MethodPoint) -> str:
    return f"{point.psnr:.1f} ± {point.psnr_spread:.1f}"


def _lead(own: MethodPoint, rival: MethodPoint, count: int | None = None) -> tuple[float, str]:
    """In dB, of the first `count` pictures that both have; and its interval, `+12.4 to +18.0`."""
    pairs = list(zip(own.each, rival.each, strict=False))[:count]
    if any(a.seed != b.seed for a, b in pairs):
        raise BenchRefused(f"{own.method} and {rival.method} are of other pictures; make both with `hgc remake`")
    leads = [a.psnr - b.psnr for a, b in pairs]
    between = interval(leads)
    return fmean(leads), "" if between is None else f"{_signed(between[0])} to {_signed(between[1])}"


def _beside(own: MethodPoint, rival: MethodPoint, count: int | None = None, *, bold: bool = False) -> str:
    """`**58.9** (+15.3; +12.4 to +18.0)`: PSNR, the lead over the rival and its interval."""
    lead, between = _lead(own, rival, count)
    words = f"{_mean(own, count):.1f}"
    return f"{f'**{words}**' if bold else words} ({_signed(lead)}; {between})"


def _summary(figures: MeasuredFigures) -> str:
    """The methods of the first table, on the scenes on which times were taken, as far as each was measured on them."""
    timed, rows = "methods-segmentation-ddim", []
    count = figures.point(timed, FULL).pictures
    for method, name in (
        ("optimised", timed),
        ("hgc", "hgc-segmentation-ddim"),
        ("block_caching", "block-caching-segmentation-ddim"),
        ("deepcache", timed),
        ("fewer_steps", timed),
    ):
        points = [figures.point(name, method, share) for share in SHARES]
        cells = [_timed(point, count, bold=method == "optimised") for point in points]
        fewer = f" ({points[0].pictures} scenes)" if points[0].pictures < count else ""
        rows.append([f"{_SUMMED.get(method, METHODS[method].title)}{fewer}", *cells])
    return _table(["method", *(f"{_percent(share)} of compute" for share in SHARES)], rows)


_SUMMED = {
    "optimised": "**Optimised** (the default: plans searched for)",
    "hgc": "HGC, our reading of the paper",
    "block_caching": "Block Caching, distilled",
    "fewer_steps": "Fewer steps, no cache",
}


def _timed(point: MethodPoint, count: int | None = None, *, bold: bool = False) -> str:
    """`59.5 dB, 2.00×`: the mean of the first `count` pictures, and how many times as fast where that was measured."""
    faster = "" if point.alone_speedup is None else f", {point.alone_speedup:.2f}×"
    words = f"{_mean(point, count):.1f} dB{faster}"
    return f"**{words}**" if bold else words


def _all_methods(figures: MeasuredFigures) -> str:
    names = [f"methods-{control}-ddim" for control in CONTROLS]
    found = {p.method for p in figures.points(names[0])} - {FULL}
    ordered = sorted(found, key=lambda method: -figures.point(names[0], method, SHARES[0]).psnr)
    rows = []
    for method in ordered:
        points = [figures.find(name, method, share) for name in names for share in SHARES]
        cells = ["–" if point is None else _timed(point, bold=method == "optimised") for point in points]
        rows.append([METHODS[method].title, *cells])
    heads = [f"{NAMED[control]}, {_percent(share)}" for control in CONTROLS for share in SHARES]
    return _table(["method", *heads], rows)


def _closeness(figures: MeasuredFigures) -> str:
    """The other measures of likeness, in a sentence for each of two methods."""
    own, rival = (figures.point("methods-segmentation-ddim", method, 0.368) for method in ("optimised", "fewer_steps"))
    return _wrapped(
        f"At 36.8% under label maps, Optimised has SSIM {own.ssim:.4f}, perceptual difference {own.perceptual:.4f}, "
        f"and loses {_lost(own)} of the control score. Fewer steps have {rival.ssim:.4f}, {rival.perceptual:.4f} and "
        f"{_lost(rival)}."
    )


def _hgc(figures: MeasuredFigures) -> str:
    rows = []
    for control in CONTROLS:
        for share in SHARES:
            own, rival = (figures.point(f"hgc-{control}-ddim", name, share) for name in ("hgc", "fewer_steps"))
            lead, between = _lead(own, rival)
            first = [_percent(share), NAMED[control], f"**{_spread(own)}**", f"{rival.psnr:.1f}"]
            rows.append([*first, f"{_signed(lead)} ({between})", _lost(own)])
    return _table(["share of full MACs (paper)", "control", "HGC", "fewer steps", "lead", "control score lost"], rows)


def _hgc_parts(figures: MeasuredFigures) -> str:
    """HGC's caches alone, with the settings of three budgets; the fine cache alone is the same plan at each."""
    points = figures.points("hgc-parts-segmentation-ddim")

    def cells(method: str) -> list[str]:
        own = sorted((p for p in points if p.method == method), key=lambda p: -p.budget)
        found = [f"{_spread(p)} dB ({p.share:.1%})" for p in own]
        return [*found, *[""] * (len(SHARES) - len(found))]

    named = {"fine alone": "hgc fine", "coarse alone": "hgc coarse", "both": "hgc"}
    rows = [[title, *cells(method)] for title, method in named.items()]
    return _table(["", *(f"settings of {_percent(share)}" for share in SHARES)], rows)


def _block_caching(figures: MeasuredFigures) -> str:
    rows = []
    for control in CONTROLS:
        for share in SHARES:
            own = figures.point(f"block-caching-{control}-ddim", "block_caching", share)
            rival = figures.point(f"optimised-{control}-ddim", "fewer_steps", share)
            lead, between = _lead(own, rival)
            first = [_percent(share), NAMED[control], f"**{_spread(own)}**", f"{own.share:.1%}"]
            rows.append([*first, f"{_mean(rival, own.pictures):.1f}", f"{_signed(lead)} ({between})", _lost(own)])
    head = ["budget", "control", "Block Caching", "its share", "fewer steps", "lead", "control score lost"]
    return _table(head, rows)


def _rivals(control: str) -> Callable[[MeasuredFigures], str]:
    def table(figures: MeasuredFigures) -> str:
        name = f"rivals-{control}-ddim"
        count = figures.point(name, FULL).pictures
        sources = dict.fromkeys({p.method for p in figures.points(name)} - {FULL}, name)
        sources["block_caching"] = f"block-caching-{control}-ddim"

        def of(method: str, share: float) -> MethodPoint:
            return figures.point(sources[method], method, share)

        rows = []
        for method in sorted(sources, key=lambda method: -_mean(of(method, 0.368), count)):
            pairs = [(of(method, share), of("fewer_steps", share)) for share in SHARES]
            if method == "fewer_steps":
                cells = [f"{own.psnr:.1f}" for own, _ in pairs]
            else:
                cells = [_beside(own, rival, count, bold=method == "optimised") for own, rival in pairs]
            rows.append([METHODS[method].title, *cells])
        return _table(["method", *map(_percent, SHARES)], rows)

    return table


def _low(figures: MeasuredFigures) -> str:
    rows = []
    for control in CONTROLS:
        for share in (0.15, 0.1):
            points = [figures.point(f"low-{control}-ddim", name, share) for name in ("optimised", "hgc", "fewer_steps")]
            own, hgc, fewer = points
            cells = [_beside(own, fewer, bold=True), _beside(hgc, fewer), f"{fewer.psnr:.1f}"]
            rows.append([_percent(share), NAMED[control], *cells])
    return _table(["share of full MACs (paper)", "control", "Optimised", "HGC", "fewer steps"], rows)


def _optimised(figures: MeasuredFigures) -> str:
    rows = []
    for control in CONTROLS:
        for share in SHARES:
            name = f"optimised-{control}-ddim"
            own, rival = (figures.point(name, method, share) for method in ("optimised", "fewer_steps"))
            first = [_percent(share), NAMED[control], f"**{_spread(own)}**", f"{rival.psnr:.1f}"]
            rows.append([*first, _signed(_lead(own, rival)[0]), _lost(own)])
    head = ["share of full MACs (paper)", "control", "Optimised", "fewer steps", "lead", "control score lost"]
    return _table(head, rows)


def _own_scores(figures: MeasuredFigures) -> str:
    """The control score lost as a mean over pictures, not over pixels, in a sentence."""
    name = "optimised-segmentation-ddim"
    whole = fmean(one.control_score for one in figures.point(name, FULL).each)
    means = [fmean(one.control_score for one in figures.point(name, "optimised", share).each) for share in SHARES]
    *first, last = (f"{1 - mean / whole:.2%}".replace("-", "−") for mean in means)
    return _wrapped(
        "Taken as the mean of every picture's own mIoU, the losses under label maps are "
        f"{', '.join(first)} and {last}: in a few pictures a class of some pixels flips, and counts there as a ninth."
    )


def _drawings(figures: MeasuredFigures) -> str:
    rows = []
    for share in SHARES:
        points = [figures.point("drawings-edges-ddim", name, share) for name in ("optimised", "hgc", "fewer_steps")]
        own, hgc, fewer = points
        rows.append([_percent(share), _beside(own, fewer, bold=True), _beside(hgc, fewer), f"{fewer.psnr:.1f}"])
    return _table(["share of full MACs (paper)", "Optimised", "HGC", "fewer steps"], rows)


def _samplers(figures: MeasuredFigures) -> str:
    rows = []
    for control in CONTROLS:
        for sampler, title in SAMPLERS.items():
            for share in SHARES:
                names = ("optimised", "hgc", "block_caching", "fewer_steps")
                *own, fewer = (figures.point(f"solvers-{control}", name, share, sampler) for name in names)
                cells = [_beside(point, fewer, bold=point is own[0]) for point in own]
                first = [NAMED[control], title] if share == SHARES[0] else ["", ""]
                rows.append([*first, _percent(share), *cells, f"{fewer.psnr:.1f}"])
    return _table(["control", "sampler", "share", "Optimised", "HGC", "Block Caching", "fewer steps"], rows)


def _carried(figures: MeasuredFigures) -> str:
    asked = {"20 steps, guidance 2: as searched for": "optimised-segmentation-ddim"}
    asked |= {f"{steps} steps": f"carried-steps-{steps}" for steps in (10, 30, 50)}
    asked |= {f"guidance {guidance}": f"carried-guidance-{guidance}" for guidance in ("1", "4", "7.5")}
    count, shares, rows = figures.point("carried-steps-10", FULL).pictures, SHARES[1:], []
    for setting, name in asked.items():
        pairs = [[figures.point(name, method, share) for method in ("optimised", "fewer_steps")] for share in shares]
        rows.append([setting, *(_beside(own, rival, count) for own, rival in pairs)])
    return _table(["setting", *map(_percent, shares)], rows)


def _half_precision(figures: MeasuredFigures) -> str:
    """What bfloat16 leaves, in a sentence."""
    name = "optimised-segmentation-bfloat16"
    own, rival = ([figures.point(name, m, share) for share in SHARES] for m in ("optimised", "fewer_steps"))
    leads = ", ".join(_signed(_lead(*pair)[0]) for pair in zip(own, rival, strict=True))
    count = own[0].pictures
    whole = [_mean(figures.point("optimised-segmentation-ddim", "optimised", share), count) for share in SHARES]
    return _wrapped(
        f"**bfloat16**, {count} scenes under label maps, beside a full run of its own: "
        f"{_listed([point.psnr for point in own])} dB ({leads}), where float32 has {_listed(whole)}."
    )


def _long_run(figures: MeasuredFigures) -> str:
    """How far all are from a run of many more steps, in a sentence."""
    name = "optimised-segmentation-long"

    def far(method: str, budget: float = 1.0) -> float:
        distance = figures.point(name, method, budget).psnr_long
        if distance is None:
            raise BenchRefused(f"{name}.json: was measured without --long; make it again with `hgc remake`")
        return distance

    own, rival = ([far(method, share) for share in SHARES] for method in ("optimised", "fewer_steps"))
    return _wrapped(
        f"**Against a run of 100 steps**, on these scenes: the full run of 20 steps has {far(FULL):.1f} dB, Optimised "
        f"{_listed(own)}, fewer steps {_listed(rival)}."
    )


def _listed(values: Sequence[float]) -> str:
    """52.6, 50.7 and 44.1."""
    *first, last = (f"{value:.1f}" for value in values)
    return f"{', '.join(first)} and {last}"


def _null(figures: MeasuredFigures) -> str:
    rows = []
    for control in CONTROLS:
        noise, short, long = (
            figures.point(f"null-{control}-ddim", name, budget)
            for name, budget in ((OTHER_SEED, 1.0), (in_steps(50), 2.5), (in_steps(200), 10.0))
        )
        hundred = figures.point("optimised-segmentation-long", FULL).psnr_long if control == "segmentation" else None
        between = "not measured" if hundred is None else f"{hundred:.1f}"
        rows.append([NAMED[control], _spread(noise), _spread(short), between, _spread(long)])
    return _table(["control", "other noise", "50 steps", "100 steps", "200 steps"], rows)


TABLES: Mapping[str, Callable[[MeasuredFigures], str]] = {
    "summary": _summary,
    "all-methods": _all_methods,
    "closeness": _closeness,
    "hgc": _hgc,
    "hgc-parts": _hgc_parts,
    "block-caching": _block_caching,
    "rivals-label-map": _rivals("segmentation"),
    "rivals-edges": _rivals("edges"),
    "low": _low,
    "optimised": _optimised,
    "own-scores": _own_scores,
    "drawings": _drawings,
    "samplers": _samplers,
    "carried": _carried,
    "half-precision": _half_precision,
    "long-run": _long_run,
    "null": _null,
}
