"""`hgc bench fidelity`: the paper's table on a data set of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hgc.bench import fidelity as table
from hgc.bench.setup import BenchRefused
from hgc.cli.options import AsJson, Count, Device, Dtype, Model, Where
from hgc.cli.refusals import in_one_line
from hgc.cli.studios import studio_on
from hgc.spread.on import HERE, On


@in_one_line
def fidelity(
    data: Annotated[
        Path, typer.Option(help="A folder laid out like ADE20K, COCO-Stuff or MultiGen-20M, or saved by `datasets`.")
    ],
    task: Annotated[str, typer.Option(help="segmentation, depth or edges.")],
    model: Model = "sd15",
    out: Annotated[Path, typer.Option(help="Folder for results; a stopped run continues there.")] = Path(
        "runs/fidelity"
    ),
    method: Annotated[list[str] | None, typer.Option(help="Compare these only.")] = None,
    sampler: Annotated[list[str] | None, typer.Option(help="unipc and ddim by default.")] = None,
    budget: Annotated[
        float, typer.Option(help="Share of full compute; a method that needs more takes its least.")
    ] = 0.368,
    size: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = 512,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 20,
    guidance: Annotated[float, typer.Option(help="How strictly the picture follows the prompt.")] = 7.5,
    limit: Annotated[int | None, typer.Option(help="Only the first so many pictures, by name.")] = None,
    shard: Annotated[str, typer.Option(help="Only this part of the pictures, such as 1/4.")] = "1/1",
    device: Device = None,
    dtype: Dtype = None,
    on: Where = HERE,
    count: Count = None,
    as_json: AsJson = False,
) -> None:
    """Measure MACs, time, control score, FID and CLIP score of every method on your pictures."""
    setting = table.FidelitySetting(
        data=data,
        task=task,
        out=out,
        model=model,
        methods=tuple(method or table.COMPARED),
        samplers=tuple(sampler or table.SAMPLERS),
        budget=budget,
        size=size,
        steps=steps,
        guidance=guidance,
        limit=limit,
        shard=_parts(shard),
    )
    with studio_on(On.read(on, count), model, device, dtype) as studio:
        measured = table.fidelity(studio, setting, tell=lambda news: typer.echo(news, err=True))
    typer.echo(json.dumps(table.data(measured)) if as_json else table.text(measured))


def _parts(text: str) -> tuple[int, int]:
    part, sign, parts = text.partition("/")
    if not (sign and part.isascii() and part.isdigit() and parts.isascii() and parts.isdigit()):
        raise BenchRefused(f"--shard {text[:20]!r}: write it as 1/4, the first of four parts")
    return int(part), int(parts)
