"""Models chosen in the page's header, in a real browser on a small hub of random models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import loopback
import numpy as np
import pytest
import smallhub
from opened import RUN_MS, Visitors, app, opened, ready
from playwright.sync_api import Page, expect
from test_app_browser import PHONE, choose, fewer_steps, finished, natural_size

from hgc.control import ade20k, coco_stuff
from hgc.ui.components.easel import from_url

pytestmark = [pytest.mark.browser, pytest.mark.long]


@pytest.fixture(scope="module")
def address(small_hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Over the small hub."""
    with app(tmp_path_factory.mktemp("page"), HF_HOME=str(small_hub)) as served:
        yield served


@pytest.fixture
def page(visitors: Visitors, address: str) -> Iterator[Page]:
    with opened(visitors, address) as page:
        yield page


def model(page: Page, title: str) -> None:
    """Chooses a model whose entry begins so."""
    page.locator("#model input").click()
    page.get_by_role("option", name=re.compile(f"^{re.escape(title)}")).click()


def loaded(page: Page, name: str) -> None:
    expect(page.locator(".status.ready")).to_contain_text(name, timeout=RUN_MS)


def line(page: Page, shift: float = 0, where: str = "#lines") -> None:
    """Draws a line on a canvas, by default the one for lines."""
    canvas = page.locator(f"{where} canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 60 + shift)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 120 + shift, steps=5)
    page.mouse.up()


def sheet(page: Page) -> Any:
    """What is on the canvas for lines."""
    return page.locator("#lines canvas").first.evaluate("canvas => canvas.toDataURL()")


def thresholds(page: Page) -> list[str]:
    """Canny's."""
    page.locator("#source").get_by_text("Use a photo").click()
    expect(page.locator("#thresholds")).to_be_visible()
    low = page.locator("#low input[type=number]")
    if not low.is_visible():
        page.locator("#thresholds").get_by_text("Crop, resolution and thresholds").click()
    expect(low).to_be_visible()
    return [page.locator(f"#{name} input[type=number]").input_value() for name in ("low", "high")]


def painted(page: Page) -> Any:
    """What is on the canvas for areas."""
    return page.locator("#painting canvas").evaluate("canvas => canvas.toDataURL()")


def colours(url: str) -> set[str]:
    """Every colour that was painted."""
    sheet = from_url(url)
    return {hexed(colour) for colour in np.unique(sheet[sheet[:, :, 3] > 0][:, :3], axis=0)}


def hexed(colour: Any) -> str:
    return bytes(map(int, colour)).hex()


def test_another_model_is_chosen_drawn_for_and_run(page: Page) -> None:
    assert thresholds(page) == ["50", "120"], "Landscapes' own"
    page.get_by_text("Draw lines").click()
    line(page)
    drawn = sheet(page)
    page.get_by_text("Paint areas").click()
    model(page, "Stable Diffusion 1.5 ·")
    loaded(page, "Sd15")
    expect(page.locator("#model-told")).to_contain_text("Your painted areas stay on their canvas")
    expect(page.locator("#lines canvas").first).to_be_visible()
    expect(page.get_by_text("Paint areas")).to_be_hidden()
    expect(page.locator("#examples")).to_be_hidden()
    assert sheet(page) == drawn, "the drawing stays"
    assert thresholds(page) == ["100", "200"]
    page.locator("#source").get_by_text("Draw lines").click()
    fewer_steps(page)
    expect(page.locator("#guidance input[type=number]")).to_have_value("7.5")
    expect(page.locator("#sampler input")).to_have_value("UniPC")
    page.locator("#run").click()
    finished(page)
    assert natural_size(page.locator("#stage img").first) == (512, 512)
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator(".js-plotly-plot .main-svg >> visible=true").first).to_be_visible(timeout=RUN_MS)
    expect(page.locator(".toast-body")).to_have_count(0)
    # Whoever comes now finds the form as this model has it; back to the first one, areas are painted again.
    page.reload()
    loaded(page, "Sd15")
    expect(page.get_by_text("Paint areas")).to_be_hidden()
    model(page, "Landscapes")
    loaded(page, "Landscapes")
    expect(page.get_by_text("Paint areas")).to_be_visible()
    expect(page.locator("#examples")).to_be_visible()
    expect(page.locator("#model-card")).to_be_hidden()


