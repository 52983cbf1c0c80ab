"""`hgc remake`: everything that is made from the embedded model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.refusals import in_one_line

ROOT = Path(__file__).parents[2]


@in_one_line
def remake(
    listed: Annotated[
        bool, typer.Option("--list", help="Only say what there is to do, and what is up to date.")
    ] = False,
) -> None:
    """Make calibrations, plans, figures, card, wall, recording and film again where they are of other weights."""
    from hgc.bench.remake import Remake, as_process, steps

    made = Remake(ROOT, steps(), as_process)
    if listed:
        stale = made.stale()
        for step in made.steps:
            typer.echo(f"{'to do' if step in stale else 'up to date':<12}{step.name:<42}{step.command}")
        typer.echo(f"{len(stale)} of {len(made.steps)} steps to do for weights {made.weights}")
        return
    made.go(lambda news: typer.echo(news, err=True))
    typer.echo(f"everything is made from weights {made.weights}")
