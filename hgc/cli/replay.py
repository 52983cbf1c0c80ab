"""`hgc record, replay`: the run that the page opens with, and runs shown without a model or made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hgc.cli.files import read_file
from hgc.cli.options import AsJson, Device, Dtype, Model, PlanName, Steps, chosen
from hgc.cli.refusals import in_one_line
from hgc.cli.results import finished, told, write
from hgc.control.chunks import SIGNATURE
from hgc.evidence import read_signed
from hgc.history import OPENING, read_archive, write_archive
from hgc.history.archive import MAX_ARCHIVE_BYTES
from hgc.history.differences import settings_of
from hgc.landscapes import examples
from hgc.models.absent import absent
from hgc.refused import Refused
from hgc.request import Request, RequestRefused
from hgc.results.again import Again, Original, compared
from hgc.results.records import comparison_of, record_of
from hgc.studio.studio import Studio
from hgc.unwritable import check_place
from hgc.whole import write_whole


@in_one_line
def replay(
    file: Annotated[Path, typer.Argument(help="A zip from History or `record`, or a picture saved by HGC Studio.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures, traces and requests, one folder a run.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also make each run again and say whether it is the same.")
    ] = False,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Show recorded runs without a model. With --again, make them again and compare every pixel."""
    if out is not None:
        check_place(out, folder=True)
    data = read_file(file, MAX_ARCHIVE_BYTES, "a zip of runs or a picture")
    shown = _picture(data) if data.startswith(SIGNATURE) else _archive(data, out)
    made = _made_again(shown, device, dtype, quiet=as_json) if again else True
    if as_json:
        typer.echo(json.dumps([values for _, _, values in shown]))
    else:
        for text, original, values in shown:
            last = values["again"]["words"] if again else _absent(original.request)
            typer.echo("\n".join([text, last] if last else [text]))
    if not made:
        raise typer.Exit(2)


Shown = tuple[str, Original, dict[str, Any]]


def _picture(data: bytes) -> list[Shown]:
    signed = read_signed(data)
    request = signed.evidence.request
    text = signed.told({title: value for title, value in settings_of(request).items() if title != "Control map"})
    return [(text, Original.of_picture(signed), {"request": request.model_dump(mode="json")})]


def _archive(data: bytes, out: Path | None) -> list[Shown]:
    shown: list[Shown] = []
    for number, record in enumerate(read_archive(data), 1):
        comparison = comparison_of(record)
        if out is not None:
            write(comparison, out / f"{number:04}-{record.digest}")
        text = "\n".join([f"recorded {record.made.words}", told(comparison, comparison.notes)])
        shown.append((text, Original.of_record(record), comparison.figures()))
    return shown


def _made_again(shown: list[Shown], device: str | None, dtype: str | None, *, quiet: bool) -> bool:
    """Makes each run again and notes what came of it; False where one could not be, such as without its model."""
    studio: Studio | None = None
    whole = True
    for _, original, values in shown:
        try:
            studio = _loaded(studio, original.request, device, dtype)
            values["again"] = _told_again(compared(original, finished(studio, original.request, quiet=quiet)))
        except Refused as refusal:  # the others are made all the same
            whole = False
            words = " ".join(filter(None, [f"Not made again: {refusal}.", _absent(original.request)]))
            values["again"] = {"identical": False, "changed": [], "words": words}
    return whole


def _absent(request: Request) -> str:
    return absent(request.model, request.controls, [lora.name for lora in request.loras])


def _loaded(studio: Studio | None, request: Request, device: str | None, dtype: str | None) -> Studio:
    """The request's model, loaded once for runs that share it."""
    return studio if studio is not None and studio.model == request.model else Studio.load(request.model, device, dtype)


def _told_again(again: Again) -> dict[str, Any]:
    return {"identical": again.identical, "changed": list(again.changed), "words": again.words}


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
