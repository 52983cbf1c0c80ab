"""What happens first when a page has opened: its form is settled, its model awaited, and the first run priced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.refused import Refused
from hgc.share import NAME
from hgc.ui.masthead import masthead, ready_words
from hgc.ui.playground.asked import asked_of
from hgc.ui.playground.cache_events import CacheEvents
from hgc.ui.playground.forecast_events import ForecastEvents, priced_of
from hgc.ui.playground.forecast_line import forecast_waiting
from hgc.ui.playground.settling import settle_after
from hgc.ui.queueing import QUIET

if TYPE_CHECKING:
    from hgc.ui.loader import Loader
    from hgc.ui.playground.tab import Playground


def linked(page: gr.Request) -> bool:
    """Whether the page was opened by a link to a form, whose settings stay as they are."""
    return NAME in page.query_params


def greet(loader: Loader) -> list[Any]:
    """Waits for the model, then says which it is, or why there is none."""
    try:
        studio = loader.studio()
    except Refused as error:
        return [masthead("failed", "Model not loaded"), forecast_waiting(str(error))]
    return [masthead("ready", ready_words(studio)), gr.skip()]


def wire_greeting(opened: Any, p: Playground, header: gr.HTML) -> Any:
    """The first events of a page, when it has opened and the form stands as its visitor left it; the last of them."""
    begun = settle_after(opened.then, CacheEvents(p).follow, p, asked_of(p), unless=linked, concurrency_limit=None)
    loader = p.runner.loader
    greeted = begun.then(lambda: greet(loader), None, [header, p.forecast], concurrency_limit=None, **QUIET)
    return greeted.then(ForecastEvents(p).price, priced_of(p), p.forecast, **QUIET)
