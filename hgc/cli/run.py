"""`hgc run`: a request as it was written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.options import AsJson, Device, Dtype
from hgc.cli.refusals import in_one_line
from hgc.cli.results import finished, told, write
from hgc.request import Request, RequestRefused
from hgc.results.figures import result_of
from hgc.studio.studio import Studio


@in_one_line
def run(
    request: Annotated[Path, typer.Argument(help="A request.json, as `compare` writes it and the API takes it.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, the request and the trace.")],
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Run a request that was written down, and say what the cache did."""
    if out.exists() and not out.is_dir():
        raise RequestRefused(f"--out {out} is a file; name a folder")
    try:
        parsed = Request.parse(request.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise RequestRefused(f"request {request}: {reason}; give the path of a request.json") from error
    comparison = finished(Studio.load(parsed.model, device, dtype), parsed, quiet=as_json)
    write(comparison, out)
    typer.echo(json.dumps(result_of(comparison)) if as_json else told(comparison, comparison.notes))
