"""A comparison in the shell: run, told, written to a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from math import isnan
from pathlib import Path

import typer

from hgc.request import Request
from hgc.results.comparison import Comparison, Likeness, Progress
from hgc.results.exports import EXPORTS
from hgc.results.opened import Opened
from hgc.results.records import signed
from hgc.studio.studio import Studio
from hgc.whole import write_folder


def finished(studio: Studio, request: Request, quiet: bool) -> Comparison:
    """The comparison, with its progress told on a terminal."""
    for news in studio.compare(request):
        if isinstance(news, Comparison):
            return news
        if not quiet and sys.stderr.isatty():
            _tell(news)
    raise AssertionError("a comparison ends with its result")


def _tell(news: Progress) -> None:
    typer.echo(f"\r{news.arm:>6}: step {news.step}/{news.steps}", nl=news.step == news.steps, err=True)


def write(comparison: Comparison, out: Path, charts: bool = False) -> None:
    """Writes everything once the run is over; a new folder appears with all of it or not at all."""
    files = {
        "control.png": comparison.request.control_bytes,
        **{f"{name}.png": signed(comparison, name) for name in comparison.arms},
        **{
            name: export(Opened.of(comparison)).encode()
            for name, export in EXPORTS.items()
            if charts or name != "charts.html"
        },
        "request.json": comparison.request.model_dump_json(indent=1).encode(),
    }
    write_folder(out, files)


def _scores(comparison: Comparison) -> str:
    full, kept, judge = comparison.full.control_score, comparison.cached.control_score, comparison.made.judge
    if isnan(full) and isnan(kept):
        return "not scored"
    return f"full {_score(full)}, cached {_score(kept)}{f' ({judge})' if judge else ''}"


def _score(score: float) -> str:
    return "not scored" if isnan(score) else f"{score:.3f}"


def told(comparison: Comparison, notes: Iterable[str] = ()) -> str:
    """A few lines on what the cache did."""
    f = comparison.figures()
    lines = [
        f"plan {f['plan']}: {f['macs_ratio']:.1%} of the MACs ({f['macs_cached'] / 1e9:.1f} of "
        f"{f['macs_full'] / 1e9:.1f} G, convolutions and linear layers)",
        f"{f['latency_ms_cached']:.0f} ms instead of {f['latency_ms_full']:.0f} ms, {f['speedup']:.2f} times as fast,"
        f" on {f['device']} in {f['dtype']}: {f['steps']} steps, {f['sampler']}, seed {f['seed']}",
        f"likeness: {_alike(comparison.likeness['cached'])}",
        f"{comparison.score_name}: {_scores(comparison)}",
        f"cross-attention: {f['attention_hits']} hits, {f['attention_misses']} computed",
    ]
    if comparison.rival is not None:
        lines.append(
            f"rival at the same cost, {f['plan_rival']}: {f['macs_rival'] / 1e9:.1f} G MACs, "
            f"{f['latency_ms_rival']:.0f} ms, {_alike(comparison.likeness['rival'])}, "
            f"{comparison.score_name} {_score(comparison.rival.control_score)}"
        )
    if f["nothing_reused"]:
        lines.append("the cache did nothing: it kept no value that depends on the step")
    return "\n".join([*lines, *notes])


def _alike(likeness: Likeness) -> str:
    perceptual = "" if likeness.perceptual is None else f", perceptual difference {likeness.perceptual:.4f}"
    return f"PSNR {likeness.psnr:.1f} dB, SSIM {likeness.ssim:.4f}{perceptual}"
