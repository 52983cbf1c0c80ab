"""Nobody is kept out: axe-core over every tab in light and dark, focus that is seen, pictures and charts with names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from conftest import PATIENCE_MS
from playwright.sync_api import Browser, Page, ViewportSize, expect
from prerecorded import Prerecorded
from serving import served

from hgc.history import History, HistoryPlace, opening
from hgc.results.comparison import Comparison
from hgc.results.records import comparison_of
from hgc.studio.studio import Studio
from hgc.ui import Loader

# gradio's own statistics, told by pandas; the warning lands in whatever test the server answers meanwhile.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
# A tab, and what stands in it when it is filled.
TABS = {
    "Playground": "#stage .panes.result",
    "Inside": "#chart-accumulated .main-svg >> nth=0",
    "Explore": "#chart-pareto .main-svg >> nth=0",
    "Schedules": "#chart-curves .main-svg >> nth=0",
    "History": "#history-viewer .panes.result",
    "How it works": "#how-live .bars",
}
# Everything that is seen is looked at, gradio's and plotly's parts too: nothing is left out. What is asked for is only
# what broke, and no style sheet is fetched anew: these two are what took a whole page's check beyond its time.
AXE_JS = """async (rules) => {
  const asked = rules ? {runOnly: rules} : {};
  const found = await axe.run(document, {...asked, resultTypes: ["violations"], preload: false});
  return found.violations.filter(({impact}) => ["serious", "critical"].includes(impact)).flatMap(
    ({id, help, nodes}) => nodes.map(({html}) => `${id}: ${help}: ${html.slice(0, 160)}`));
}"""
# Where the focus is, on what, and whether its ring is seen: on it, or on the label of what is not seen itself.
FOCUS_JS = """() => {
  const focused = document.activeElement;
  if (focused === document.body) return null;
  const ringed = (node) => {
    const {outlineStyle, outlineWidth} = getComputedStyle(node);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
  };
  const label = focused.closest("label"), hidden = getComputedStyle(focused).opacity === "0";
  const named = focused.closest("[id]:not([id^=html-], [id^=range_id])")?.id ?? "";
  const where = focused.closest("[role=tablist]") ? "tabs" : named;
  return {where, what: focused.outerHTML.slice(0, 120), seen: ringed(hidden && label ? label : focused)};
}"""
NAMELESS_JS = """() => [...document.querySelectorAll("img, canvas, svg[role=img], .chart")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.alt || one.getAttribute("aria-label") || one.closest("label, button, a")?.innerText.trim()
                    || one.closest("figure")?.querySelector("figcaption")?.innerText.trim()
                    || one.closest(".js-plotly-plot")))
  .map((one) => one.outerHTML.slice(0, 160))"""


def two_arms() -> Comparison:
    """The recorded run without its third arm, as if it had just been made."""
    found = comparison_of(opening())
    return replace(found, rival=None, recorded=False, request=found.request.model_copy(update={"rival": None}))


@pytest.fixture(scope="module")
def opened(browser: Browser, studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page with a finished run, a finished sweep and a run of the history; whatever was drawn was drawn before."""
    place = HistoryPlace(History(tmp_path_factory.mktemp("runs") / "history.sqlite"))
    model = Prerecorded(studio, two_arms())
    model.finish.set()
    with served(Loader(lambda: model).start(), place, opening()) as built:
        context = browser.new_context(viewport=WIDE, reduced_motion="reduce")
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(built.local_url)
        expect(page.locator(".status.ready")).to_be_visible()
        page.locator("#run").click()
        expect(page.locator("#stage .panes.result")).to_be_visible()
        to(page, "Explore", "#sweep-grid")
        page.locator("#sweep-ladder").click()
        to(page, "History", ".run")
        page.locator(".run input").first.check()
        page.evaluate(AXE_SCRIPT)
        yield page
        context.close()


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    """The page, wide and light again afterwards."""
    yield opened
    opened.set_viewport_size(WIDE)
    theme(opened, "light")


def to(page: Page, tab: str, filled: str) -> None:
    page.get_by_role("tab", name=tab, exact=True).click()
    expect(page.locator(filled).first).to_be_visible()


def theme(page: Page, name: str) -> None:
    """As gradio does it when the address asks for a theme; a page opened anew would have lost its run."""
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", name == "dark")


@pytest.mark.parametrize("tab", TABS)
def test_axe_finds_nothing_serious(page: Page, tab: str) -> None:
    to(page, tab, TABS[tab])
    assert page.evaluate(AXE_JS) == []
    theme(page, "dark")
    assert page.evaluate(AXE_JS, ["color-contrast"]) == [], "in the dark only colours differ"


