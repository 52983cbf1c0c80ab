"""`hgc compare`: one picture in full and cached."""

from __future__ import annotations

import json
import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from hgc.cli.options import (
    AsJson,
    Budget,
    Control,
    Device,
    Dtype,
    Guidance,
    MethodName,
    Model,
    PlanName,
    SamplerName,
    Steps,
)
from hgc.cli.refusals import in_one_line
from hgc.cli.requests import chosen
from hgc.control.images import decode
from hgc.request import Request, RequestRefused
from hgc.service import EXPORTS, Arm, Comparison, Progress, Studio


@in_one_line
def compare(
    image: Annotated[Path, typer.Option(help="A control map or drawing; with --annotator, a photo.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the pictures, the request, and the trace as JSON, CSV and for Perfetto.")
    ],
    model: Model = "landscapes",
    control: Control = "segmentation",
    prompt: Annotated[str, typer.Option(help="What to paint.")] = "",
    negative_prompt: Annotated[str, typer.Option(help="What to avoid.")] = "",
    seed: Annotated[int, typer.Option(help="Decides the noise.")] = 0,
    steps: Steps = 20,
    sampler: SamplerName = "ddim",
    guidance: Guidance = 4.0,
    control_scale: Annotated[float, typer.Option(help="How strongly the control map pulls.")] = 1.0,
    control_start: Annotated[float, typer.Option(help="Share of the steps before the control sets in.")] = 0.0,
    control_end: Annotated[float, typer.Option(help="Share of the steps after which the control ends.")] = 1.0,
    plan: PlanName = "paper",
    method: MethodName = "hgc",
    budget: Budget = None,
    rival: Annotated[
        str | None, typer.Option(help="Also make it by this method, at the same cost; fewer_steps keeps nothing.")
    ] = None,
    annotator: Annotated[str | None, typer.Option(help="How to turn a photo into a control map, e.g. canny.")] = None,
    charts: Annotated[
        bool, typer.Option("--charts", help="Also write charts.html: the charts of the run in one file.")
    ] = False,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Make the same picture in full and cached, and say what the cache did."""
    if out.exists() and not out.is_dir():
        raise RequestRefused(f"--out {out} is a file; name a folder")
    picture = decode(image)
    studio = Studio.load(model, device, dtype)
    prepared = studio.prepare_control(picture.pixels, control, annotator)
    request = Request.make(
        prepared.png,
        model=model,
        control=control,
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        steps=steps,
        sampler=sampler,
        guidance=guidance,
        control_scale=control_scale,
        control_start=control_start,
        control_end=control_end,
        rival=rival,
        **chosen(studio, plan, steps, guidance > 1, method, budget),
    )
    comparison = _run(studio, request, quiet=as_json)
    _write(comparison, prepared.png, out, charts)
    notes = [*picture.notes, *prepared.notes, *comparison.notes]
    typer.echo(json.dumps(comparison.figures() | {"notes": notes}) if as_json else _told(comparison, notes))


def _run(studio: Studio, request: Request, quiet: bool) -> Comparison:
    for news in studio.compare(request):
        if isinstance(news, Comparison):
            return news
        if not quiet and sys.stderr.isatty():
            _tell(news)
    raise AssertionError("a comparison ends with its result")


def _tell(news: Progress) -> None:
    typer.echo(f"\r{news.arm:>6}: step {news.step}/{news.steps}", nl=news.step == news.steps, err=True)


def _write(comparison: Comparison, control_png: bytes, out: Path, charts: bool) -> None:
    """Writes everything once the run is over, each file whole or not at all."""
    files = {
        "control.png": control_png,
        **{f"{name}.png": _png(arm) for name, arm in comparison.arms.items()},
        **{name: export(comparison).encode() for name, export in EXPORTS.items() if charts or name != "charts.html"},
        "request.json": comparison.request.model_dump_json(indent=1).encode(),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        part = out / f"{name}.part"
        part.write_bytes(data)
        os.replace(part, out / name)


def _png(arm: Arm) -> bytes:
    buffer = BytesIO()
    Image.fromarray(arm.image).save(buffer, "PNG")
    return buffer.getvalue()


def _told(comparison: Comparison, notes: list[str]) -> str:
    f = comparison.figures()
    lines = [
        f"plan {f['plan']}: {f['macs_ratio']:.1%} of the MACs ({f['macs_cached'] / 1e9:.1f} of "
        f"{f['macs_full'] / 1e9:.1f} G, convolutions and linear layers)",
        f"{f['latency_ms_cached']:.0f} ms instead of {f['latency_ms_full']:.0f} ms, {f['speedup']:.2f} times as fast,"
        f" on {f['device']} in {f['dtype']}: {f['steps']} steps, {f['sampler']}, seed {f['seed']}",
        f"likeness: PSNR {comparison.psnr:.1f} dB, SSIM {comparison.ssim:.4f}",
        f"{comparison.score_name}: full {comparison.full.control_score:.3f}, "
        f"cached {comparison.cached.control_score:.3f}",
        f"cross-attention: {f['attention_hits']} hits, {f['attention_misses']} computed",
    ]
    if comparison.rival is not None:
        alike = comparison.likeness["rival"]
        lines.append(
            f"rival at the same cost, {f['plan_rival']}: {f['macs_rival'] / 1e9:.1f} G MACs, "
            f"{f['latency_ms_rival']:.0f} ms, PSNR {alike.psnr:.1f} dB, SSIM {alike.ssim:.4f}, "
            f"{comparison.score_name} {comparison.rival.control_score:.3f}"
        )
    if f["nothing_reused"]:
        lines.append("the cache did nothing: it kept no value that depends on the step")
    return "\n".join([*lines, *notes])
