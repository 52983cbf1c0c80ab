"""`hgc bench paper, speed, peers, sd15, page, film, hostile, soak, workers, diffusers`: figures anyone can repeat."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated

import typer

from hgc.bench import page as visits
from hgc.bench import paper as counts
from hgc.bench import peers as published
from hgc.bench import sd15 as table
from hgc.bench import speed as timing
from hgc.bench import workers as team
from hgc.bench.film import film as filmed
from hgc.bench.hostile import attacks
from hgc.bench.hostile_commands import loaded_once
from hgc.bench.hostile_inputs import InputDraw
from hgc.bench.server import served
from hgc.bench.shapes import FAMILIES
from hgc.bench.soak import Visitors
from hgc.bench.their_tests import run_both
from hgc.cache.schedules import DeepCache
from hgc.cli.options import (
    AsJson,
    Control,
    Device,
    Dtype,
    MethodName,
    Model,
    PlanName,
    SamplerName,
    Steps,
    Where,
    chosen,
)
from hgc.cli.refusals import in_one_line
from hgc.planning.methods import DEFAULT_METHOD, METHODS
from hgc.request import RequestRefused
from hgc.spread.here import place_of
from hgc.spread.on import COUNT, RAY, On
from hgc.studio.scenes import painted
from hgc.studio.studio import Studio

DUELS = published.PeerSettings()


@in_one_line
def paper(
    shapes: Annotated[str, typer.Option(help="sd15, or sdxl: alone, with a ControlNet and with a Union.")] = "sd15",
    as_json: AsJson = False,
) -> None:
    """Count the papers' MACs on the shapes of SD 1.5 with ControlNet, or on SDXL's."""
    if shapes not in FAMILIES:
        raise RequestRefused(f"unknown shapes '{shapes[:40]}'; known are {', '.join(FAMILIES)}")
    table = counts.rows() if shapes == "sd15" else counts.sdxl_rows()
    shown = counts.text(table) if shapes == "sd15" else counts.sdxl_text(table)
    typer.echo(json.dumps([asdict(row) for row in table]) if as_json else shown)


@in_one_line
def speed(
    plan: PlanName = "paper",
    method: MethodName = DEFAULT_METHOD,
    batch: Annotated[int, typer.Option(help="Pictures drawn together.")] = 1,
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: SamplerName = "ddim",
    steps: Steps = 20,
    seed: Annotated[int, typer.Option(help="Seed of the first scene and its noise.")] = 0,
    repeats: Annotated[int, typer.Option(help="How many rounds are timed, after one to warm up.")] = 5,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Time the plain pipeline, the engine and a cached plan in turn on the same scenes."""

    studio = Studio.load(model, device, dtype)
    fields = {"model": model, "control": control, "sampler": sampler, "steps": steps}
    asked = fields | chosen(plan, method)
    requests = [painted(studio, number, asked) for number in range(seed, seed + batch)]
    measured = timing.measure_speed(studio, requests, repeats, lambda told: typer.echo(told, err=True))
    typer.echo(json.dumps(asdict(measured)) if as_json else timing.text(measured))


