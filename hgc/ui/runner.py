"""Runs what the Playground asks for and tells the page how it goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from io import BytesIO
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from PIL import Image

from hgc.cache.plan import PlanRefused
from hgc.control.images import ImageRefused
from hgc.request import Request, RequestRefused
from hgc.ui.kept import Jobs, Kept
from hgc.ui.loader import Loader, ModelNotReady

if TYPE_CHECKING:
    from hgc.cache.trace import Trace
    from hgc.service import Comparison, Progress
    from hgc.ui.control_panel import Sheet

log = logging.getLogger(__name__)

# What a person can put right; each message is one sentence.
REFUSALS = (RequestRefused, PlanRefused, ImageRefused, ModelNotReady)


# Everything that runs the model waits in one line.
MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
RUNS_KEPT, SHEETS_KEPT = 32, 128


class Runner:
    """Every visitor's runs, one at a time each, and what is kept of them."""

    def __init__(self, loader: Loader) -> None:
        self.loader, self._jobs = loader, Jobs()
        self.runs: Kept[Comparison] = Kept(RUNS_KEPT)
        self.sheets: Kept[Sheet] = Kept(SHEETS_KEPT)

    def observed(self, run: str | None) -> Trace | None:
        """One more full pass of a kept run that measures how fast every site changes; None when it is forgotten."""
        found = self.runs.find(run)
        return None if found is None else self.loader.studio().observe(found.request)

    def compare(self, request: Request, visitor: str) -> Iterator[Progress | Comparison]:
        """Progress and, last, the comparison; ends early when the visitor stops it. Raises REFUSALS."""
        from hgc.service import Cancelled

        stop = self._jobs.begin(visitor)
        try:
            yield from self.loader.studio().compare(request, cancel=stop)
        except Cancelled:
            log.info("stopped by the visitor")
        finally:
            stop.set()
            self._jobs.end(visitor, stop)

    def finish(self, request: Request) -> Comparison:
        """The comparison alone, for a caller who does not follow the progress. Raises REFUSALS."""
        from hgc.service import Comparison

        *_, last = self.compare(request, f"caller {token_hex(8)}")
        if not isinstance(last, Comparison):
            raise RuntimeError("the run ended without a comparison")
        return last

    def stop(self, visitor: str) -> bool:
        """Whether there was a run to stop; it ends at its next step."""
        return self._jobs.stop(visitor)


def made(control_png: bytes, fields: Mapping[str, Any], cache: Mapping[str, Any], model: str) -> Request:
    """A request from the form's fields. Raises RequestRefused."""
    return Request.make(control_png, model=model, cache=dict(cache), **fields)


def blank_png(size: int) -> bytes:
    """A stand-in for the control map where only its cost matters: it costs the same whatever it shows."""
    buffer = BytesIO()
    Image.new("RGB", (size, size)).save(buffer, "PNG")
    return buffer.getvalue()


def in_one_sentence(error: Exception) -> str:
    """What the page says about an error: a refusal in its own words, anything else without its insides."""
    if isinstance(error, REFUSALS):
        return str(error)
    log.error("a run failed", exc_info=error)
    return f"Something unexpected happened ({type(error).__name__}); the server's log has the details, try again."