def test_axe_would_find_something(page: Page) -> None:
    to(page, "How it works", TABS["How it works"])
    planted = "<img src='data:,'><p style='color: #aaa; background: #fff'>Too pale to read</p>"
    page.locator("#how-live").evaluate("(place, html) => place.insertAdjacentHTML('beforeend', html)", planted)
    found = {told.split(":")[0] for told in page.evaluate(AXE_JS)}
    page.locator("#how-live img, #how-live p[style]").evaluate_all("all => all.forEach((one) => one.remove())")
    assert found == {"image-alt", "color-contrast"}


def test_axe_finds_nothing_serious_on_a_phone(page: Page) -> None:
    to(page, "Playground", TABS["Playground"])
    page.set_viewport_size(PHONE)
    assert page.evaluate(AXE_JS) == []


# What a finger meets that is too small for it: a field within a taller label or box is met by that.
SMALL_JS = """() => [...document.querySelectorAll("button, [role=tab], label:has(input), .size input, .over-by input")]
  .filter((one) => one.checkVisibility({opacityProperty: true}) && !one.closest("footer"))
  .map((one) => [one, one.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
  .map(([one, box]) => `${Math.round(box.width)} x ${Math.round(box.height)}: ${one.outerHTML.slice(0, 120)}`)"""


def test_on_a_phone_a_finger_meets_everything(page: Page) -> None:
    to(page, "Playground", TABS["Playground"])
    page.set_viewport_size(PHONE)
    assert page.evaluate(SMALL_JS) == [], "WCAG 2.2, 2.5.8: 24 px"
    for main in ("#run", "#stop"):
        box = page.locator(main).bounding_box()
        assert box is not None
        assert box["height"] >= 44


def walk(page: Page, most: int = 90) -> list[dict[str, object]]:
    """Every stop of the Tab key from the top of the page to its end."""
    page.evaluate("scrollTo(0, 0)")
    page.mouse.click(1, 1)
    stops = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS_JS)
        if stop is None:
            return stops
        stops.append(stop)
    raise AssertionError(f"the focus never came round in {most} stops")


@pytest.mark.parametrize("tab", TABS)
def test_focus_is_seen_wherever_it_goes(page: Page, tab: str) -> None:
    to(page, tab, TABS[tab])
    stops = walk(page)
    assert len(stops) >= len(TABS)
    assert [stop["what"] for stop in stops if not stop["seen"]] == []


def test_focus_goes_from_the_drawing_over_the_settings_to_run_and_the_pictures(page: Page) -> None:
    to(page, "Playground", TABS["Playground"])
    went = list(dict.fromkeys(str(stop["where"]) for stop in walk(page)))
    order = ["tabs", "source", "painting", "examples", "method", "preset", "budget", "coarse", "seed", "prompt", "run"]
    assert [place for place in went if place in (*order, "stage", "figures")] == [*order, "stage", "figures"]


def test_the_grid_of_a_plan_is_one_stop_and_arrows_go_on_from_there(page: Page) -> None:
    to(page, "Schedules", "#plan-grid td")
    cells = [stop for stop in walk(page) if stop["where"] == "plan-grid"]
    assert len(cells) == 1
    page.locator("#plan-grid td").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator('#plan-grid tbody tr:nth-child(2) td[data-step="1"]')).to_be_focused()
    assert page.evaluate(FOCUS_JS)["seen"]


def test_a_group_of_choices_is_one_stop_and_arrows_choose(page: Page) -> None:
    to(page, "Playground", TABS["Playground"])
    presets = [stop for stop in walk(page) if stop["where"] == "preset"]
    assert len(presets) == 1
    page.locator("#preset label").nth(1).click()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#preset input").nth(2)).to_be_checked()
    expect(page.locator("#preset label.selected")).to_have_text("Balanced")


def test_arrows_go_from_tab_to_tab(page: Page) -> None:
    to(page, "Playground", TABS["Playground"])
    page.get_by_role("tab", name="Playground").focus()
    for key, tab in (
        ("ArrowRight", "Inside"),
        ("End", "How it works"),
        ("ArrowLeft", "History"),
        ("Home", "Playground"),
    ):
        page.keyboard.press(key)
        opened = page.get_by_role("tab", name=tab)
        expect(opened).to_be_focused()
        expect(opened).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("tab", TABS)
def test_every_picture_and_chart_has_a_name(page: Page, tab: str) -> None:
    to(page, tab, TABS[tab])
    assert page.evaluate(NAMELESS_JS) == []