@in_one_line
def peers(
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: SamplerName = "ddim",
    steps: Steps = 20,
    seed: Annotated[int, typer.Option(help="Seed of the scene and of the noise.")] = 0,
    interval: Annotated[int, typer.Option(help="DeepCache's N.")] = DUELS.deepcache.interval,
    branch: Annotated[int, typer.Option(help="DeepCache's branch.")] = DUELS.deepcache.branch,
    gate: Annotated[int, typer.Option(help="T-GATE's gate step.")] = DUELS.tgate.gate_step,
    repeats: Annotated[int, typer.Option(help="Rounds that are timed.")] = DUELS.repeats,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Compare our DeepCache and T-GATE with their authors' own code; `bench pareto` compares all methods."""

    published.check_installed()
    studio = Studio.load(model, device, dtype)
    request = painted(studio, seed, {"model": model, "control": control, "sampler": sampler, "steps": steps})
    methods = DeepCache(interval, branch), replace(DUELS.tgate, gate_step=gate)
    duels = published.fought(studio, request, published.PeerSettings(*methods, repeats))
    measured_on = f"{model}, {sampler}, {steps} steps, {studio.device}, {studio.dtype}, seed {seed}"
    typer.echo(json.dumps(published.data(duels)) if as_json else published.text(duels, measured_on))


@in_one_line
def sd15(
    method: Annotated[list[str] | None, typer.Option(help="Only this method; may be given several times.")] = None,
    budget: Annotated[float, typer.Option(help="Share of full compute, or a method's least.")] = 0.368,
    size: Annotated[int, typer.Option(help="Side of the picture in pixels; 512 is the paper's.")] = 512,
    steps: Steps = 20,
    repeats: Annotated[int, typer.Option(help="How many rounds are timed, after one to warm up.")] = 1,
    device: Device = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32.")] = "bfloat16",
    shapes: Annotated[str, typer.Option(help="sd15 or sdxl.")] = "sd15",
    batch: Annotated[int, typer.Option(help="Pictures drawn together.")] = 1,
    tiny: Annotated[bool, typer.Option("--tiny", help="A miniature in seconds, to try the command.")] = False,
    out: Annotated[Path | None, typer.Option(help="A file for the figures as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time every method, eager and recorded, on the shapes of SD 1.5 or SDXL with ControlNet."""

    if tiny:
        size, steps, dtype = min(size, 64), min(steps, 4), "float32"
    setting = table.TimedSetting(tuple(method or METHODS), budget, size, steps, repeats, dtype, shapes, batch, tiny)
    timed = table.timed(setting, device, tell=lambda news: typer.echo(news, err=True))
    if out is not None:
        out.write_text(json.dumps(table.data(timed), indent=1) + "\n")
    typer.echo(json.dumps(table.data(timed)) if as_json else table.text(timed))


Browser = Annotated[Path, typer.Option(help="A Chromium to drive.")]
CHROMIUM = Path("/usr/bin/chromium")


@in_one_line
def page(
    browser: Browser = CHROMIUM,
    as_json: AsJson = False,
) -> None:
    """Time how long a visitor waits for the page and for a run, in a real browser."""

    visit = visits.measure_visit(browser)
    typer.echo(json.dumps(asdict(visit)) if as_json else visits.text(visit))


@in_one_line
def film(
    out: Annotated[Path, typer.Option(help="The animated WebP to write.")],
    browser: Browser = CHROMIUM,
) -> None:
    """Film the page for the README: paint a sun, press Run, look at the pictures and the plan."""

    typer.echo(f"{out}: {filmed(out, browser) / 1000:.0f} kB")


Seed = Annotated[int, typer.Option(help="Draws the same again.")]


@in_one_line
def hostile(
    inputs: Annotated[int, typer.Option(help="How many inputs.", min=1)] = 10_000,
    minutes: Annotated[float, typer.Option(help="Stop after so many minutes.", min=0)] = 60.0,
    seed: Seed = 0,
) -> None:
    """Try hostile inputs on every endpoint, MCP tool, file format and command, on 127.0.0.1 only."""
    from hgc.__main__ import app  # which imports this file

    printed, shell = 0, loaded_once(app)
    with served(HGC_HISTORY="history.sqlite") as server:
        for report in attacks(InputDraw(seed), inputs, minutes, server, shell):
            report.seed = seed
            for fault in report.faults[printed:]:
                typer.echo(fault.text, err=True)
            printed = len(report.faults)
            if report.inputs % 100 == 0:
                typer.echo(report.line, err=True)
    typer.echo(report.text())
    if report.faults:
        raise typer.Exit(1)


@in_one_line
def soak(
    runs: Annotated[int, typer.Option(help="How many runs of 4 steps, from eight clients.", min=1)] = 1_000,
    minutes: Annotated[float, typer.Option(help="Start no run after so many minutes.", min=0)] = 120.0,
    workers: Annotated[int, typer.Option(help="So many workers on Ray; 0 uses the page's own.", min=0)] = 0,
    kill_every: Annotated[float, typer.Option(help="Kill one worker every so many seconds; 0 never.", min=0)] = 0.0,
    seed: Seed = 0,
) -> None:
    """Run eight clients that also cancel and close tabs; count wrong and hung runs and watch the memory."""

    # Ray's sockets have short names only.
    served_by = {COUNT: str(workers), "RAY_TMPDIR": gettempdir()} if workers else {}
    with served(HGC_HISTORY="history.sqlite", **served_by) as server:
        visitors = Visitors(server, runs, minutes, seed, kill_every if workers else 0.0)
        report = visitors.run(lambda news: typer.echo(news, err=True))
    typer.echo(report.text())
    if report.wrong or report.hung:
        raise typer.Exit(1)


@in_one_line
def workers(
    count: Annotated[int, typer.Option(help="Workers on Ray.", min=2)] = 2,
    on: Where = RAY,
    tasks: Annotated[int, typer.Option(help="How many empty tasks.", min=1)] = 2_000,
    pictures: Annotated[int, typer.Option(help="Pictures of a round.", min=2)] = 6,
    steps: Steps = 8,
    rounds: Annotated[int, typer.Option(help="How many rounds, each by one worker and by all.", min=1)] = 3,
    model: Model = "landscapes",
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Measure empty tasks a second, and how many times as fast several workers are as one."""

    with On.read(on, count).studio(model, device, dtype) as studio:
        figures = team.measure(studio, place_of(studio), tasks, pictures, steps, rounds)
    typer.echo(json.dumps(asdict(figures) | {"ratio": figures.ratio}) if as_json else figures.text())


@in_one_line
def diffusers(
    source: Annotated[Path, typer.Argument(help="A source tree of diffusers, with its tests.")],
    chosen: Annotated[str, typer.Option("--only", help="Run only these tests, as pytest's -k.")] = "FastTests",
) -> None:
    """Run diffusers' own tests of ControlNet pipelines, plain and under a plan that computes everything."""
    theirs = run_both(source, chosen)
    typer.echo(theirs.text())
    if theirs.differing:
        raise typer.Exit(1)
