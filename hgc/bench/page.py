"""A visitor's waits, measured in a real browser: for the page to open, and for the first run."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from hgc.bench.child import ROOT, child, unwound_by_sigterm
from hgc.bench.setup import BenchRefused

APP = ROOT / "app.py"
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
VIEWPORT = {"width": 1440, "height": 900}
PATIENCE_MS = 600_000
# Both have to be there before anyone can start: the form with its drawing, and a model that is ready.
USABLE, READY = "#painting .easel[data-ready]", ".status.ready"
PREVIEW, PICTURES = ".running .glass img", ".panes.result"


@dataclass(frozen=True)
class PageVisit:
    """One visit to a fresh server. Times before the click count from the start of `python app.py`, unless named."""

    served_ms: float
    first_paint_ms: float
    usable_ms: float
    model_ready_ms: float
    requests: int
    transferred_bytes: int
    decoded_bytes: int
    first_preview_ms: float
    final_image_ms: float
    cpu_cores: int


def measure_visit(browser: Path = CHROMIUM) -> PageVisit:
    """Starts the app, opens it, presses Run as it stands. Raises BenchRefused without a browser to drive."""
    begun = perf_counter()
    with opened(browser) as (page, address):
        return visit(page, address, begun, served_ms=_since(begun))


@contextmanager
def opened(browser: Path = CHROMIUM, viewport: dict[str, int] = VIEWPORT) -> Iterator[tuple[Any, str]]:
    """An empty page of a headless browser, and the address of a server of its own. Raises BenchRefused."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BenchRefused("this drives a browser with Playwright: install tests/requirements.txt") from error
    if not browser.exists():
        raise BenchRefused(f"there is no browser at {browser}: install Chromium or name one with --browser")
    with _served() as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(CHROMIUM_ARGS))
        try:
            page = chromium.new_page(viewport=viewport)  # type: ignore[arg-type]
            page.set_default_timeout(PATIENCE_MS)
            yield page, address
        finally:
            chromium.close()


def visit(page: Any, address: str, begun: float, served_ms: float) -> PageVisit:
    """Opens a Playwright page at `address` and presses Run; the server was started at `begun` (perf_counter)."""
    sizes: list[float] = []
    wire = page.context.new_cdp_session(page)
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    wire.send("Network.enable")
    page.goto(address)
    page.wait_for_selector(USABLE)
    usable_ms = _since(begun)
    first_paint_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.wait_for_selector(READY)
    ready_ms, transferred, requests = _since(begun), sum(sizes), len(sizes)
    decoded = page.evaluate("performance.getEntriesByType('resource').reduce((sum, r) => sum + r.decodedBodySize, 0)")
    clicked = perf_counter()
    page.click("#run")
    page.wait_for_selector(PREVIEW)
    preview_ms = _since(clicked)
    page.wait_for_selector(PICTURES)
    return PageVisit(
        served_ms=served_ms,
        first_paint_ms=first_paint_ms,
        usable_ms=usable_ms,
        model_ready_ms=ready_ms,
        requests=requests,
        transferred_bytes=int(transferred),
        decoded_bytes=int(decoded),
        first_preview_ms=preview_ms,
        final_image_ms=_since(clicked),
        cpu_cores=len(os.sched_getaffinity(0)),
    )


@contextmanager
def _served() -> Iterator[str]:
    """The address of a server of its own."""
    own = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_ANALYTICS_ENABLED": "False"}
    with unwound_by_sigterm(), child(APP, cwd=APP.parent, environment=own) as process:
        assert process.stdout is not None
        printed = iter(process.stdout.readline, b"")
        address = next((match for line in printed if (match := re.search(rb"http://127\.0\.0\.1:\d+", line))), None)
        if address is None:
            raise BenchRefused("app.py ended without printing its address: start it alone and read what it says")
        threading.Thread(target=lambda: [None for _ in printed], daemon=True).start()
        yield address[0].decode()


def _since(begun: float) -> float:
    return (perf_counter() - begun) * 1e3


def text(visit: PageVisit) -> str:
    return "\n".join(
        [
            f"page: {visit.transferred_bytes / 1e3:.0f} kB in {visit.requests} requests, "
            f"{visit.decoded_bytes / 1e3:.0f} kB unpacked",
            f"first paint {visit.first_paint_ms / 1e3:.1f} s after the request; from the start of app.py: "
            f"served {visit.served_ms / 1e3:.1f} s, first screen usable {visit.usable_ms / 1e3:.1f} s, "
            f"model ready {visit.model_ready_ms / 1e3:.1f} s",
            f"click to first preview {visit.first_preview_ms / 1e3:.1f} s, to the final pictures "
            f"{visit.final_image_ms / 1e3:.1f} s",
            f"the page as it opens: first example, 20 steps, two arms; {visit.cpu_cores} CPU cores",
        ]
    )
