"""Runs kept, looked at, compared, deleted; a picture saved, dropped and made again; a link: in a real browser."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import gradio as gr
import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect
from repeating import Repeating
from serving import served
from writing import write

from hgc.evidence import read_signed
from hgc.history import History, HistoryPlace, opening
from hgc.results.records import signed
from hgc.ui import Loader

# gradio's own statistics, told by pandas; the warning lands in whatever test the server answers meanwhile.
pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

WIDE, PHONE = ViewportSize(width=1440, height=1000), ViewportSize(width=390, height=844)
Visitors = Callable[..., Page]
DROP = """async ([data, where]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], 'picture.png', {type: 'image/png'}));
  for (const name of ['dragover', 'drop']) {
    const event = new DragEvent(name, {bubbles: true, cancelable: true, dataTransfer: dropped});
    document.querySelector(where).dispatchEvent(event);
  }
}"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> HistoryPlace:
    return HistoryPlace(History(tmp_path_factory.mktemp("runs") / "history.sqlite"))


@pytest.fixture(scope="module")
def built(place: HistoryPlace) -> Iterator[gr.Blocks]:
    with served(Loader(Repeating).start(), place, opening()) as page:
        yield page


@pytest.fixture
def page(visitors: Visitors, built: gr.Blocks, place: HistoryPlace) -> Iterator[Page]:
    """The page with an empty history; an error in its scripts fails the test."""
    assert place.history is not None
    place.history.delete([entry.id for entry in place.history.entries()])
    opened = visitors(viewport=WIDE)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(built.local_url)
    expect(opened.locator(".status.ready")).to_be_visible()
    yield opened
    assert errors == []


def run(page: Page, prompt: str, seed: int = 0) -> None:
    """A finished run with these words."""
    page.get_by_role("tab", name="Playground").click()
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#seed input").fill(str(seed))
    page.locator("#run").click()
    expect(page.locator(f'#stage .result .picture[alt$="{prompt}"]').first).to_be_visible()
    expect(page.locator("#run")).to_be_enabled()


def tiles(page: Page, count: int) -> Locator:
    page.get_by_role("tab", name="History").click()
    expect(page.locator(".run")).to_have_count(count)
    return page.locator(".run")


def saved(page: Page, viewer: str, folder: Path) -> Path:
    """The cached picture as the page gives it away."""
    with page.expect_download() as news:
        page.locator(f"{viewer} [data-save=cached]").click()
    news.value.save_as(folder / "cached.png")
    return folder / "cached.png"


def drop(page: Page, path: Path, where: str = "#result-card") -> None:
    page.evaluate(DROP, [b64encode(path.read_bytes()).decode(), where])


def test_the_page_opens_with_a_recording_that_can_be_looked_at(page: Page, tmp_path: Path) -> None:
    first = page.locator(".panes.recorded")
    expect(first.locator("img")).to_have_count(3)
    expect(page.locator("#stage .under")).to_contain_text("A recording")
    page.screenshot(path=tmp_path / "opening.png")
    page.locator("#stage .under button").click()
    expect(page.locator("#stage .panes.result .arm img.picture")).to_have_count(3)
    expect(page.locator("#verdict")).to_contain_text("nothing was computed just now")
    run(page, "a lake")
    expect(page.locator("#verdict")).not_to_contain_text("recording")


def test_of_a_picture_whose_model_is_gone_comes_back_what_can(page: Page, tmp_path: Path) -> None:
    """The rest is named in one sentence with its remedy, and the form can be run."""
    made = Repeating().made
    gone = {"model": "mine", "sampler": "lcm", "control": "depth", "loras": ["ink=0.5"], "prompt": "a lake in ink"}
    picture = tmp_path / "cached.png"
    picture.write_bytes(signed(replace(made, request=made.request.but(**gone, steps=9)), "cached"))
    drop(page, picture)
    words = page.locator("#restored-words")
    expect(words).to_contain_text("Made with mine, and loaded is Landscapes (embedded): what both have is on the form.")
    expect(words).to_contain_text("Not on this machine: the model 'mine' (`hgc models add FILE --name mine`); the LoRA")
    expect(page.locator("#prompt textarea")).to_have_value("a lake in ink")
    page.screenshot(path=tmp_path / "gone.png")
    page.get_by_text("More settings").click()
    expect(page.locator("#steps input[type=number]")).to_have_value("9")
    page.locator("#run").click()
    expect(page.locator('#stage .result .picture[alt$="a lake in ink"]').first).to_be_visible()
    expect(page.locator(".toast-body")).to_have_count(0)


