"""Refusals in the shell."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from hgc.refused import Refused

P = ParamSpec("P")


def in_one_line(command: Callable[P, None]) -> Callable[P, None]:
    """Refusals as one line on the error stream and exit status 2, never a stack trace."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except Refused as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error

    return told