def test_classes_are_searched_painted_and_kept_first(page: Page) -> None:
    """The drawing goes along to the classes of the model and of the other set, and back."""
    before = painted(page)
    model(page, "SDXL with a Union")
    loaded(page, "Sdxl-union")
    search, swatches = page.locator("#painting [type=search]"), page.locator("#painting .swatches label")
    expect(search).to_be_visible()
    expect(page.locator("#seen-notes")).to_contain_text("Exact colours: no pixel was snapped.")
    taken = painted(page)
    assert colours(taken) < {hexed(colour) for colour in ade20k.LABELS.palette.values()}
    search.press_sequentially("sk")
    expect(swatches).to_have_text(["sky", "skyscraper", "desk", "basket"])
    search.fill("no such thing")
    expect(page.locator("#painting .search")).to_contain_text("No class of this name.")
    search.fill("giraf")
    expect(swatches).to_have_count(0)
    search.fill("flag")
    search.press("Enter")
    expect(page.locator("#painting .with")).to_have_text("Paint with flag")
    line(page, where="#painting")
    assert colours(painted(page)) - colours(taken) == {hexed(ade20k.LABELS.palette["flag"])}
    search.fill("")
    expect(swatches.first).to_have_text("flag")
    search.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#painting .with")).not_to_have_text("Paint with flag")
    page.locator("#painting .sets").get_by_text("COCO-Stuff").click()
    expect(swatches.get_by_text("giraffe", exact=True)).to_be_visible()
    assert colours(painted(page)) < {hexed(colour) for colour in coco_stuff.LABELS.palette.values()}
    expect(page.locator("#seen-notes")).to_contain_text("of the pixels are unpainted and count as sky")
    choose(page, "#which", "Depth")  # which nobody can draw
    expect(page.locator("#photo")).to_be_visible()
    for drawn in ("Paint areas", "Draw lines", "Draw on this map"):
        expect(page.get_by_text(drawn)).to_be_hidden()
    choose(page, "#which", "Label map")
    expect(page.get_by_text("Draw lines")).to_be_hidden()
    page.get_by_text("Paint areas").click()
    model(page, "Landscapes")
    loaded(page, "Landscapes")
    expect(search).to_have_count(0)
    expect(page.get_by_text("Draw lines")).to_be_visible()
    assert len(colours(painted(page)) & colours(before)) >= 5


def test_a_model_that_is_not_here_is_offered_with_size_and_licence(page: Page) -> None:
    """Nothing is fetched before somebody says so; without a network one sentence says why it cannot be."""
    model(page, "SDXL-Turbo, 4 steps")
    expect(page.locator("#model-told")).to_contain_text(re.compile(r"about \d+\.\d GB with one ControlNet"))
    expect(page.locator("#model-told")).to_contain_text("Stability AI Community")
    expect(page.locator(".status.ready")).to_contain_text("Landscapes")
    page.locator("#fetch").click()
    expect(page.locator("#model-told .error")).to_be_visible()
    expect(page.locator(".status.ready")).to_contain_text("Landscapes")


@pytest.fixture(scope="module")
def hub(small_hub: Path) -> Iterator[loopback.Hub]:
    """A server of the small hub's files."""
    with loopback.serving(smallhub.listing(small_hub)) as server:
        yield server


