"""`python app.py`, driven in a real browser as a person would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened import RUN_MS, Visitors, app, opened, ready
from PIL import Image
from playwright.sync_api import Locator, Page, Route, ViewportSize, expect
from writing import write

from hgc.landscapes.labels import PALETTE
from hgc.landscapes.scene import paint
from hgc.planning.measured import rungs
from hgc.ui.playground.hgc_ladder import TABLES

pytestmark = pytest.mark.browser

PHONE = ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with app(tmp_path_factory.mktemp("page")) as served:
        yield served


@pytest.fixture
def page(visitors: Visitors, address: str) -> Iterator[Page]:
    with opened(visitors, address) as page:
        yield page


def finished(page: Page) -> None:
    expect(page.locator("#figures .figure")).to_have_count(8, timeout=RUN_MS)
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def started(page: Page) -> None:
    expect(page.locator(".running .arm.full img")).to_be_visible(timeout=RUN_MS)


def choose(page: Page, where: str, title: str) -> None:
    """Picks an entry of a dropdown."""
    page.locator(f"{where} input").click()
    page.get_by_role("option", name=title, exact=True).click()


def fewer_steps(page: Page) -> None:
    """Where the pictures do not matter, six steps are enough."""
    page.get_by_text("More settings").click()
    steps = page.locator("#steps input[type=number]")
    write(steps, "6")
    steps.press("Enter")


def natural_size(image: Locator) -> tuple[int, int]:
    """Width and height of a picture once it is there."""
    expect(image).to_be_visible()
    image.evaluate("image => image.decode()")
    width, height = image.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    return width, height


def chart(page: Page, name: str) -> list[dict]:
    """The data of a chart as plotly drew it."""
    drawn = page.locator(f"#chart-{name} .js-plotly-plot")
    expect(drawn.locator(".main-svg").first).to_be_visible()
    return drawn.evaluate("plot => plot.data")


def stroke(page: Page) -> None:
    """Paints over the middle of the canvas with the mouse."""
    box = page.locator("#painting canvas").first.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] - 80, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 80, middle[1], steps=6)
    page.mouse.up()


def colour_share(page: Page, colour: tuple[int, int, int]) -> float:
    """Share of the control map, as the page shows it, that has a class's colour."""
    counted = page.locator("#seen img").evaluate(
        """async (image, [r, g, b]) => {
            await image.decode();
            const sheet = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
            sheet.drawImage(image, 0, 0);
            const {data} = sheet.getImageData(0, 0, image.naturalWidth, image.naturalHeight);
            let found = 0;
            for (let i = 0; i < data.length; i += 4) found += data[i] == r && data[i + 1] == g && data[i + 2] == b;
            return found / (data.length / 4);
        }""",
        list(colour),
    )
    return float(counted)


def test_paint_run_and_look_inside(page: Page) -> None:
    before = colour_share(page, PALETTE["house"])
    page.locator("#painting .swatches").get_by_text("house").click()
    shown = page.locator("#seen img").get_attribute("src")
    assert shown is not None
    stroke(page)
    expect(page.locator("#seen img")).not_to_have_attribute("src", shown)
    assert colour_share(page, PALETTE["house"]) > before + 0.01

    page.locator("#run").click()
    started(page)
    expect(page.locator("#stop")).to_be_enabled()
    finished(page)
    sources = []
    for name in ("full", "cached"):
        image = page.locator(f"[data-arm={name}] .picture")
        assert natural_size(image) == (256, 256)
        sources.append(image.get_attribute("src") or "")
    assert sources[0] != sources[1]
    assert all(source.startswith("data:image/png;") for source in sources)
    page.locator(".looks label:has([value=heat])").click()
    assert natural_size(page.locator("[data-pair='full cached'] .picture")) == (256, 256)
    expect(page.locator("#badges")).to_contain_text("Same noise, same map, same scheduler")
    expect(page.locator("#forecast .forecast")).to_contain_text("for the full picture")

    page.get_by_role("tab", name="Inside").click()
    states = next(part for part in chart(page, "states") if part["name"] == "cells")
    assert len(states["y"]) >= 15
    assert len(states["x"]) == 20
    attention = chart(page, "attention")
    assert any(part["name"] == "cells" and len(part["y"]) >= 10 for part in attention)
    for name in ("macs", "latency"):
        full, kept = chart(page, name)
        assert len(full["y"]) == len(kept["y"]) == 20
        assert sum(kept["y"]) < sum(full["y"])
    page.get_by_test_id("All sites-radio-label").click()
    expect(page.locator("#chart-states .ytick")).not_to_have_count(len(states["y"]))
    page.get_by_role("tab", name="How it works").click()
    expect(page.locator("#how-live .bars i")).to_have_count(20)


