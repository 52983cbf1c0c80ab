"""`hgc record`: the run that the page shows until somebody makes their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.options import Device, Dtype, Model, PlanName, Steps
from hgc.cli.refusals import in_one_line
from hgc.cli.requests import chosen
from hgc.cli.results import finished, told
from hgc.history import OPENING, write_archive
from hgc.landscapes import examples
from hgc.request import Request, RequestRefused
from hgc.results.records import record_of
from hgc.studio.studio import Studio
from hgc.whole import check_place, write_whole


@in_one_line
def record(
    out: Annotated[Path, typer.Option(help="The zip to write; by default the one the page opens with.")] = OPENING,
    example: Annotated[str | None, typer.Option(help="Title of an example; the first one by default.")] = None,
    plan: PlanName = "paper",
    rival: Annotated[str, typer.Option(help="Method of the third picture.")] = "fewer_steps",
    steps: Steps = 20,
    model: Model = "landscapes",
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Make an example's pictures and keep them as a recording that can be shown without a model."""
    listed = {one.title.casefold(): one for one in examples.gallery()}
    title = (example or next(iter(listed))).casefold()
    if title not in listed:
        raise RequestRefused(
            f"unknown example '{example}'; known are {', '.join(one.title for one in listed.values())}"
        )
    check_place(out)
    shown = listed[title]
    studio = Studio.load(model, device, dtype)
    request = Request.make(
        studio.prepare_control(shown.pixels, shown.control).png,
        model=model,
        control=shown.control,
        prompt=shown.prompt,
        seed=shown.seed,
        steps=steps,
        rival=rival,
        **chosen(plan),
    )
    comparison = finished(studio, request, quiet=False)
    data = write_archive([record_of(comparison)])
    write_whole(out, data)
    typer.echo(f"{told(comparison)}\n{out}: {len(data) / 1000:.0f} kB")
