"""`app.py` in a process of its own, as a person starts it, and its page in a browser."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from hgc.bench.child import ROOT, child

# A run takes seconds on two idle cores; a loaded machine may take minutes.
RUN_MS = 240_000
Visitors = Callable[..., Page]


@contextmanager
def app(folder: Path, **environment: str) -> Iterator[str]:
    """Serves with `folder` as its place for the history; gives the address that it prints."""
    own = {"GRADIO_SERVER_NAME": "127.0.0.1", "HGC_HISTORY": str(folder / "history.sqlite")}
    with child(ROOT / "app.py", cwd=folder, environment=own | environment) as process:
        assert process.stdout is not None
        printed = iter(process.stdout.readline, b"")
        address = next((match for line in printed if (match := re.search(rb"http://127\.0\.0\.1:\d+", line))), None)
        assert address, "app.py ended without printing its address"
        threading.Thread(target=lambda: [None for _ in printed], daemon=True).start()
        yield address[0].decode()


@contextmanager
def opened(visitors: Visitors, address: str) -> Iterator[Page]:
    """The page with its model loaded; an error in its scripts fails the test."""
    page = visitors(viewport={"width": 1440, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    ready(page)
    yield page
    assert errors == []


def ready(page: Page) -> None:
    expect(page.locator(".status.ready")).to_be_visible(timeout=RUN_MS)
    # Areas are painted on Landscapes alone: with another model loaded there are lines.
    expect(page.locator("#painting canvas:visible, #lines canvas:visible").first).to_be_visible()