def test_stop_at_once_and_run_again(page: Page) -> None:
    page.locator("#prompt textarea").focus()
    page.keyboard.press("Control+Enter")
    for _ in range(2):
        started(page)
        page.keyboard.press("Escape")
        expect(page.locator("#run-told")).to_contain_text("Stopped")
        expect(page.locator("#run")).to_be_enabled()
        page.locator("#run").click()
    started(page)
    finished(page)


def test_a_photo_becomes_edges_and_a_picture(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(paint(9_000_003).image).resize((640, 480)).save(photo)
    page.get_by_test_id("Use a photo-radio-label").click()
    page.locator("#photo input[type=file]").set_input_files(photo)
    expect(page.locator("#seen-notes")).to_contain_text("Edge map")
    assert 0.002 < colour_share(page, (255, 255, 255)) < 0.4
    fewer_steps(page)
    page.locator("#run").click()
    finished(page)
    expect(page.locator("#figures")).to_contain_text("edge F1")


def test_bad_files_get_one_sentence(page: Page, tmp_path: Path) -> None:
    page.get_by_test_id("Use a photo-radio-label").click()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + np.random.default_rng(0).bytes(300))
    page.locator("#photo input[type=file]").set_input_files(broken)
    told = page.locator("#seen-notes .error")
    expect(told).to_have_count(1)
    assert told.inner_text().count(".") == 1
    page.locator("#run").click()
    expect(page.locator("#run-told .refused")).to_contain_text("photo")
    expect(page.locator(".panes.recorded img")).to_have_count(3)
    expect(page.locator("#run")).to_be_enabled()
    assert "Traceback" not in page.content()


def test_presets_write_the_settings_and_the_forecast(page: Page) -> None:
    forecast = page.locator("#forecast b").nth(1)
    before = forecast.inner_text()
    page.get_by_test_id("Turbo-radio-label").click()
    expect(forecast).not_to_have_text(before, use_inner_text=True)
    assert float(re.sub(r"[^\d.]", "", forecast.inner_text())) <= 20
    expect(page.locator("#budget input[type=number]")).to_have_value("20")
    page.get_by_test_id("Exact-radio-label").click()
    expect(page.locator("#coarse input")).not_to_be_checked()
    expect(page.locator("#fine input")).not_to_be_checked()
    fewer_steps(page)
    page.locator("#run").click()
    finished(page)
    expect(page.locator("#verdict")).to_contain_text("Bit-identical to the plain pipeline")


def test_a_third_arm_of_fewer_steps_stands_beside_the_two(page: Page) -> None:
    fewer_steps(page)
    choose(page, "#rival-choice", "Fewer steps")
    page.locator("#run").click()
    expect(page.locator(".running .arm")).to_have_count(3, timeout=RUN_MS)
    expect(page.locator(".arms-table thead th")).to_have_text(["Full", "Optimised", "Fewer steps"], timeout=RUN_MS)
    for name in ("full", "cached", "rival"):
        assert natural_size(page.locator(f"[data-arm={name}] .picture")) == (256, 256)
    expect(page.locator(".pair option")).to_have_text(
        ["Full | Optimised", "Full | Fewer steps", "Optimised | Fewer steps"]
    )
    page.set_viewport_size(PHONE)
    for name in ("side", "slider", "flicker", "heat"):
        expect(page.locator(f".looks label:has([value={name}])")).to_be_visible()
    places: list[Any] = [
        page.locator(f"[data-arm={name}] .glass").bounding_box() for name in ("full", "cached", "rival")
    ]
    assert all(place["width"] > 0.4 * PHONE["width"] for place in places)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_two_methods_stand_beside_the_full_picture(page: Page) -> None:
    choose(page, "#method", "DeepCache")
    expect(page.locator("#hgc-settings")).to_be_hidden()
    expect(page.locator("#method-reason")).to_contain_text("outermost ones always")
    page.get_by_test_id("Balanced-radio-label").click()
    choose(page, "#rival-choice", "Fewer steps")
    expect(page.locator("#forecast .forecast")).to_contain_text("DeepCache")
    expect(page.locator("#forecast .forecast")).to_contain_text("Fewer steps")
    fewer_steps(page)
    page.locator("#run").click()
    expect(page.locator(".arms-table thead th")).to_have_text(["Full", "DeepCache", "Fewer steps"], timeout=RUN_MS)
    for arm, title in (("cached", "DeepCache"), ("rival", "Fewer steps")):
        pane = page.locator(f"figure.pane.{arm}").first
        expect(pane.locator("b")).to_have_text(title)
        share = re.search(r"MACs, (\d+)%", pane.locator("span").inner_text())
        assert share is not None, pane.inner_text()
        assert int(share[1]) <= 59, "half of six steps, and half a step"