def test_an_id_that_is_not_here_is_fetched_stopped_and_taken_up_again(
    visitors: Visitors, hub: loopback.Hub, tmp_path: Path
) -> None:
    """From the form for one's own model; Stop answers at once, however slow the hub is."""
    unet, text = (f"{part}.fp16.safetensors" for part in ("unet/diffusion_pytorch_model", "text_encoder/model"))
    place = {"HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    with app(tmp_path, **place) as served, opened(visitors, served) as page:
        own(page, what="some/where")
        expect(page.locator("#own-told .error")).to_contain_text("there is no repository some/where")
        own(page, what=smallhub.SD15, control=smallhub.CANNY, name="mine")
        for repo in (smallhub.SD15, smallhub.CANNY):
            expect(page.locator("#own-told")).to_contain_text(re.compile(rf"{repo}: .* MB to fetch, licence openrail"))
        assert not hub.sent, "asking is not fetching"
        hub.held[unet] = Event()
        page.locator("#own-fetch").click()
        expect(page.locator("#model-told")).to_contain_text("MB/s")
        expect(page.locator("#own-fetch")).to_be_hidden()
        page.locator("#stop-fetching").click()
        expect(page.locator("#model-told .error")).to_contain_text("fetch again to continue")
        expect(page.locator("#own-open")).to_be_hidden()
        expect(page.locator(".status.ready")).to_contain_text("Landscapes")
        assert hub.sent[unet] < small(hub, unet)
        hub.held.pop(unet).set()
        page.locator("#own-fetch").click()
        expect(page.locator("#own-told")).to_contain_text("Maps it can follow now: canny edges.")
        assert hub.sent[text] == small(hub, text), "what had come is not sent again"
        page.locator("#own-open").click()
        loaded(page, "Mine")
        # A control of the loaded model that is not here is offered in the same way, and then chosen still.
        expect(page.locator("#which")).to_be_visible()
        choose(page, "#which", "Inpainting (weights not here)")
        expect(page.locator("#model-told")).to_contain_text(f"{smallhub.INPAINT} is not on this machine")
        weights = "diffusion_pytorch_model.safetensors"
        before = hub.sent[weights]
        page.locator("#fetch").click()
        expect(page.locator("#which input")).to_have_value("Inpainting")
        expect(page.locator("#model-card")).to_be_hidden()
        assert hub.sent[weights] - before == hub.files[smallhub.INPAINT][weights].stat().st_size
        expect(page.locator("#forecast .meter")).to_be_visible()


def small(hub: loopback.Hub, name: str) -> int:
    """The bytes of a file of SD 1.5."""
    return hub.files[smallhub.SD15][name].stat().st_size


def test_the_picker_fits_on_a_phone(visitors: Visitors, address: str) -> None:
    opened = visitors(viewport=PHONE)
    opened.goto(address)
    ready(opened)
    assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = opened.locator("#model").bounding_box()
    assert box is not None
    assert box["width"] > 200


def own(page: Page, **fields: str) -> None:
    """The form for one's own model with these fields, looked at."""
    if not page.locator("#own-model").is_visible():
        model(page, "Your own")
    for name, value in fields.items():
        page.locator(f"#own-{name} :is(input, textarea)").fill(value)
    page.locator("#own-look").click()


def test_a_file_of_ones_own_is_recognised_opened_and_remembered(page: Page, address: str, small_hub: Path) -> None:
    """Faults stand beside their field and leave the loaded model; what is opened is in the list after a reload."""
    files = small_hub / "files"
    own(page, what=str(files / "my_canny.safetensors"))
    expect(page.locator("#own-model .own-note .error")).to_contain_text("holds a controlnet, not a whole model")
    expect(page.locator("#own-open")).to_be_hidden()
    own(page, what=str(files / "my_xl.safetensors"), control=str(files / "my_canny.safetensors"))
    expect(page.locator("#own-model .own-note .error")).to_contain_text("another family")
    expect(page.locator(".status.ready")).to_contain_text("Landscapes")
    own(page, what=str(files / "my_model.safetensors"), vae=str(files / "my_vae.safetensors"), name="mine")
    expect(page.locator("#own-told")).to_contain_text("Stable Diffusion 1.5")
    expect(page.locator("#own-told")).to_contain_text("free are")
    expect(page.locator("#own-model .own-note .error")).to_have_count(0)
    page.locator("#own-open").click()
    loaded(page, "Mine")
    expect(page.locator("#own-model")).to_be_hidden()
    line(page)
    fewer_steps(page)
    page.locator("#run").click()
    finished(page)
    assert natural_size(page.locator("#stage img").first) == (512, 512)
    page.reload()
    loaded(page, "Mine")
    expect(page.locator("#model input")).to_have_value(re.compile("^mine"))
    model(page, "Landscapes")
    loaded(page, "Landscapes")
