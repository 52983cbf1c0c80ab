"""The shell as a function, for commands with hostile inputs in this very process."""

from __future__ import annotations

from functools import cache

from typer import Typer
from typer.testing import CliRunner

from hgc.bench.hostile import Invoke
from hgc.studio.studio import Studio


def loaded_once(app: Typer) -> Invoke:
    """Invokes the app's commands, with every model loaded once for all of them; an accident ends in "Traceback"."""
    load = Studio.load
    Studio.load = cache(load)  # type: ignore[method-assign]

    def invoke(arguments: list[str]) -> tuple[int, str]:
        done = CliRunner().invoke(app, arguments)
        accident = done.exception is not None and not isinstance(done.exception, SystemExit)
        return done.exit_code, done.output + (f"Traceback: {done.exception!r}" if accident else "")

    return invoke
