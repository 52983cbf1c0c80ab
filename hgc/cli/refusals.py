"""How a refusal is told in the shell."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from hgc.bench.setup import BenchRefused
from hgc.cache.plan import PlanRefused
from hgc.control.annotators import AnnotatorUnavailable
from hgc.control.images import ImageRefused
from hgc.evidence import EvidenceRefused
from hgc.history import HistoryRefused, RecordRefused
from hgc.models.loading import ModelUnavailable
from hgc.request import RequestRefused
from hgc.space import SpaceRefused
from hgc.training.checkpoint import CheckpointError

P = ParamSpec("P")
REFUSALS = (
    BenchRefused,
    CheckpointError,
    EvidenceRefused,
    HistoryRefused,
    ImageRefused,
    AnnotatorUnavailable,
    PlanRefused,
    RecordRefused,
    RequestRefused,
    ModelUnavailable,
    SpaceRefused,
)


def in_one_line(command: Callable[P, None]) -> Callable[P, None]:
    """Refusals as one line on the error stream and exit status 2, never a stack trace."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except REFUSALS as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error

    return told