def test_run_save_drop_restore_run_again_identical(page: Page, tmp_path: Path) -> None:
    run(page, "a winter night with a lake", seed=5)
    tiles(page, 1).first.click()
    expect(page.locator("#history-viewer .result .arm")).to_have_count(2)
    picture = saved(page, "#history-viewer", tmp_path)
    evidence = read_signed(picture.read_bytes()).evidence
    assert (evidence.request.prompt, evidence.request.seed) == ("a winter night with a lake", 5)
    page.screenshot(path=tmp_path / "history.png", full_page=True)
    run(page, "something else", seed=6)
    assert read_signed(saved(page, "#stage", tmp_path).read_bytes()).evidence.request.prompt == "something else"
    expect(tiles(page, 2).nth(1).locator("input")).to_be_checked()
    drop(page, saved(page, "#history-viewer", tmp_path), "#runs-card")
    expect(page.locator("#restored-words")).to_contain_text("Restored from the cached picture")
    expect(page.locator("#prompt textarea")).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value("a winter night with a lake")
    expect(page.locator("#seed input")).to_have_value("5")
    page.locator("#again").click()
    expect(page.locator("#again-verdict")).to_contain_text("Identical: every pixel of the cached picture is the same")
    page.screenshot(path=tmp_path / "identical.png", full_page=True)
    # The form itself, too, asks for the same picture; another seed is said to be another.
    page.locator("#run").click()
    tiles(page, 4)
    page.get_by_role("tab", name="Playground").click()
    expect(page.locator("#again-verdict")).to_contain_text("Identical")
    run(page, "a winter night with a lake", seed=7)
    expect(page.locator("#again-verdict")).to_contain_text("Seed: 5 there, 7 here")


def test_two_runs_are_compared(page: Page, tmp_path: Path) -> None:
    run(page, "a lake by day", seed=1)
    run(page, "a lake at night", seed=2)
    shown = tiles(page, 2)
    shown.nth(1).click()
    expect(page.locator("#history-head")).to_contain_text("a lake by day")
    shown.nth(0).click()
    expect(page.locator("#history-head")).to_contain_text("Two runs compared")
    expect(page.locator("#history-viewer .result .arm")).to_have_count(2)
    expect(page.locator("#history-facts")).to_contain_text("PSNR")
    expect(page.locator(".pairs tbody tr")).to_have_text(["Prompta lake by daya lake at night", "Seed12"])
    for side, said in (("left", "Prompt: a lake by day · Seed: 1"), ("right", "Prompt: a lake at night · Seed: 2")):
        expect(page.locator(f"#history-viewer .result .arm.{side} figcaption")).to_contain_text(said)
    page.screenshot(path=tmp_path / "two.png", full_page=True)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.screenshot(path=tmp_path / "two-phone.png", full_page=True)


def test_search_tag_export_delete(page: Page, place: HistoryPlace, tmp_path: Path) -> None:
    for seed, prompt in enumerate(("a lake", "a meadow", "a mountain")):
        run(page, prompt, seed)
    page.get_by_role("tab", name="History").click()
    search = page.locator("#history-search input, #history-search textarea")
    write(search, "meadow")
    tiles(page, 1).first.click()
    write(page.locator("#tags input, #tags textarea"), "best, green")
    page.locator("#save-tags").click()
    expect(page.locator(".run .tags i")).to_have_text(["best", "green"])
    search.fill("green")
    tiles(page, 1)
    search.fill("")
    shown = tiles(page, 3)
    shown.nth(0).click()
    expect(page.locator("#history-head")).to_contain_text("Two runs")
    with page.expect_download() as news:
        page.locator("#export").click()
    news.value.save_as(tmp_path / "runs.zip")
    with ZipFile(tmp_path / "runs.zip") as archive:
        assert sum(name.endswith("/run.json") for name in archive.namelist()) == 2
    page.locator("#delete").click()
    expect(page.locator("#sure")).to_contain_text("Delete these 2 runs for good?")
    page.locator("#keep").click()
    expect(page.locator("#sure")).to_be_hidden()
    tiles(page, 3)
    page.locator("#delete").click()
    page.locator("#delete-now").click()
    tiles(page, 1)
    expect(page.locator("#history-choose")).to_be_visible()
    assert place.history is not None
    assert [entry.prompt for entry in place.history.entries()] == ["a lake"]


