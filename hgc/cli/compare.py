"""`hgc compare, run, methods`: one picture in full and cached, and the methods for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hgc import limits
from hgc.cli.files import read_text
from hgc.cli.options import (
    Ahead,
    AsJson,
    AtLeast,
    AtMost,
    Budget,
    ByNetworks,
    Compile,
    Device,
    Dtype,
    Graphs,
    Image,
    MethodName,
    PlanName,
    asks_for_recipe,
    chosen,
)
from hgc.cli.pictures import map_of, read_image, read_pictures
from hgc.cli.refusals import in_one_line
from hgc.cli.results import finished, told, write
from hgc.control.reading import Reading
from hgc.planning.in_time import InTime
from hgc.planning.methods import DEFAULT_METHOD, METHODS
from hgc.planning.quality import Solution
from hgc.request import Recipe, Request
from hgc.results.exports import result_of
from hgc.studio.studio import Studio
from hgc.unwritable import check_place


@in_one_line
@asks_for_recipe
def compare(
    out: Annotated[
        Path, typer.Option(help="Folder for the pictures, the request, and the trace as JSON, CSV and for Perfetto.")
    ],
    recipe: dict[str, Any],
    image: Image = None,
    plan: PlanName = "paper",
    method: MethodName = DEFAULT_METHOD,
    budget: Budget = None,
    at_least: AtLeast = None,
    at_most_ms: AtMost = None,
    annotator: Annotated[str | None, typer.Option(help="How to turn a photo into a control map, e.g. canny.")] = None,
    framing: Annotated[
        str, typer.Option(help="For a picture of another shape: crop, fit (with empty bars), or fill (stretch).")
    ] = "crop",
    position: Annotated[float, typer.Option(help="Position of the crop: 0 is left or top, 1 right or bottom.")] = 0.5,
    low: Annotated[int | None, typer.Option(help="Canny's low threshold; by default the model's own.")] = None,
    high: Annotated[int | None, typer.Option(help="Canny's high threshold; by default the model's own.")] = None,
    resolution: Annotated[
        int, typer.Option(help="Shorter side of the photo for the annotator, in pixels; 0 keeps its size.")
    ] = 0,
    charts: Annotated[
        bool, typer.Option("--charts", help="Also write charts.html: the charts of the run in one file.")
    ] = False,
    device: Device = None,
    dtype: Dtype = None,
    graphs: Graphs = False,
    compile: Compile = False,
    packages: Ahead = None,
    judge: ByNetworks = None,
    as_json: AsJson = False,
) -> None:
    """Make the same picture in full and cached, and say what the cache did."""
    check_place(out, folder=True)
    how = {"framing": framing, "position": position, "low_threshold": low, "high_threshold": high}
    how["resolution_px"] = resolution
    reading, picture = Reading.parse(how), read_image(image, recipe)
    studio = _studio(recipe["model"], device, dtype, judge)
    studio.record_steps(graphs, compile=compile, packages=packages)
    asked = Recipe.parse(read_pictures(recipe, studio, reading) | chosen(plan, method, budget, at_least, at_most_ms))
    asked, notes = _within_target(studio, asked, at_most_ms)
    prepared = map_of(picture, studio, asked, annotator, reading)
    comparison = finished(studio, asked.with_map(prepared.png), quiet=as_json)
    write(comparison, out, charts)
    notes += prepared.notes
    typer.echo(json.dumps(result_of(comparison, notes)) if as_json else told(comparison, [*notes, *comparison.notes]))


def _within_target(studio: Studio, asked: Recipe, at_most_ms: float | None) -> tuple[Recipe, list[str]]:
    """The recipe at the budget for its target of quality or of time, and that in words; as it is without a target."""
    if at_most_ms is None and asked.at_least is None:
        return asked, []
    solved: Solution | InTime
    if at_most_ms is not None:
        typer.echo("Timing a few steps on this device …", err=True)
        solved = studio.in_time(asked, at_most_ms)
    else:
        solved = studio.solution(asked)
    return asked.but(budget=solved.budget), [solved.sentence]


@in_one_line
def run(
    request: Annotated[Path, typer.Argument(help="A request.json, as `compare` writes it and the API takes it.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, the request and the trace.")],
    device: Device = None,
    dtype: Dtype = None,
    graphs: Graphs = False,
    compile: Compile = False,
    packages: Ahead = None,
    judge: ByNetworks = None,
    as_json: AsJson = False,
) -> None:
    """Run a request from a file, and say what the cache did."""
    check_place(out, folder=True)
    parsed = Request.parse(read_text(request, limits.REQUEST_BYTES, "a request.json"))
    studio = _studio(parsed.model, device, dtype, judge)
    studio.record_steps(graphs, compile=compile, packages=packages)
    comparison = finished(studio, parsed, quiet=as_json)
    write(comparison, out)
    typer.echo(json.dumps(result_of(comparison)) if as_json else told(comparison, comparison.notes))


def _studio(model: str, device: str | None, dtype: str | None, judge: bool | None) -> Studio:
    studio = Studio.load(model, device, dtype)
    if judge is not None:
        studio.judge_by_networks(judge)
    return studio


def list_methods(as_json: AsJson = False) -> None:
    """List the methods for --method and --rival, with a reason for each."""
    table = [{"name": known.name, "title": known.title, "reason": known.reason} for known in METHODS.values()]
    text = "\n".join(f"{row['name']:<21}{row['title']}: {row['reason']}" for row in table)
    typer.echo(json.dumps(table) if as_json else text)
