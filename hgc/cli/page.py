"""`hgc bench page`: what a visitor waits for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.options import AsJson
from hgc.cli.refusals import in_one_line


@in_one_line
def page(
    browser: Annotated[Path, typer.Option(help="A Chromium to drive.")] = Path("/usr/bin/chromium"),
    as_json: AsJson = False,
) -> None:
    """Page weight, first paint, and click to first preview and final pictures, in a real browser on a fresh server."""
    from hgc.bench import page as visits

    found = visits.measure_visit(browser)
    typer.echo(json.dumps(visits.as_json(found)) if as_json else visits.as_text(found))