def test_a_kept_run_opens_again_with_its_settings(page: Page) -> None:
    run(page, "a lake in spring", seed=3)
    run(page, "another", seed=4)
    tiles(page, 2).nth(1).click()
    page.locator("#reopen").click()
    expect(page.locator("#prompt textarea")).to_have_value("a lake in spring")
    expect(page.locator("#seed input")).to_have_value("3")
    expect(page.locator("#verdict")).to_contain_text("A recording")
    expect(page.locator("#restored .as-restored")).to_be_visible()
    page.locator("#seed input").fill("9")
    expect(page.locator("#restored .changed")).to_be_visible()
    expect(page.locator("#restored .as-restored")).to_be_hidden()
    page.locator("#seed input").fill("3")
    expect(page.locator("#restored .as-restored")).to_be_visible()
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator("#inside")).to_be_visible()
    fitted(page)
    # Charts that are drawn unseen have their cards' width all the same.
    page.get_by_role("tab", name="History").click()
    tiles(page, 2).nth(1).locator("input").uncheck()
    tiles(page, 2).nth(0).click()
    page.locator("#reopen").click()
    expect(page.locator("#seed input")).to_have_value("4")
    expect(page.locator("#inside-summary")).to_contain_text("seed 4")
    page.get_by_role("tab", name="Inside").click()
    fitted(page)


def fitted(page: Page) -> None:
    """Every chart that can be seen is as wide as its card."""
    page.wait_for_function(
        """() => {
            const charts = [...document.querySelectorAll("#inside .chart")].filter((one) => one.offsetParent);
            const wide = (one) => one?.getBoundingClientRect().width ?? 0;
            return charts.length >= 4 && charts.every(
                (one) => Math.abs(wide(one.querySelector(".main-svg")) - wide(one)) < 2);
        }"""
    )


def test_other_pictures_get_one_sentence(page: Page, tmp_path: Path) -> None:
    page.locator("#prompt textarea").fill("mine")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for path, says in (
        (Path(__file__).parent.parent / "assets" / "examples" / "lake.png", "not made by HGC Studio"),
        (tmp_path / "broken.png", "damaged"),
    ):
        drop(page, path)
        expect(page.locator("#restored .error li")).to_have_count(1)
        expect(page.locator("#restored")).to_contain_text(says)
        expect(page.locator("#again")).to_be_hidden()
    expect(page.locator("#prompt textarea")).to_have_value("mine")
    page.locator("#close-restored").click()
    expect(page.locator("#restored")).to_be_hidden()


def test_a_link_brings_the_form_back(page: Page, visitors: Visitors) -> None:
    page.locator("#examples button").nth(1).click()
    expect(page.locator("#seed input")).to_have_value("1")
    page.locator("#prompt textarea").fill("a link to a lake")
    page.locator("#copy-link").click()
    link = page.locator("#linked input")
    expect(link).to_be_visible()
    seen = page.locator("#seen img").evaluate("i => i.decode().then(() => i.naturalWidth)")
    other = visitors(viewport=WIDE)
    other.goto(link.input_value())
    expect(other.locator("#prompt textarea")).to_have_value("a link to a lake")
    expect(other.locator("#seed input")).to_have_value("1")
    assert other.locator("#seen img").evaluate("i => i.decode().then(() => i.naturalWidth)") == seen
    damaged = visitors(viewport=WIDE)
    damaged.goto(link.input_value()[:-30])
    expect(damaged.locator("#restored")).to_contain_text("not whole")


def test_without_a_history_the_tab_says_so(visitors: Visitors) -> None:
    with served(Loader(Repeating).start()) as bare:
        page = visitors(viewport=WIDE)
        page.goto(bare.local_url)
        page.get_by_role("tab", name="History").click()
        expect(page.locator("#history-grid")).to_contain_text("Nothing is kept here")
        expect(page.locator("#runs-card")).to_contain_text("--no-history")
