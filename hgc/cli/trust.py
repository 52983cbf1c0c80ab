"""`hgc bench hostile, soak`: whether the page holds out against bad inputs, and against many visitors at once."""

from __future__ import annotations

from typing import Annotated

import typer

from hgc.cli.refusals import in_one_line

Seed = Annotated[int, typer.Option(help="Draws the same again.")]


@in_one_line
def hostile(
    inputs: Annotated[int, typer.Option(help="How many inputs.", min=1)] = 10_000,
    minutes: Annotated[float, typer.Option(help="It ends after so long, whatever is left.", min=0)] = 60.0,
    seed: Seed = 0,
) -> None:
    """Hostile inputs for every endpoint, MCP tool, file format and command; traffic goes to 127.0.0.1 only."""
    from hgc.bench.hostile import attacks
    from hgc.bench.hostile_inputs import Drawing
    from hgc.bench.server import served

    with served(HGC_HISTORY="history.sqlite") as server:
        for report in attacks(Drawing(seed), inputs, minutes, server, _invoked()):
            report.seed = seed
            if report.inputs % 100 == 0:
                typer.echo(f"{report.inputs} of {inputs}: {len(report.faults)} faults", err=True)
    typer.echo(report.text())
    if report.faults:
        raise typer.Exit(1)


@in_one_line
def soak(
    runs: Annotated[int, typer.Option(help="How many runs of 4 steps, from eight clients.", min=1)] = 1_000,
    minutes: Annotated[float, typer.Option(help="No run begins after so long.", min=0)] = 120.0,
    seed: Seed = 0,
) -> None:
    """Eight clients, mixed runs with cancels and closed tabs: how many were wrong or hung, and the server's memory."""
    from hgc.bench.server import served
    from hgc.bench.soak import Visitors

    with served(HGC_HISTORY="history.sqlite") as server:
        found = Visitors(server, runs, minutes, seed).run(lambda news: typer.echo(news, err=True))
    typer.echo(found.text())
    if found.wrong or found.hung:
        raise typer.Exit(1)


def _invoked():  # type: ignore[no-untyped-def]
    """The shell as a function, with the embedded model loaded once for all commands."""
    from functools import cache

    from typer.testing import CliRunner

    from hgc.__main__ import app
    from hgc.studio.studio import Studio

    load = Studio.load
    Studio.load = cache(load)  # type: ignore[method-assign]

    def invoke(arguments: list[str]) -> tuple[int, str]:
        done = CliRunner().invoke(app, arguments)
        accident = done.exception is not None and not isinstance(done.exception, SystemExit)
        return done.exit_code, done.output + (f"Traceback: {done.exception!r}" if accident else "")

    return invoke
