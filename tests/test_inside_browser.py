"""The Inside tab in a real browser: one step moves everything, a closer look, files to take away."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import served
from writing import write

from hgc.cache.trace import Trace
from hgc.studio.studio import Studio
from hgc.ui import Loader

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

STEPS = 6
BY_STEP = ("states", "attention", "macs", "latency")
# Kept for people to look at; git leaves the folder alone.
SCREENSHOTS = Path(__file__).parent.parent / "runs" / "screenshots"
# Moves the slider and reads back in one go, so that no server can have been asked in between.
MOVE = """wanted => {
    const slider = document.getElementById("step");
    slider.value = wanted;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    return {
        bands: [...document.querySelectorAll("#inside .step-band")].map(band => Number(band.dataset.step)),
        pictures: [...document.querySelectorAll("#step-pictures img")].map(
            image => [image.getAttribute("src"), JSON.parse(image.dataset.frames)]),
        words: [...document.querySelectorAll("#stepper [data-texts]")].map(
            element => [element.textContent, JSON.parse(element.dataset.texts)]),
    };
}"""

# Read in one go, since plotly may draw a chart anew at any time. The lowest of two or three charts over one another has
# the axis x2 or x3.
OVER_ITS_COLUMN = """([name, step]) => {
    const chart = document.getElementById(`chart-${name}`), band = chart.querySelector(".step-band");
    const numbers = [...chart.querySelectorAll(":is(.xtick, .x2tick, .x3tick) text")];
    const number = numbers.filter(text => text.textContent.trim() === String(step)).at(-1);
    if (!band || !number) return false;
    const over = band.getBoundingClientRect(), under = number.getBoundingClientRect();
    const middle = under.x + under.width / 2;
    return over.x < middle && middle < over.x + over.width && over.height > 100;
}"""


@pytest.fixture(scope="module")
def opened(browser: Browser, studio: Studio) -> Iterator[Page]:
    """The tab with a run of a few steps; errors in the page's scripts fail the module."""
    errors: list[str] = []
    with served(Loader(lambda: studio).start()) as built:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
        context.set_default_timeout(240_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(built.local_url)
        expect(page.locator(".status.ready")).to_be_visible()
        page.get_by_role("tab", name="Inside").click()
        expect(page.locator("#inside-empty")).to_contain_text("Nothing to open up yet")
        page.get_by_role("tab", name="Playground").click()
        expect(page.locator("#painting canvas").first).to_be_visible()
        page.get_by_text("More settings").click()
        write(page.locator("#steps input[type=number]"), str(STEPS))
        page.locator("#steps input[type=number]").press("Enter")
        page.locator("#run").click()
        expect(page.locator("#figures .figure").first).to_be_visible(timeout=240_000)
        page.get_by_role("tab", name="Inside").click()
        expect(page.locator("#inside .step-band")).to_have_count(len(BY_STEP))
        yield page
        context.close()
    assert errors == []


@pytest.fixture
def page(opened: Page) -> Page:
    """At the third step, at a desk, with nothing of the page in hand."""
    opened.set_viewport_size({"width": 1440, "height": 900})
    opened.evaluate("document.activeElement?.blur()")
    opened.evaluate(MOVE, 3)
    return opened


def at(page: Page) -> str:
    return page.locator("#stepper output").inner_text()


def photographed(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"inside-{name}.png", full_page=True)


def test_the_slider_moves_markers_pictures_and_words_at_once(page: Page) -> None:
    seen = []
    for step in (1, 4, STEPS):
        moved: dict[str, Any] = page.evaluate(MOVE, step)
        assert moved["bands"] == [step] * len(BY_STEP)
        assert len(moved["pictures"]) == 3
        for source, frames in moved["pictures"]:
            assert len(frames) == STEPS
            assert source == frames[step - 1]
        for words, texts in moved["words"]:
            assert words == texts[step - 1]
        seen.append([source for source, _ in moved["pictures"]])
    assert len({*map(tuple, seen)}) == 3


@pytest.mark.parametrize("name", BY_STEP)
def test_a_marker_stands_over_its_column(page: Page, name: str) -> None:
    for step in (1, STEPS):
        page.evaluate(MOVE, step)
        page.wait_for_function(OVER_ITS_COLUMN, arg=[name, step])


def test_arrow_keys_buttons_and_columns_move_the_step(page: Page) -> None:
    page.keyboard.press("ArrowRight")
    assert at(page) == f"Step 4 of {STEPS}"
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    assert at(page) == f"Step 2 of {STEPS}"
    page.get_by_label("One step back").click()
    page.get_by_label("One step back").click()
    assert at(page) == f"Step 1 of {STEPS}"
    page.get_by_label("One step on").click()
    assert at(page) == f"Step 2 of {STEPS}"
    page.get_by_role("slider", name="Step").focus()
    page.keyboard.press("ArrowRight")
    assert at(page) == f"Step 3 of {STEPS}"
    page.locator("#chart-macs").scroll_into_view_if_needed()
    column: Any = page.locator("#chart-macs .xtick text").get_by_text("5", exact=True).bounding_box()
    plot: Any = page.locator("#chart-macs .step-band").bounding_box()
    page.mouse.click(column["x"] + column["width"] / 2, plot["y"] + plot["height"] - 4)
    expect(page.locator("#stepper output")).to_have_text(f"Step 5 of {STEPS}")


def test_the_step_stays_in_sight_while_one_reads_on(page: Page) -> None:
    page.locator("#chart-attention").scroll_into_view_if_needed()
    page.mouse.wheel(0, 600)
    expect(page.locator("#step")).to_be_in_viewport()


def test_another_detail_keeps_the_marker(page: Page) -> None:
    page.get_by_test_id("All sites-radio-label").click()
    expect(page.locator("#chart-states .ytick").nth(60)).to_be_attached()
    expect(page.locator("#chart-states .step-band")).to_have_attribute("data-step", "3")
    page.get_by_test_id("Blocks-radio-label").click()
    expect(page.locator("#chart-states .ytick").nth(60)).not_to_be_attached()
    expect(page.locator("#chart-states .step-band")).to_have_attribute("data-step", "3")


def taken(page: Page, name: str, where: Path) -> Path:
    with page.expect_download() as download:
        page.locator(f"#take-{name.replace('.', '-')}").click()
    path = where / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_traces_can_be_taken_away(page: Page, tmp_path: Path) -> None:
    digest = page.locator("#inside-summary code").inner_text()
    trace = Trace.from_json(taken(page, "trace.json", tmp_path).read_text())
    assert trace.digest == digest
    rows = list(csv.DictReader(taken(page, "trace.csv", tmp_path).read_text().splitlines()))
    assert len(rows) == len(trace.sites) * STEPS
    told = json.loads(taken(page, "trace.perfetto.json", tmp_path).read_text())
    assert told["otherData"]["arms"]["cached"]["digest"] == digest
    assert {path.name.split("-")[1] for path in tmp_path.iterdir()} == {digest}


def test_charts_can_be_taken_away_and_give_pictures(page: Page, browser: Browser, tmp_path: Path) -> None:
    path = taken(page, "charts.html", tmp_path)
    context = browser.new_context(accept_downloads=True, offline=True)
    alone = context.new_page()
    alone.goto(path.as_uri())
    plots = alone.locator(".js-plotly-plot")
    expect(plots.first.locator(".main-svg").first).to_be_visible()
    assert plots.count() >= 6
    plots.first.hover()
    with alone.expect_download() as download:
        plots.first.locator('[data-title="Download plot as a PNG"]').click()
    with Image.open(download.value.path()) as picture:
        assert picture.format == "PNG"
        assert picture.width > 600
    context.close()


def test_a_closer_look_shows_words_maps_and_drift(page: Page) -> None:
    prompt = page.locator("#prompt textarea").input_value()
    page.locator("#look").click()
    maps = page.locator("#attention-view img")
    expect(maps).to_have_count(3, timeout=240_000)
    expect(page.locator("#look")).to_be_hidden()
    words = [word.split(" (")[0] for word in page.locator("#word label").all_inner_texts()]
    assert words == [word for word in prompt.lower().replace(",", " ").replace(".", " ").split() if word]
    page.evaluate(MOVE, STEPS)
    fresh, used, apart = (image.get_attribute("src") for image in maps.all())
    assert len({fresh, used, apart}) == 3
    page.locator("#word label").nth(0).click()
    expect(maps.first).not_to_have_attribute("src", fresh or "")
    page.locator("#layer input").click()
    page.get_by_role("option", name="UNet down 1 · 1").click()
    expect(page.locator("#attention-view figcaption").nth(1)).to_contain_text("last in step")
    page.evaluate(MOVE, 1)
    first = [image.get_attribute("src") for image in maps.all()]
    assert first[0] == first[1], "the first step is computed in both arms, from the same noise"
    expect(page.locator("#chart-drift .step-band")).to_have_attribute("data-step", "1")
    hover = page.evaluate(
        "document.querySelector('#chart-states .js-plotly-plot').data.find(part => part.name === 'cells').text.flat()"
    )
    assert any("in the full arm it moved by" in text for text in hover)
    page.evaluate(MOVE, 4)
    photographed(page, "light")


def test_every_arm_can_be_opened(page: Page) -> None:
    """A run of the example of the fine cache with a rival: everything follows the arm that is chosen."""
    page.get_by_role("tab", name="Playground").click()
    page.locator("#examples button").filter(has_text="Fine cache").click()
    expect(page.locator("#preset-reason")).to_contain_text("came from the cache")
    page.locator("#rival-choice input").click()
    page.get_by_role("option", name="Fewer steps").click()
    expect(page.locator("#forecast .forecast")).to_contain_text("Fewer steps")
    page.locator("#run").click()
    page.get_by_role("tab", name="Inside").click()
    arms = page.locator("#arm label")
    expect(arms).to_have_text(["Full", "HGC", "Fewer steps"], timeout=240_000)
    hits, digests = [], []
    for number, title in enumerate(("Full", "HGC", "Fewer steps")):
        arms.nth(number).click()
        shown = ["Full", title] if number else ["Full"]
        expect(page.locator("#stepper .did b")).to_have_text(shown)
        expect(page.locator("#step-pictures img")).to_have_count(3 if number else 1)
        expect(page.locator("#chart-macs .legendtext")).to_have_text(shown)
        expect(page.locator("#inside .step-band")).to_have_count(len(BY_STEP))
        hits.append(int(page.locator("#attention-totals b").first.inner_text().rstrip("%")))
        digests.append(page.locator("#inside-summary code").inner_text())
    assert hits[1] > 0 == hits[0] == hits[2]
    assert len(set(digests)) == 3
    page.locator("#look").click()
    expect(page.locator("#attention-view img")).to_have_count(3, timeout=240_000)
    expect(page.locator("#attention-view img").nth(1)).to_have_attribute("alt", re.compile("^Fewer steps: "))
    photographed(page, "rival")
    arms.nth(1).click()
    expect(page.locator("#attention-view img").nth(1)).to_have_attribute("alt", re.compile("^HGC: "))


@pytest.mark.parametrize(("name", "width"), [("phone", 390), ("dark", 1440), ("dark-phone", 390)])
def test_it_fits_a_phone_and_the_dark(page: Page, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", name.startswith("dark"))
    expect(page.locator("#stepper")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for frame in page.locator("#step-pictures .frame").all():
        box: Any = frame.bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=1)
        assert box["width"] > 100
    photographed(page, name)
    page.evaluate("document.body.classList.remove('dark')")
