"""More to draw from: sizes, a second control, a picture to begin from; in a real browser on a small hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from opened import Visitors, app, opened
from PIL import Image
from playwright.sync_api import Page, expect
from test_app_browser import choose, fewer_steps, finished, natural_size
from test_models_browser import line, loaded, model, own

from hgc.models.loras import add_lora

pytestmark = [pytest.mark.browser, pytest.mark.long]

WIDE = (256, 192)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's place on disk."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(small_hub: Path, folder: Path) -> Iterator[str]:
    """Over the small hub."""
    with app(folder, HF_HOME=str(small_hub)) as served:
        yield served


@pytest.fixture
def page(visitors: Visitors, address: str) -> Iterator[Page]:
    with opened(visitors, address) as page:
        yield page


@pytest.fixture(scope="module")
def slope(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is bright on the right, three quarters as high as wide, as a depth map is."""
    path = tmp_path_factory.mktemp("pictures") / "slope.png"
    Image.fromarray(np.tile(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], (240, 1, 3))).save(path)
    return path


def sized(page: Page, text: str) -> None:
    """Types a size."""
    page.locator("#picture-size input").fill(text)
    page.locator("#picture-size input").press("Enter")
    page.locator("#picture-size input").press("Tab")


def added(folder: Path, file: Path, name: str) -> None:
    """Adds a LoRA as `hgc models add` does."""
    with chdir(folder):
        add_lora(str(file), name)


def macs(page: Page) -> str:
    return page.locator("#forecast .forecast").inner_text()


def test_union_takes_lines_and_depth_together_at_a_size_that_is_not_square(
    page: Page, visitors: Visitors, address: str, slope: Path
) -> None:
    page.get_by_text("Draw lines").first.click()
    line(page)
    model(page, "SDXL with a Union")
    loaded(page, "Sdxl-union")
    fewer_steps(page)
    page.get_by_text("More to draw from").click()
    sized(page, "256x192")
    expect(page.locator("#lines canvas").first).to_have_css("aspect-ratio", "256 / 192")
    expect(page.locator("#forecast .meter")).to_be_visible()
    alone = macs(page)
    choose(page, "#second", "Depth")
    expect(page.locator("#second-notes")).to_contain_text("no map yet")
    page.locator("#second-photo input[type=file]").set_input_files(slope)
    expect(page.locator("#second-notes")).to_contain_text("It is followed beside the first map")
    expect(page.locator("#forecast .forecast")).not_to_have_text(alone, use_inner_text=True)
    page.locator("#run").click()
    finished(page)
    assert natural_size(page.locator("#stage img").first) == WIDE
    box = page.locator("#stage .glass").first.bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(4 / 3, rel=0.02)
    expect(page.locator("#stage [data-arm]")).to_have_count(2)  # both arms
    expect(page.locator("#figures")).to_contain_text("edge F1")  # the judge's score of either
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator("#chart-macs .js-plotly-plot")).to_be_visible()
    expect(page.locator("#chart-states .js-plotly-plot")).to_contain_text("ControlNet")
    expect(page.locator("#step-pictures .frame img").first).to_be_visible()
    frame = page.locator("#step-pictures .frame").first.bounding_box()
    assert frame is not None
    assert frame["width"] / frame["height"] == pytest.approx(4 / 3, rel=0.02)
    page.get_by_role("tab", name="Schedules").click()  # which measures and searches for this very model and control
    expect(page.locator("#calibration-told")).to_contain_text("Nothing is measured yet for edges, Euler, 6 steps")
    expect(page.locator("#search-cost")).to_contain_text("For sdxl-union, edges, Euler, 6 steps")
    with opened(visitors, address) as another:  # a page that opens now has its areas in this model's classes
        expect(another.locator("#painting [type=search]")).to_be_visible()
        expect(another.locator("#seen-notes")).to_contain_text("no pixel was snapped")


def test_what_is_painted_over_a_picture_is_made_anew(page: Page, slope: Path) -> None:
    """In the proportions of the picture, with the lines that were drawn read as a scribble."""
    page.get_by_text("Draw lines").first.click()
    line(page)
    model(page, "Stable Diffusion 1.5 ·")
    loaded(page, "Sd15")
    expect(page.locator("#which")).to_be_visible()
    choose(page, "#which", "Depth (weights not here)")
    expect(page.locator("#photo")).to_be_visible()
    choose(page, "#which", "Canny edges")
    page.get_by_text("Draw lines").first.click()
    fewer_steps(page)
    page.get_by_text("More to draw from").click()
    sized(page, "256x192")
    page.locator("#begin-from input[type=file]").set_input_files(slope)
    page.get_by_text("Only what I paint over").click()
    expect(page.locator("#mask .sheet")).to_have_css("background-image", re.compile("data:image/png"))
    page.locator("#run").click()
    expect(page.locator(".run-told.refused")).to_contain_text("Nothing is painted over the picture")
    line(page, where="#mask")
    page.locator("#run").click()
    finished(page)
    assert natural_size(page.locator("#stage img").first) == WIDE
    # All of it is there after a reload.
    page.reload()
    loaded(page, "Sd15")
    page.get_by_text("More to draw from").click()
    expect(page.locator("#picture-size input")).to_have_value("256x192")
    expect(page.locator("#begin-from img")).to_be_visible()
    expect(page.locator("#mask canvas").first).to_be_visible()


