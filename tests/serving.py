"""A page served from a test's own process."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from hgc.ui import Loader, build, launch_options


@contextmanager
def served(loader: Loader, *kept: Any) -> Iterator[gr.Blocks]:
    """Builds the page over a model and serves it; its address is `local_url`. `kept`: the place of runs, a recording.

    gradio makes event loops while it builds and launches and leaves them to the garbage collector, which complains;
    they are collected here, where nobody listens.
    """
    with forgotten_loops():
        page = build(loader, *kept)
        page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        yield page
    finally:
        page.close(verbose=False)
        with forgotten_loops():
            asyncio.set_event_loop(None)


@contextmanager
def forgotten_loops() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
