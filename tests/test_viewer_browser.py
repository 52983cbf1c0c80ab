"""The viewer in a real browser: four looks, one zoom, the magnifier, the map; and the manners of the page around it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import gradio as gr
import numpy as np
import pytest
from conftest import PATIENCE_MS
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect
from prerecorded import Prerecorded, recorded
from serving import served

from hgc.bench.page import measure_visit, text, visit
from hgc.bench.setup import BenchRefused
from hgc.metrics import difference
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.components.heat import heat_levels, heat_top, inferno

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

WIDE = ViewportSize(width=1440, height=1000)
PHONE = ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def studio(studio: Studio) -> Prerecorded:
    return Prerecorded(studio, recorded(studio, rival="fewer_steps"))


@pytest.fixture(scope="module")
def served_page(studio: Prerecorded) -> Iterator[gr.Blocks]:
    with served(Loader(lambda: studio).start()) as built:
        yield built


@pytest.fixture(scope="module")
def opened(browser: Browser, served_page: gr.Blocks, studio: Prerecorded) -> Iterator[Page]:
    """One page for all tests, with a finished run."""
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(served_page.local_url)
    expect(page.locator(".status.ready")).to_be_visible()
    studio.finish.set()
    page.locator("#run").click()
    expect(page.locator(".panes.result")).to_be_visible()
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def page(opened: Page) -> Page:
    """The page as the first run left it: side by side, not zoomed, no magnifier, no map."""
    opened.set_viewport_size(WIDE)
    opened.emulate_media(color_scheme="light")
    look(opened, "side")
    opened.locator("[data-do=fit]").click()
    opened.locator(".pair select").select_option(index=0)
    opened.locator(".over select").select_option("")
    if opened.locator("[data-do=lens]").get_attribute("aria-pressed") == "true":
        opened.locator("[data-do=lens]").click()
    return opened


def look(page: Page, name: str) -> None:
    page.locator(f".looks label:has([value={name}])").click()


def glass(page: Page, arm: str) -> Locator:
    return page.locator(f"[data-arm={arm}] .glass")


def pixels(image: Locator) -> np.ndarray:
    """What an <img> holds, uint8 [H, W, 3]."""
    raw = b64decode((image.get_attribute("src") or "").split(",")[1])
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def seen(page: Page) -> list[str]:
    """The panes that can be seen, in the order of the page."""
    return page.locator(".result .pane").evaluate_all(
        "all => all.filter(one => one.checkVisibility({visibilityProperty: true}))"
        ".map(one => one.dataset.arm ?? one.dataset.pair)"
    )


def placed(page: Page, arm: str) -> dict[str, float]:
    """Where an arm's picture lies, in the viewport's pixels."""
    return page.locator(f"[data-arm={arm}] .picture").evaluate(
        "image => { const {x, y, width} = image.getBoundingClientRect(); return {x, y, width}; }"
    )


def test_all_arms_stand_side_by_side_without_loss(page: Page, studio: Prerecorded) -> None:
    assert seen(page) == list(studio.made.arms)
    for name, arm in studio.made.arms.items():
        np.testing.assert_array_equal(pixels(page.locator(f"[data-arm={name}] .picture")), arm.image)


def test_any_two_stand_under_the_slider(page: Page, studio: Prerecorded) -> None:
    look(page, "slider")
    options = page.locator(".pair option").evaluate_all("all => all.map(one => one.value)")
    arms = list(studio.made.arms)
    assert options == [f"{arms[0]} {arms[1]}", f"{arms[0]} {arms[2]}", f"{arms[1]} {arms[2]}"]
    for pair in options:
        page.locator(".pair select").select_option(pair)
        assert seen(page) == pair.split()
    box = glass(page, arms[1]).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40, steps=4)
    page.mouse.up()
    assert int(page.locator(".cut-line").input_value()) == pytest.approx(250, abs=5)
    page.locator(".cut-line").focus()
    page.keyboard.press("End")
    assert "100%" in glass(page, arms[2]).evaluate("one => getComputedStyle(one).clipPath")


def test_flicker_flips_by_key_and_click(page: Page, studio: Prerecorded) -> None:
    left, right, _ = studio.made.arms
    page.keyboard.press("f")
    assert seen(page) == [left]
    page.keyboard.press("f")
    assert seen(page) == [right]
    glass(page, right).click()
    assert seen(page) == [left]


def test_the_difference_has_a_scale_in_units(page: Page, studio: Prerecorded) -> None:
    look(page, "heat")
    arms = studio.made.arms
    pairs = list(combinations(arms, 2))
    apart = {pair: difference(arms[pair[0]].image, arms[pair[1]].image) for pair in pairs}
    top = max(heat_top(one) for one in apart.values())
    for pair, one in apart.items():
        page.locator(".pair select").select_option(" ".join(pair))
        assert seen(page) == [" ".join(pair)]
        drawn = pixels(page.locator(f"[data-pair='{' '.join(pair)}'] .picture"))
        np.testing.assert_array_equal(drawn, inferno()[heat_levels(one, top)])
        expect(page.locator(f"[data-pair='{' '.join(pair)}'] figcaption")).to_contain_text(f"{one.mean():.2%}")
    ticks = page.locator(".heat-scale .ticks span")
    expect(ticks.last).to_have_text(f"{top:.1%}{top * 255:.0f}")
    expect(ticks.first).to_have_text("0.0%0")


def test_zoom_and_pan_are_one_for_all(page: Page, studio: Prerecorded) -> None:
    full, cached, third = studio.made.arms
    before = {name: placed(page, name) for name in studio.made.arms}
    page.locator("[data-do=in]").click()
    page.locator("[data-do=in]").click()
    expect(page.locator(".zoom output")).to_have_text("225%")
    box = glass(page, full).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 70, steps=4)
    page.mouse.up()
    after = {name: placed(page, name) for name in studio.made.arms}
    for name in studio.made.arms:
        assert after[name]["width"] == pytest.approx(2.25 * before[name]["width"], rel=0.01)
    shift = {name: (after[name]["x"] - before[name]["x"], after[name]["y"] - before[name]["y"]) for name in after}
    assert shift[full] == pytest.approx(shift[cached], abs=0.6)
    assert shift[full] == pytest.approx(shift[third], abs=0.6)
    assert shift[full][0] != pytest.approx(shift[full][1], abs=20), "the drag moved it"
    page.locator(".scene").focus()
    page.keyboard.press("0")
    assert placed(page, cached)["width"] == pytest.approx(before[cached]["width"], rel=0.01)
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    expect(page.locator(".zoom output")).not_to_have_text("100%")


def test_the_magnifier_shows_one_place_in_all_arms(page: Page, studio: Prerecorded) -> None:
    page.locator(".scene").focus()
    page.keyboard.press("m")
    box = glass(page, "cached").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    expect(page.locator(".lens figure")).to_have_count(len(studio.made.arms) + 2)
    told = page.locator(".lens p")
    expect(told).to_contain_text("Pixel 6")
    x, y = (int(part) for part in told.inner_text().split(":")[0].removeprefix("Pixel ").split(", "))
    assert (x, y) == (pytest.approx(64, abs=2), pytest.approx(192, abs=2))

    def agrees() -> None:
        for number, arm in enumerate(studio.made.arms.values()):
            colour = " ".join(str(value) for value in arm.image[y, x])
            expect(page.locator(".lens figcaption span").nth(number)).to_have_text(colour)

    agrees()
    apart = difference(studio.made.full.image, studio.made.cached.image)[y, x]
    expect(told).to_contain_text(f"{apart:.1%}")
    page.mouse.move(0, 0)
    page.locator(".scene").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    x, y = x + 8, y - 1
    expect(told).to_contain_text(f"Pixel {x}, {y}")
    agrees()


def test_the_map_lies_over_any_arm_as_strongly_as_wanted(page: Page, studio: Prerecorded) -> None:
    for name in studio.made.arms:
        page.locator(".over select").select_option(name)
        shown = page.locator(".result .arm .over").evaluate_all(
            "all => all.filter(one => one.checkVisibility()).map(one => one.closest('[data-arm]').dataset.arm)"
        )
        assert shown == [name]
    page.locator(".over-by input").fill("30")
    over = page.locator(f"[data-arm={name}] .over")
    assert over.evaluate("one => getComputedStyle(one).opacity") == "0.3"
    assert (
        pixels(over)
        == cv2.imdecode(np.frombuffer(studio.made.request.control_bytes, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    ).all()


def test_full_screen_shows_the_pair_alone(page: Page) -> None:
    page.keyboard.press("Shift+F")
    page.wait_for_function("() => document.fullscreenElement?.classList.contains('viewer')")
    assert len(seen(page)) == 3
    page.keyboard.press("Shift+F")
    page.wait_for_function("() => !document.fullscreenElement")


STANDING = [
    "#header",
    "#words",
    "#run",
    "#control-card",
    "#cache-card",
    "#picture-card",
    "#result-card",
    ".looks",
    ".scene",
    ".tools",
    "#verdict",
    "#figures",
    "#badges",
]


def boxes(page: Page) -> dict[str, Any]:
    """Left, top, width, height of everything that is there before a run, in pixels of the page.

    On a phone the bar with Run stays in the window while the page moves to the pictures.
    """
    found = page.evaluate(
        """names => names.map(name => {
            const {x, y, width, height} = document.querySelector(name).getBoundingClientRect();
            const top = name === "#run" && innerWidth < 760 ? y : y + scrollY;
            return [x + scrollX, top, width, height];
        })""",
        STANDING,
    )
    return dict(zip(STANDING, found, strict=True))


def jumped(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What moved or grew by a pixel or more; heights of text are fractions of one, and less is not seen."""
    pairs = {name: (old, after[name]) for name, old in before.items()}
    return {name: pair for name, pair in pairs.items() if any(abs(a - b) >= 1 for a, b in zip(*pair, strict=True))}


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_jumps_when_results_arrive(
    browser: Browser, served_page: gr.Blocks, studio: Prerecorded, size: ViewportSize
) -> None:
    three = studio.made
    plain = three.request.model_copy(update={"rival": None})
    likeness = {"cached": three.likeness["cached"]}
    studio.made = replace(three, rival=None, request=plain, likeness=likeness, notes=())
    context = browser.new_context(viewport=size)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    try:
        page.goto(served_page.local_url)
        expect(page.locator(".status.ready")).to_be_visible()
        expect(page.locator("#painting .easel[data-ready]")).to_be_visible()
        expect(page.locator("#forecast b").first).to_be_visible()
        empty = boxes(page)
        for name in ("side", "slider", "flicker", "heat"):
            studio.finish.clear()
            look(page, name)
            page.locator("#run").click()
            expect(page.locator(".running .glass img")).to_have_count(2)
            running = boxes(page)
            studio.finish.set()
            expect(page.locator(".panes.result")).to_be_visible()
            expect(page.locator("#figures .figure")).to_have_count(8)
            assert jumped(running, boxes(page)) == {}, name
            assert name != "side" or jumped(empty, running) == {}
    finally:
        studio.made = three
        studio.finish.set()
        context.close()


def test_a_visit_is_measured(browser: Browser, served_page: gr.Blocks, studio: Prerecorded) -> None:
    studio.finish.set()
    context = browser.new_context()
    try:
        found = visit(context.new_page(), served_page.local_url, perf_counter(), 0.0)
    finally:
        context.close()
    assert found.requests > 10
    assert 100_000 < found.transferred_bytes < found.decoded_bytes
    assert 0 < found.first_paint_ms < found.usable_ms <= found.model_ready_ms
    assert 0 < found.first_preview_ms <= found.final_image_ms
    told = text(found)
    for wanted in (f"{found.transferred_bytes / 1e3:.0f} kB", f"first preview {found.first_preview_ms / 1e3:.1f} s"):
        assert wanted in told


def test_without_a_browser_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(BenchRefused, match="no browser at"):
        measure_visit(tmp_path / "chromium")