def test_an_inpainting_control_reads_the_picture_and_its_mask(page: Page, slope: Path) -> None:
    """Choosing it opens where both are given; no other map is asked for, and the drawing is there afterwards."""
    page.get_by_text("Draw lines").first.click()
    line(page)
    model(page, "Stable Diffusion 1.5 ·")
    loaded(page, "Sd15")
    expect(page.locator("#which")).to_be_visible()
    choose(page, "#which", "Inpainting")
    expect(page.locator("#seen-notes")).to_contain_text("give it one under More to draw from")
    for part in ("#source", "#lines canvas", "#photo"):
        expect(page.locator(part).first).to_be_hidden()
    sized(page, "256x192")
    page.locator("#begin-from input[type=file]").set_input_files(slope)
    expect(page.locator("#seen-notes")).to_contain_text("paint over the part to change")
    line(page, where="#mask")
    expect(page.locator("#seen-notes")).to_contain_text("What you painted over is black here")
    expect(page.locator("#seen img")).to_be_visible()
    fewer_steps(page)
    page.locator("#run").click()
    finished(page)
    assert natural_size(page.locator("#stage img").first) == WIDE
    expect(page.locator("#figures")).to_contain_text("Control score")
    choose(page, "#which", "Canny edges")
    expect(page.locator("#lines canvas").first).to_be_visible()
    choose(page, "#second", "Inpainting")
    expect(page.locator("#second-notes")).to_contain_text("What you painted over is black here")
    expect(page.locator("#second-photo")).to_be_hidden()


def test_a_lora_is_added_on_the_page(page: Page, small_hub: Path) -> None:
    model(page, "Stable Diffusion 1.5 ·")
    loaded(page, "Sd15")
    own(page, what=str(small_hub / "files" / "lora_peft.safetensors"), name="ink")
    expect(page.locator("#own-told")).to_contain_text("is a LoRA for the model that is loaded")
    expect(page.locator("#own-open")).to_have_text("Add")
    page.locator("#own-open").click()
    expect(page.locator("#model-told")).to_contain_text("The LoRA ink is in the list under LoRAs")
    page.locator("#loras").get_by_text("LoRAs", exact=True).click()
    choose(page, "#lora-1", "ink")
    expect(page.locator("#forecast .meter")).to_be_visible()


def test_loras_are_picked_weighed_and_come_back(page: Page, small_hub: Path, folder: Path) -> None:
    """Where one was added for the loaded model; a name that nobody added is told before Run."""
    for name in ("peft", "kohya"):
        added(folder, small_hub / "files" / f"lora_{name}.safetensors", name)
    page.reload()  # which sees what was added, whichever model is loaded
    expect(page.locator(".status.ready")).to_be_visible()
    page.get_by_text("Draw lines").first.click()
    line(page)
    model(page, "Stable Diffusion 1.5 ·")
    loaded(page, "Sd15")
    fewer_steps(page)
    expect(page.locator("#forecast .meter")).to_be_visible()
    alone = macs(page)
    page.locator("#loras").get_by_text("LoRAs", exact=True).click()
    expect(page.locator("#lora-row-2")).to_be_hidden()
    choose(page, "#lora-1", "kohya")
    page.locator("#lora-weight-1 input").fill("0.5")
    expect(page.locator("#lora-row-2")).to_be_visible()
    expect(page.locator("#lora-row-3")).to_be_hidden()
    expect(page.locator("#forecast .forecast")).not_to_have_text(alone, use_inner_text=True)
    page.locator("#lora-2 input").fill("nobody")
    page.locator("#lora-2 input").press("Enter")
    page.locator("#lora-2 input").press("Tab")
    expect(page.locator("#forecast .forecast")).to_contain_text(
        re.compile("unknown LoRA 'nobody'; added are .*peft, kohya")
    )
    choose(page, "#lora-2", "peft")
    expect(page.locator("#forecast .meter")).to_be_visible()
    page.locator("#run").click()
    finished(page)
    page.reload()
    loaded(page, "Sd15")
    page.locator("#loras").get_by_text("LoRAs", exact=True).click()
    expect(page.locator("#lora-1 input")).to_have_value("kohya")
    expect(page.locator("#lora-weight-1 input")).to_have_value("0.5")
    expect(page.locator("#lora-2 input")).to_have_value("peft")
    model(page, "Landscapes")
    loaded(page, "Landscapes")
    expect(page.locator("#model-told")).to_contain_text("The LoRA kohya is not for this model.")
    expect(page.locator("#loras")).to_be_hidden()
