"""The studio of a command whose runs are done here or elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from hgc.spread.here import kinds_told
from hgc.spread.on import On
from hgc.studio.studio import Studio


@contextmanager
def studio_on(place: On, model: str, device: str | None, dtype: str | None) -> Iterator[Studio]:
    """Where devices of several kinds did the runs, that is told in the end."""
    with place.studio(model, device, dtype) as studio:
        yield studio
        several = kinds_told(studio)
    if several:
        typer.echo(several, err=True)
