"""`hgc bench pareto`: what every method gives for every budget, on scenes that no plan was made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from hgc.bench import pareto as bench
from hgc.bench.album import digest
from hgc.bench.points import NULL_STEPS, Ledger, MethodPoint, charted, text
from hgc.charts.document import Chart, as_page
from hgc.charts.pareto import pareto_chart
from hgc.cli.options import Count, Device, Dtype, Guidance, Model, Steps, Where
from hgc.cli.refusals import in_one_line
from hgc.cli.studios import studio_on
from hgc.models.presets import GUIDANCE
from hgc.planning.methods import METHODS, method_of
from hgc.request import RequestRefused
from hgc.spread.on import HERE, On
from hgc.studio.scenes import examples_of, painted
from hgc.studio.studio import Studio
from hgc.training.dataset import EVALUATION_SEEDS
from hgc.unwritable import check_place
from hgc.whole import write_whole

BUDGETS = (0.2, 0.368, 0.5, 0.65)


@in_one_line
def pareto(
    scenes: Annotated[int, typer.Option(help="Painted scenes, each with a prompt and noise of its own.")] = 64,
    first_seed: Annotated[int, typer.Option(help="First seed; calibration starts at 700000.")] = EVALUATION_SEEDS,
    drawings: Annotated[bool, typer.Option(help="Also draw the examples.")] = True,
    budget: Annotated[
        list[float] | None, typer.Option(help="Share of full compute, may be given several times.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="May be given several times; all by default.")] = None,
    control: Annotated[list[str] | None, typer.Option(help="May be given several times; all by default.")] = None,
    sampler: Annotated[list[str] | None, typer.Option(help="May be given several times; ddim by default.")] = None,
    long: Annotated[int, typer.Option(help="Steps of the second reference; 0 for none.")] = 100,
    null: Annotated[
        int, typer.Option(help="Draw so many pictures with other noise and in more steps, for comparison.")
    ] = 0,
    null_steps: Annotated[
        list[int] | None, typer.Option(help="Steps of these; may be given several times, 50 and 200 by default.")
    ] = None,
    parts: Annotated[bool, typer.Option(help="Also each of HGC's two caches alone.")] = False,
    batch: Annotated[int, typer.Option(help="Pictures drawn together.")] = 4,
    alone: Annotated[int, typer.Option(help="How many pictures to draw one by one first, for the times.")] = 3,
    steps: Steps = 20,
    guidance: Guidance = GUIDANCE,
    model: Model = "landscapes",
    device: Device = None,
    dtype: Dtype = None,
    on: Where = HERE,
    count: Count = None,
    work: Annotated[Path, typer.Option(help="File for figures; a later run continues there.")] = Path(
        "runs/pareto.jsonl"
    ),
    out: Annotated[Path | None, typer.Option(help="JSON; charts in an HTML file beside it.")] = None,
) -> None:
    """Measure cost and likeness of every method. If you stop it, the next call continues."""
    if out is not None:
        check_place(out)
    methods = tuple(method_of(name).name for name in method) if method else tuple(METHODS)
    if scenes < (0 if drawings else 1):
        raise RequestRefused(f"--scenes {scenes}: choose 1 or more, or 0 for the drawings alone")
    more = tuple(null_steps or NULL_STEPS)
    setup = bench.ParetoSetup(methods, tuple(budget or BUDGETS), batch, alone, long, null, more, parts)
    with studio_on(On.read(on, count), model, device, dtype) as studio:
        key = f"{digest(Path(studio.loaded.preset.source))} {studio.device} {studio.dtype} long {long}"
        ledger, points = Ledger(work, key), list[MethodPoint]()
        for solver, kind in product(sampler or ["ddim"], control or studio.controls):
            fields = {"model": model, "control": kind, "sampler": solver, "steps": steps, "guidance": guidance}
            studio.check_control(kind)
            asked = [painted(studio, first_seed + i, fields) for i in range(scenes)]
            asked += examples_of(studio, fields) if drawings else []
            if not asked:
                typer.echo(f"left out: no drawing that comes with Studio is for {kind}", err=True)
                continue
            points += bench.compare(studio, setup, asked, ledger, lambda news: typer.echo(news, err=True))
    if not points:
        raise RequestRefused("nothing was measured: give --scenes 1 or more")
    pictures = f"{scenes} scenes of seeds from {first_seed}{', and the drawings' if drawings else ''}"
    measured_on = f"{pictures}; {steps} steps, guidance {guidance:g}, {_drawn_on(studio, setup, points)}, {model}"
    typer.echo(text(points, measured_on))
    if out is not None:
        _write(out, points, measured_on)


def _drawn_on(studio: Studio, setup: bench.ParetoSetup, points: Sequence[MethodPoint]) -> str:
    """How many were drawn together, and where, in words."""
    threads = sorted({one.threads for point in points for one in point.each})
    where = f"{studio.device}, {studio.dtype}, {' and '.join(map(str, threads))} threads"
    return f"the first {setup.alone} one in a call, the others {setup.batch} together; {where}"


def _write(out: Path, points: Sequence[MethodPoint], measured_on: str) -> None:
    groups = dict.fromkeys((point.control, point.sampler) for point in points)
    charts = [
        Chart(
            f"{control}, {sampler}",
            "Further up and further left is better; a dot is a median, the band runs from the least to the greatest.",
            pareto_chart(charted([p for p in points if (p.control, p.sampler) == (control, sampler)])),
        )
        for control, sampler in groups
    ]
    record = {"measured_on": measured_on, "points": [asdict(point) for point in points]}
    write_whole(out, json.dumps(record, indent=1).encode())
    write_whole(out.with_suffix(".html"), as_page("Cost against fidelity", measured_on, charts).encode())
