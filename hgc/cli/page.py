"""`hgc bench page, film`: what a visitor waits for, and what he sees."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.options import AsJson
from hgc.cli.refusals import in_one_line

Browser = Annotated[Path, typer.Option(help="A Chromium to drive.")]
CHROMIUM = Path("/usr/bin/chromium")


@in_one_line
def page(
    browser: Browser = CHROMIUM,
    as_json: AsJson = False,
) -> None:
    """Page weight, first paint, and click to first preview and final pictures, in a real browser on a fresh server."""
    from hgc.bench import page as visits

    visit = visits.measure_visit(browser)
    typer.echo(json.dumps(asdict(visit)) if as_json else visits.text(visit))


@in_one_line
def film(
    out: Annotated[Path, typer.Option(help="The animated WebP to write.")],
    browser: Browser = CHROMIUM,
) -> None:
    """Film the page for the README: a sun is painted, Run is pressed, the pictures and the plan are looked at."""
    from hgc.bench.film import film as filmed

    typer.echo(f"{out}: {filmed(out, browser) / 1000:.0f} kB")
