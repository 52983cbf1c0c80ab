"""`hgc run`: a request as it was written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hgc import limits
from hgc.cli.files import read_text
from hgc.cli.options import AsJson, Device, Dtype, Graphs
from hgc.cli.refusals import in_one_line
from hgc.cli.results import finished, told, write
from hgc.request import Request
from hgc.results.figures import result_of
from hgc.studio.studio import Studio
from hgc.whole import check_place


@in_one_line
def run(
    request: Annotated[Path, typer.Argument(help="A request.json, as `compare` writes it and the API takes it.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, the request and the trace.")],
    device: Device = None,
    dtype: Dtype = None,
    graphs: Graphs = False,
    as_json: AsJson = False,
) -> None:
    """Run a request that was written down, and say what the cache did."""
    check_place(out, folder=True)
    parsed = Request.parse(read_text(request, limits.REQUEST_BYTES, "a request.json"))
    studio = Studio.load(parsed.model, device, dtype)
    studio.record_steps(graphs)
    comparison = finished(studio, parsed, quiet=as_json)
    write(comparison, out)
    typer.echo(json.dumps(result_of(comparison)) if as_json else told(comparison, comparison.notes))
