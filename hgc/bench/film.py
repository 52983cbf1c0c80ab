"""The page as a short film for the README: a sun is painted, Run pressed, pictures and plan are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from math import cos, pi, sin
from pathlib import Path
from typing import Any

from PIL import Image

from hgc.bench.page import CHROMIUM, PICTURES, READY, USABLE, opened

SIZE = {"width": 1280, "height": 960}
WIDTH = 1080  # pixels of the film; a README shows about as many
BRISK_MS, LOOK_MS, END_MS = 90, 1500, 3000
RUN_FRAMES = 24  # of a run that takes ten seconds: a film of it, not a recording
# Chromium draws no pointer into a screenshot: a dot that follows the mouse stands for it.
POINTER = """
const dot = document.createElement("i");
dot.style.cssText = "position:fixed;z-index:99999;width:18px;height:18px;margin:-9px;border-radius:50%;" +
  "background:#1116;border:2px solid #fff;pointer-events:none;left:-30px";
document.body.append(dot);
document.addEventListener("pointermove", e => { dot.style.left = e.clientX + "px"; dot.style.top = e.clientY + "px" },
  true);
"""


@dataclass(frozen=True)
class FilmFrame:
    picture: Image.Image
    shown_ms: int


def film(out: Path, browser: Path = CHROMIUM) -> int:
    """Films a fresh server's page and gives the file's bytes. Raises BenchRefused without a browser."""
    with opened(browser, SIZE) as (page, address):
        return write(out, scenes(page, address))


def write(out: Path, frames: Iterable[FilmFrame]) -> int:
    """An animated WebP that plays for ever; its size in bytes."""
    frames = list(frames)
    first, *others = [frame.picture for frame in frames]
    out.parent.mkdir(parents=True, exist_ok=True)
    first.save(
        out,
        save_all=True,
        append_images=others,
        duration=[frame.shown_ms for frame in frames],
        loop=0,
        quality=80,
        method=6,
        minimize_size=True,
    )
    return out.stat().st_size


def scenes(page: Any, address: str) -> Iterator[FilmFrame]:
    """A visitor's first steps, on a Playwright page."""
    page.goto(address)
    page.wait_for_selector(USABLE)
    page.wait_for_selector(READY)
    page.evaluate(POINTER)
    yield _frame(page, LOOK_MS)
    yield from _sun_painted(page)
    yield from _clicked(page, "#run")
    yield from _running(page)
    page.mouse.move(SIZE["width"] / 2, 60)
    yield _frame(page, END_MS)
    yield from _clicked(page, ".looks label:has([value=heat])")
    yield _frame(page, END_MS)
    yield from _clicked(page, "button[role=tab]:has-text('Inside')")
    page.wait_for_selector("#chart-states .main-svg")
    page.wait_for_timeout(1500)  # plotly fits the chart to the tab a moment after it drew it
    yield _frame(page, END_MS)


def _sun_painted(page: Any) -> Iterator[FilmFrame]:
    """The swatch, then one round stroke in the free sky on the left."""
    yield from _clicked(page, "#painting .swatches label:has-text('sun')")
    box = page.locator("#painting canvas").first.bounding_box()
    x, y, radius = box["x"] + 0.22 * box["width"], box["y"] + 0.14 * box["height"], 0.03 * box["width"]
    page.mouse.move(x + radius, y, steps=4)
    page.mouse.down()
    for turn in range(1, 9):
        page.mouse.move(x + radius * cos(turn * pi / 4), y + radius * sin(turn * pi / 4), steps=2)
        yield _frame(page, BRISK_MS)
    page.mouse.up()
    page.wait_for_timeout(1200)  # until the forecast is of the new drawing
    yield _frame(page, LOOK_MS // 2)


def _running(page: Any) -> Iterator[FilmFrame]:
    """Evenly spaced moments of a run, the last of them its pictures."""
    moments = []
    while not page.locator(PICTURES).count() or not page.locator("#figures .figure").count():
        moments.append(_frame(page, BRISK_MS))
        page.wait_for_timeout(150)
    spacing = max(1, len(moments) // RUN_FRAMES)
    yield from moments[::spacing]


def _clicked(page: Any, selector: str) -> Iterator[FilmFrame]:
    """The pointer goes there, then it is pressed."""
    place = page.locator(selector).first
    place.hover()
    yield _frame(page, LOOK_MS // 3)
    place.click()


def _frame(page: Any, shown_ms: int) -> FilmFrame:
    """The page as it stands, in the film's width."""
    picture = Image.open(BytesIO(page.screenshot(caret="hide"))).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    return FilmFrame(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), shown_ms)
