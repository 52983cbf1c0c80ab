"""The canvas, drawn on with mouse and keys in a real browser, and what the model makes of it."""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
import pytest
from conftest import PATIENCE_MS
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import served
from skimage import data
from skimage.segmentation import flood

from hgc.control import annotators
from hgc.landscapes.labels import PALETTE
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.components.easel import CANVAS_PX

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

TITLES = {name: name.replace("_", " or ") for name in PALETTE}


@pytest.fixture(scope="module")
def served_page(studio: Studio) -> Iterator[gr.Blocks]:
    with served(Loader(lambda: studio).start()) as built:
        yield built


@pytest.fixture(scope="module")
def opened(browser: Browser, served_page: gr.Blocks) -> Iterator[Page]:
    """One page for all tests: to load it takes longer than to draw on it."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(served_page.local_url)
    expect(page.locator(".status.ready")).to_be_visible()
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def page(opened: Page) -> Page:
    """The page with a bare sheet on the canvas for areas, the brush in hand, 26 pixels wide."""
    opened.get_by_test_id("Paint areas-radio-label").click()
    expect(opened.locator("#painting .easel[data-ready]")).to_be_visible()
    choose(opened, tool="Brush")
    opened.locator("#painting .size input").fill("26")
    do(opened, "clear")
    return opened


def sheet(page: Page, name: str = "painting") -> np.ndarray:
    """The canvas as it is, uint8 [512, 512, 4]."""
    return decoded(url(page, name))


def url(page: Page, name: str = "painting") -> str:
    return str(page.locator(f"#{name} canvas").evaluate("canvas => canvas.toDataURL()"))


def decoded(url: str) -> np.ndarray:
    raw = np.frombuffer(b64decode(url.split(",")[1]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


def drag(page: Page, start: tuple[int, int], end: tuple[int, int], name: str = "painting") -> None:
    """Drags the mouse between two points of the sheet, given in its own pixels."""
    box = page.locator(f"#{name} canvas").bounding_box()
    assert box is not None
    scale = box["width"] / CANVAS_PX
    page.mouse.move(box["x"] + start[0] * scale, box["y"] + start[1] * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * scale, box["y"] + end[1] * scale, steps=5)
    page.mouse.up()


def choose(page: Page, *, tool: str = "", colour: str = "", name: str = "painting") -> None:
    for group, title in (("choices", tool), ("swatches", colour)):
        if title:
            page.locator(f"#{name} .{group} label").get_by_text(title, exact=True).click()


def do(page: Page, what: str, name: str = "painting") -> None:
    page.locator(f"#{name} [data-do={what}]").click()


def take_example(page: Page, number: int) -> None:
    before = url(page)
    page.locator("#examples button").nth(number).click()
    page.wait_for_function("old => document.querySelector('#painting canvas').toDataURL() !== old", arg=before)


def is_class(pixels: np.ndarray, name: str) -> np.ndarray:
    return (pixels == (*PALETTE[name], 255)).all(axis=-1)


def test_every_swatch_paints_its_own_colour_at_once(page: Page) -> None:
    for row, (name, title) in enumerate(TITLES.items()):
        y = 30 + 50 * row
        choose(page, colour=title)
        drag(page, (60, y), (200, y))
        assert is_class(sheet(page)[y, 70:190], name).all(), name


def test_the_choice_and_the_stroke_may_come_in_one_breath(page: Page) -> None:
    """Both events reach the page before it does anything else."""
    painted = page.evaluate("""() => {
        const canvas = document.querySelector("#painting canvas");
        const box = canvas.getBoundingClientRect();
        const found = [];
        document.querySelectorAll("#painting .swatches label").forEach((label, i) => {
            const [x, y] = [0.5, (i + 0.5) / 10];
            const at = {clientX: box.x + x * box.width, clientY: box.y + y * box.height, pointerId: 1};
            label.click();
            canvas.setPointerCapture = () => {};
            canvas.dispatchEvent(new PointerEvent("pointerdown", at));
            canvas.dispatchEvent(new PointerEvent("pointerup", at));
            const pixel = canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data;
            found.push([...pixel]);
        });
        return found;
    }""")
    assert painted == [[*colour, 255] for colour in PALETTE.values()]


def test_strokes_have_exact_colours_and_the_chosen_width(page: Page) -> None:
    before = sheet(page)
    choose(page, colour="house")
    page.locator("#painting .size input").fill("40")
    drag(page, (100, 256), (400, 256))
    after = sheet(page)
    changed = (before != after).any(axis=2)
    assert is_class(after[changed], "house").all()
    assert 38 <= changed[:, 200].sum() <= 42
    assert np.flatnonzero(changed.any(axis=0)).min() == pytest.approx(80, abs=3)


def test_a_line_is_straight_whatever_the_hand_did(page: Page) -> None:
    do(page, "clear")
    choose(page, tool="Line", colour="path")
    page.locator("#painting .size input").fill("8")
    box = page.locator("#painting canvas").bounding_box()
    assert box is not None
    scale = box["width"] / CANVAS_PX
    points = [(60, 60), (60, 400), (300, 100), (440, 440)]
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * scale, box["y"] + y * scale)
        if not number:
            page.mouse.down()
    page.mouse.up()
    drawn = is_class(sheet(page), "path")
    y, x = np.mgrid[:CANVAS_PX, :CANVAS_PX]
    along = np.clip(((x - 60) + (y - 60)) / (2 * 380), 0, 1) * 380 + 60
    expected = np.hypot(x - along, y - along) <= 4
    assert (drawn & expected).sum() / (drawn | expected).sum() > 0.9


def test_fill_floods_the_area_that_was_clicked(page: Page) -> None:
    take_example(page, 0)
    before = sheet(page)
    choose(page, tool="Fill", colour="sun or moon")
    drag(page, (20, 500), (20, 500))
    classes = (before[:, :, :3].astype(int) * (1, 256, 65536)).sum(axis=2)
    area = flood(classes, (500, 20), connectivity=1)
    assert 0.05 < area.mean() < 0.95
    expected = before.copy()
    expected[area] = (*PALETTE["sun_moon"], 255)
    np.testing.assert_array_equal(sheet(page), expected)
    expect(page.locator("#seen-notes")).to_contain_text("no pixel was snapped")


def test_undo_redo_clear_and_eraser(page: Page) -> None:
    first = sheet(page)
    choose(page, colour="tree")
    drag(page, (50, 50), (300, 50))
    second = sheet(page)
    choose(page, tool="Eraser")
    drag(page, (50, 50), (120, 50))
    third = sheet(page)
    assert third[50, 80, 3] == 0
    do(page, "undo")
    np.testing.assert_array_equal(sheet(page), second)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(sheet(page), first)
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    np.testing.assert_array_equal(sheet(page), third)
    do(page, "clear")
    assert not sheet(page).any()
    expect(page.locator("#seen-notes")).to_contain_text("Nothing is painted")
    do(page, "undo")
    np.testing.assert_array_equal(sheet(page), third)


def test_an_example_can_be_undone_and_drawn_on(page: Page) -> None:
    choose(page, colour="house")
    drag(page, (100, 100), (200, 100))
    mine = sheet(page)
    before = url(page)
    page.locator("#examples button").nth(2).click()
    page.wait_for_function("old => document.querySelector('#painting canvas').toDataURL() !== old", arg=before)
    do(page, "undo")
    np.testing.assert_array_equal(sheet(page), mine)


def test_the_drawing_survives_tabs_and_the_other_canvas(page: Page) -> None:
    choose(page, colour="house")
    drag(page, (100, 100), (400, 100))
    mine = sheet(page)
    page.get_by_role("tab", name="Inside").click()
    page.get_by_role("tab", name="Playground").click()
    expect(page.locator("#painting canvas")).to_be_visible()
    np.testing.assert_array_equal(sheet(page), mine)
    page.get_by_test_id("Draw lines-radio-label").click()
    expect(page.locator("#lines .easel[data-ready]")).to_be_visible()
    drag(page, (100, 100), (400, 300), "lines")
    expect(page.locator("#seen-notes")).to_contain_text("turned round")
    page.get_by_test_id("Paint areas-radio-label").click()
    expect(page.locator("#painting .easel[data-ready]")).to_be_visible()
    np.testing.assert_array_equal(sheet(page), mine)
    do(page, "undo")
    assert not np.array_equal(sheet(page), mine)


def test_drawing_by_keyboard(page: Page) -> None:
    do(page, "clear")
    choose(page, colour="water")
    canvas = page.locator("#painting canvas")
    canvas.focus()
    page.keyboard.press(" ")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    painted = is_class(sheet(page), "water")
    assert painted[CANVAS_PX // 2, CANVAS_PX // 2 : CANVAS_PX // 2 + 60].all()
    expect(page.locator("#seen-notes")).to_contain_text("unpainted")


@pytest.mark.parametrize(("paper", "pen", "told"), [(255, 0, "turned round"), (0, 255, "left as they are")])
def test_the_polarity_of_a_sketch_is_found_told_and_drawn_on(
    page: Page, tmp_path: Path, paper: int, pen: int, told: str
) -> None:
    sketch = np.full((256, 256, 3), paper, np.uint8)
    cv2.circle(sketch, (128, 128), 70, (pen,) * 3, 3)
    Image.fromarray(sketch).save(tmp_path / "sketch.png")
    page.get_by_test_id("Use a photo-radio-label").click()
    page.locator("#annotator input").click()
    page.get_by_role("option", name="It is a line drawing already").click()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "sketch.png")
    expect(page.locator("#seen-notes")).to_contain_text(told)
    page.locator("#edit-map").click()
    expect(page.locator("#lines .easel[data-ready]")).to_be_visible()
    page.wait_for_function("""() => {
        const seen = document.querySelector("#lines canvas").getContext("2d").getImageData(116, 256, 30, 1).data;
        return seen.some(Boolean);
    }""")
    drawn = sheet(page, "lines")
    assert drawn[256, 116:146, 3].any()
    assert not drawn[256, 256, 3], "the paper is bare"
    do(page, "undo", "lines")
    assert not np.array_equal(sheet(page, "lines"), drawn)


def test_snapping_of_an_uploaded_map_is_reported(page: Page, tmp_path: Path) -> None:
    Image.fromarray(np.full((256, 256, 3), (95, 175, 90), np.uint8)).save(tmp_path / "map.png")
    page.get_by_test_id("Use a photo-radio-label").click()
    page.locator("#annotator input").click()
    page.get_by_role("option", name="It is a label map already").click()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "map.png")
    expect(page.locator("#seen-notes")).to_contain_text("100% of the pixels were snapped")
    page.locator("#edit-map").click()
    expect(page.locator("#painting .easel[data-ready]")).to_be_visible()
    page.wait_for_function("""() => {
        const pixel = document.querySelector("#painting canvas").getContext("2d").getImageData(9, 9, 1, 1).data;
        return pixel[1] === 180;
    }""")
    assert is_class(sheet(page), "grass").all()


def choose_reading(page: Page, name: str) -> None:
    page.locator("#annotator input").click()
    page.get_by_role("option", name=name).first.click()


def test_a_slow_detector_is_seen_to_work_and_another_choice_does_not_wait_for_it(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answer, ended = threading.Event(), threading.Event(), threading.Event()
    detector = annotators._detector

    def slow(annotator: annotators.Annotator, weights: str | None) -> Any:
        if not annotator.needs_weights:
            return detector(annotator, weights)
        begun.set()
        answer.wait(60)
        ended.set()
        raise annotators.AnnotatorUnavailable("these weights could not be fetched")

    monkeypatch.setattr(annotators, "_detector", slow)
    Image.fromarray(data.coffee()).save(tmp_path / "photo.png")
    page.get_by_test_id("Use a photo-radio-label").click()
    choose_reading(page, "Canny")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "photo.png")
    told = page.locator("#seen-notes")
    try:
        expect(told).to_contain_text("read from your photo by Canny")
        choose_reading(page, "Soft edges (HED)")
        expect(told).to_contain_text("Reading your photo. The first time")
        expect(told).not_to_contain_text("by Canny")
        expect(page.locator("#seen img")).to_have_count(0)
        assert begun.wait(30)
        choose_reading(page, "Line art (standard)")
        expect(told).to_contain_text("read from your photo by Line art (standard)")
        assert not ended.is_set(), "the answer came while the other detector was still at work"
    finally:
        answer.set()
    assert ended.wait(30)
    page.get_by_test_id("Fit: bare bars-radio-label").click()
    expect(told).to_contain_text("bars stay bare at the top and the bottom")
    expect(told).to_contain_text("by Line art (standard)")
    choose_reading(page, "Soft edges (HED)")
    expect(told).to_contain_text("These weights could not be fetched")
    expect(page.locator("#photo img")).to_be_visible()
    page.get_by_test_id("Crop-radio-label").click()
    choose_reading(page, "Canny")
    expect(told).to_contain_text("cut off on the left and the right")


def test_a_photo_is_drawn_over_and_only_the_strokes_are_read(page: Page, tmp_path: Path) -> None:
    Image.fromarray(data.coffee()).save(tmp_path / "photo.png")
    page.get_by_test_id("Use a photo-radio-label").click()
    choose_reading(page, "Canny")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#seen-notes")).to_contain_text("by Canny")
    page.locator("#trace").click()
    expect(page.locator("#lines .easel[data-ready]")).to_be_visible()
    expect(page.locator("#under")).to_contain_text("Only what you draw is used")
    beneath = "getComputedStyle(document.querySelector('#lines .sheet')).backgroundImage.includes('data:image/png')"
    page.wait_for_function(beneath)
    page.wait_for_function("""() => {
        const canvas = document.querySelector("#lines canvas");
        return !canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
    }""")
    drag(page, (100, 256), (400, 256), "lines")
    assert sheet(page, "lines")[:, :, 3].astype(bool).mean() < 0.02, "the photo is no part of the drawing"
    expect(page.locator("#seen-notes")).to_contain_text("turned round")
    page.locator("#lift").click()
    expect(page.locator("#tracing")).to_be_hidden()
    page.wait_for_function(f"() => !{beneath}")
    assert sheet(page, "lines")[256, 110:390, 3].all(), "the strokes stay"