def test_the_switches_show_what_a_method_keeps_and_pressing_one_takes_hgc(page: Page) -> None:
    coarse, fine = page.locator("#coarse input"), page.locator("#fine input")
    expect(coarse).to_be_checked()
    expect(fine).not_to_be_checked()
    choose(page, "#method", "T-GATE")
    expect(coarse).not_to_be_checked()
    expect(fine).to_be_checked()
    coarse.click()
    expect(coarse).to_be_checked()
    expect(page.locator("#method input")).to_have_value("HGC")
    expect(page.locator("#hgc-settings")).to_be_visible()
    expect(page.locator("#forecast .forecast")).to_contain_text("HGC")
    expect(fine).to_be_checked()


def test_a_press_stands_whatever_answer_is_under_way(page: Page) -> None:
    """The server hears of the choice late: a switch was pressed when its answers come."""
    held: list[Route] = []
    pressed: list[bool] = []
    page.route("**/queue/join*", lambda route: route.continue_() if pressed else held.append(route))
    choose(page, "#method", "T-GATE")
    page.wait_for_timeout(500)
    assert held
    coarse, fine = page.locator("#coarse input"), page.locator("#fine input")
    coarse.click()
    page.wait_for_timeout(300)
    pressed.append(True)
    for route in held:
        route.continue_()
    expect(page.locator("#forecast .forecast")).to_contain_text("Exact savings")  # both switches are off
    page.wait_for_timeout(1500)
    expect(page.locator("#by-hand input")).to_be_checked()
    expect(page.locator("#method input")).to_have_value("HGC")
    expect(coarse).not_to_be_checked()
    expect(fine).not_to_be_checked()


def test_the_ladder_sets_both_switches_and_tells_what_each_cache_was_measured_to_give(page: Page) -> None:
    choose(page, "#method", "HGC")
    expect(page.locator("#forecast .forecast")).to_contain_text("HGC")  # the last that the method's choice brings
    ladder = page.locator("#hgc-ladder")
    for title, name, coarse, fine in (
        ("Fine alone", "hgc fine", False, True),
        ("Coarse alone", "hgc coarse", True, False),
        ("Both", "hgc", True, True),
    ):
        row = ladder.locator(f"dt:has-text('{title}') + dd")
        for rung in rungs(name, "segmentation", TABLES):
            expect(row).to_contain_text(f"{rung.psnr:.1f} dB at {rung.share:.0%}")
        before = page.locator("#forecast .forecast").inner_text()
        ladder.get_by_role("button", name=title).click()
        expect(page.locator("#coarse input")).to_be_checked(checked=coarse)
        expect(page.locator("#fine input")).to_be_checked(checked=fine)
        expect(page.locator("#forecast .forecast")).not_to_have_text(before, use_inner_text=True)


def test_a_share_out_of_reach_is_said_calmly_and_the_least_is_taken(page: Page) -> None:
    choose(page, "#method", "T-GATE")
    expect(page.locator("#preset-reason")).to_contain_text("T-GATE cannot go down to 36.8%")
    expect(page.locator("#preset-reason")).to_contain_text("Run takes its least")
    expect(page.locator("#cache-card .error")).to_have_count(0)
    expect(page.locator("#forecast .forecast")).to_contain_text("T-GATE")


