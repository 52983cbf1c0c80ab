"""`hgc calibrate`: how fast each layer of a model changes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hgc.cli.options import Control, Device, Dtype, Guidance, Model, SamplerName, Steps
from hgc.cli.refusals import in_one_line
from hgc.cli.requests import painted
from hgc.request import RequestRefused
from hgc.service import Studio

CALIBRATION_SEEDS = 700_000  # apart from what was trained on and from what is evaluated


@in_one_line
def calibrate(
    out: Annotated[Path, typer.Option(help="The curves' JSON; the adjustment's numbers go beside it as .npz.")],
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: SamplerName = "ddim",
    steps: Steps = 20,
    guidance: Guidance = 4.0,
    scenes: Annotated[int, typer.Option(help="How many scenes, each with prompt, map and seed of its own.")] = 32,
    longest: Annotated[int, typer.Option(help="How many steps old a kept value may be to be adjusted.")] = 4,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Measure how fast each layer changes, and how a kept value is best adjusted; stopped, it goes on where it was."""
    from hgc.cache.calibrate import calibrate as run_calibration
    from hgc.cache.curves import Subject

    if scenes < 1 or longest < 1:
        raise RequestRefused(f"--scenes {scenes} and --longest {longest}: both at least 1")
    studio = Studio.load(model, device, dtype)
    subject = Subject(model, control, sampler, steps, guidance)

    def scene(number: int) -> dict[str, Any]:
        return studio.call(painted(studio, CALIBRATION_SEEDS + number, asdict(subject)))

    def told(done: int, wanted: int) -> None:
        typer.echo(f"scene {done}/{wanted}", err=True)

    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.with_name(out.name + ".unfinished.npz")
    pipe = studio.loaded.pipeline(control, sampler)
    found = run_calibration(pipe, scene, subject, scenes=scenes, state=state, longest=longest, told=told)
    found.write(out)
    state.unlink()
    typer.echo(f"{out}: change of {len(found.curves.mean)} sites over {found.curves.scenes} scenes, {subject}")
