"""`hgc calibrate`: how fast each layer of a model changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgc.calibration.subject import Subject
from hgc.cli.options import Control, Device, Dtype, Guidance, Model, SamplerName, Steps
from hgc.cli.refusals import in_one_line
from hgc.models.presets import GUIDANCE
from hgc.request import RequestRefused
from hgc.studio.calibrating import Measured, calibrating, state_beside
from hgc.studio.studio import Studio
from hgc.whole import check_place


@in_one_line
def calibrate(
    out: Annotated[Path, typer.Option(help="The curves' JSON; the adjustment's numbers go beside it as .npz.")],
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: SamplerName = "ddim",
    steps: Steps = 20,
    guidance: Guidance = GUIDANCE,
    scenes: Annotated[int, typer.Option(help="How many scenes, each with prompt, map and seed of its own.")] = 32,
    longest: Annotated[int, typer.Option(help="How many steps old a kept value may be to be adjusted.")] = 4,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Measure how fast each layer changes, and how a kept value is best adjusted; stopped, it goes on where it was."""
    if scenes < 1 or longest < 1:
        raise RequestRefused(f"--scenes {scenes} and --longest {longest}: both at least 1")
    check_place(out)
    studio = Studio.load(model, device, dtype)
    subject = Subject(model, control, sampler, steps, guidance)
    for news in calibrating(studio, subject, scenes, out, longest=longest):
        if isinstance(news, Measured):
            typer.echo(f"scene {news.done}/{news.wanted}", err=True)
        else:
            typer.echo(f"{out}: change of {len(news.curves.mean)} sites over {news.curves.scenes} scenes, {subject}")
    state_beside(out).unlink()