def test_a_target_of_quality_sets_the_budget_and_says_how_surely(page: Page) -> None:
    target, told, budget = (
        page.locator(at) for at in ("#at-least textarea", "#at-least-told", "#budget input[type=number]")
    )
    target.fill("45 dB")
    target.press("Enter")
    expect(told).to_contain_text("At least 45 dB: Optimised at ")
    expect(told).to_contain_text("measured pictures reach it")
    expect(page.locator("#preset input:checked")).to_have_count(0)
    share = float(re.findall(r"at (\d+)% of full", told.inner_text())[0])
    assert float(budget.input_value()) == pytest.approx(share, abs=1)
    expect(page.locator("#forecast .forecast")).to_contain_text(re.compile(rf"\({share - 1:.0f}\.|\({share:.0f}\."))
    target.fill("much")
    target.press("Enter")
    expect(told).to_contain_text("rite a PSNR such as 45 dB")
    assert float(budget.input_value()) == pytest.approx(share, abs=1)
    page.get_by_test_id("Turbo-radio-label").click()
    expect(target).to_have_value("")
    expect(told).to_have_text("")


def test_a_cache_that_did_nothing_says_so(page: Page) -> None:
    fewer_steps(page)
    choose(page, "#method", "HGC")
    page.locator("#coarse-settings button").first.click()
    write(page.locator("#key-share input[type=number]"), "1")
    page.locator("#key-share input[type=number]").press("Enter")
    expect(page.locator("#preset-reason")).to_contain_text("Your own settings")
    page.locator("#fine input").uncheck()
    page.locator("#run").click()
    finished(page)
    expect(page.locator("#verdict")).to_contain_text("did nothing")


def test_an_example_fills_canvas_prompt_and_seed(page: Page) -> None:
    page.locator("#examples button").nth(6).click()
    expect(page.locator("#lines canvas").first).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("pond"))
    expect(page.locator("#seen-notes")).to_contain_text("Edge map")
    expect(page.locator("#seed input")).to_have_value("6")


def test_unknown_words_are_named(page: Page) -> None:
    page.locator("#prompt textarea").fill("a winter landscape with a zeppelin")
    expect(page.locator("#prompt-notes")).to_contain_text("zeppelin")


def test_wrong_numbers_are_said_beside_their_field_and_everything_stays(page: Page) -> None:
    """What a field cannot hold is never sent: forecast and pictures belong to what it held, then to what is taken."""
    toasts = page.locator(".toast-body")
    for written, taken in (("-5", "0"), ("99999999999", "4294967295"), ("1.5", "2")):
        write(page.locator("#seed input"), written)
        page.keyboard.press("Tab")
        expect(page.locator("#seed input")).to_have_value(taken)
        expect(page.locator("#seed .wrong")).to_contain_text(f"{written} is not")
        expect(page.locator("#seed .wrong")).to_contain_text(f"{taken} is taken")
    write(page.locator("#seed input"), "7")
    expect(page.locator("#seed .wrong")).to_have_count(0)
    page.get_by_text("More settings").click()
    steps, forecast = page.locator("#steps input[type=number]"), page.locator("#forecast .forecast")
    expect(forecast).to_contain_text("of 128 G MACs")
    at_20 = forecast.inner_text()
    write(steps, "100")
    expect(page.locator("#steps .wrong")).to_contain_text("100 is not within 4 to 50")
    assert forecast.inner_text() == at_20
    steps.press("Enter")
    expect(steps).to_have_value("50")
    expect(forecast).to_contain_text("of 320 G MACs")
    write(steps, "")
    steps.press("Enter")
    expect(steps).to_have_value("50")
    expect(page.locator("#steps .wrong")).to_contain_text("not a number")
    write(page.locator("#until input[type=number]"), "0.2")
    write(page.locator("#from input[type=number]"), "0.4")
    page.keyboard.press("Tab")
    expect(page.locator("#until .wrong")).to_contain_text("later than 0.4")
    page.locator("#run").click()
    expect(page.locator("#run-told .refused")).to_contain_text("control_start 0.4 must lie before control_end 0.2")
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator(".panes.recorded img")).to_have_count(3)
    expect(page.locator("#figures .arms-table")).to_be_visible()
    assert toasts.count() == 0


def test_a_missed_calibration_is_offered_where_it_is_missed_and_run_wipes_nothing(page: Page) -> None:
    page.get_by_text("More settings").click()
    steps = page.locator("#steps input[type=number]")
    write(steps, "13")
    steps.press("Enter")
    expect(page.locator("#calibrate-here")).to_be_hidden()
    choose(page, "#method", "Block Caching")
    expect(page.locator("#calibrate-here")).to_be_visible()
    expect(page.locator("#missed-told")).to_contain_text("over 8 scenes")
    page.locator("#run").click()
    expect(page.locator("#run-told .refused")).to_contain_text("is not calibrated for segmentation")
    expect(page.locator(".panes.recorded img")).to_have_count(3)
    choose(page, "#method", "DeepCache")
    expect(page.locator("#calibrate-here")).to_be_hidden()


def test_a_reload_brings_drawing_words_and_settings_back(page: Page, visitors: Visitors, address: str) -> None:
    before = page.locator("#seen img").get_attribute("src") or ""
    page.locator("#painting .swatches").get_by_text("house").click()
    stroke(page)
    page.locator("#prompt textarea").fill("a lake at dusk")
    choose(page, "#method", "HGC")
    page.locator("#coarse-settings button").first.click()
    write(page.locator("#key-share input[type=number]"), "0.6")
    page.locator("#key-share input[type=number]").press("Enter")
    # More key steps than its budget has.
    expect(page.locator("#forecast .forecast")).to_contain_text("HGC: 73.9 G of 128 G MACs")
    expect(page.locator("#seen img")).not_to_have_attribute("src", before)
    seen, painted = page.locator("#seen img").get_attribute("src") or "", colour_share(page, PALETTE["house"])
    other = page.context.new_page()  # in another tab, something else
    other.goto(address)
    ready(other)
    expect(other.locator("#prompt textarea")).to_have_value("a lake at dusk")
    other.locator("#prompt textarea").fill("in another tab")
    other.close()
    forecast = page.locator("#forecast .forecast").inner_text()
    page.reload()
    ready(page)
    expect(page.locator("#prompt textarea")).to_have_value("a lake at dusk")
    expect(page.locator("#method input")).to_have_value("HGC")
    expect(page.locator("#forecast .forecast")).to_have_text(forecast, use_inner_text=True)
    expect(page.locator("#preset-reason")).to_contain_text("Your own settings")
    page.locator("#coarse-settings button").first.click()
    expect(page.locator("#key-share input[type=number]")).to_have_value("0.6")
    expect(page.locator("#seen img")).to_have_attribute("src", seen)
    assert colour_share(page, PALETTE["house"]) == painted
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#start-over").click()
    ready(page)
    expect(page.locator("#prompt textarea")).not_to_have_value("a lake at dusk")
    expect(page.locator("#method input")).to_have_value("Optimised")


def test_a_reload_brings_the_photo_back(page: Page, tmp_path: Path) -> None:
    Image.fromarray(paint(9_000_003).image).save(tmp_path / "photo.png")
    page.get_by_test_id("Use a photo-radio-label").click()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#seen-notes")).to_contain_text("Edge map")
    seen = page.locator("#seen img").get_attribute("src") or ""
    page.reload()
    expect(page.locator("#photo img")).to_be_visible()
    assert page.locator("#photo img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator("#seen img")).to_have_attribute("src", seen)


def test_a_list_that_is_only_passed_by_changes_nothing(page: Page) -> None:
    """By keyboard every field is passed; a list that a person leaves as it was asks for nothing."""
    choose(page, "#method", "HGC")
    page.locator("#coarse-settings button").first.click()
    write(page.locator("#key-share input[type=number]"), "0.6")
    expect(page.locator("#forecast .forecast")).to_contain_text("HGC: 73.9 G of 128 G MACs")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.locator("#method input").focus()
    page.keyboard.press("Tab")
    with page.expect_request(lambda request: request.method == "POST"):
        page.locator("#prompt textarea").fill("a lake at dusk")
    assert len(asked) == 1, "what the prompt asks for comes alone"
    expect(page.locator("#key-share input[type=number]")).to_have_value("0.6")
    page.locator("#method input").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#forecast .forecast")).not_to_contain_text("HGC")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(visitors: Visitors, address: str, theme: str) -> None:
    page = visitors(viewport=PHONE)
    page.goto(f"{address}/?__theme={theme}")
    ready(page)
    for name in ("Playground", "Inside", "Explore", "Schedules", "History", "How it works"):
        page.get_by_role("tab", name=name).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("tab", name="Playground").click()
    expect(page.locator("#run")).to_be_in_viewport()
    assert page.evaluate("document.body.classList.contains('dark')") is (theme == "dark")
