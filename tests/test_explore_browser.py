"""Explore, driven in a real browser: a sweep is drawn, charted, stopped, opened in the Playground and taken away."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Page, ViewportSize, expect
from prerecorded import Prerecorded, recorded
from serving import served
from writing import write

from hgc.studio.studio import Studio
from hgc.ui import Loader

# gradio's own statistics, told by pandas; the warning lands in whatever test the server answers meanwhile.
pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

Visitors = Callable[..., Page]
PHONE = ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def served_page(studio: Studio) -> Iterator[gr.Blocks]:
    with served(Loader(lambda: studio).start()) as built:
        yield built


@pytest.fixture(scope="module")
def quick_page(studio: Studio) -> Iterator[gr.Blocks]:
    """The same over a model whose every run is one that was made beforehand."""
    quick = Prerecorded(studio, recorded(studio, steps=2, budget=None))
    quick.finish.set()
    with served(Loader(lambda: quick).start()) as built:
        yield built


@pytest.fixture
def page(visitors: Visitors, served_page: gr.Blocks) -> Iterator[Page]:
    yield from explored(visitors, served_page)


@pytest.fixture
def quick(visitors: Visitors, quick_page: gr.Blocks) -> Iterator[Page]:
    yield from explored(visitors, quick_page)


def explored(visitors: Visitors, built: gr.Blocks) -> Iterator[Page]:
    """Explore, over a Playground that is set to four steps and to a preset that these can reach."""
    opened = visitors(viewport={"width": 1440, "height": 900})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(built.local_url)
    expect(opened.locator(".status.ready")).to_be_visible()
    opened.get_by_text("More settings").click()
    steps = opened.locator("#steps input[type=number]")
    write(steps, "4")
    steps.press("Enter")
    opened.get_by_test_id("Quality-radio-label").click()
    opened.get_by_role("tab", name="Explore").click()
    yield opened
    assert errors == []


def values(page: Page, axis: str, text: str) -> None:
    box = page.locator(f"#sweep-{axis}-values").locator("textarea, input")
    write(box, text)
    box.press("Tab")


def finished(page: Page) -> None:
    expect(page.locator("#sweep-stop")).to_be_disabled()
    expect(page.locator("#sweep-run")).to_be_enabled()


def test_a_sweep_is_drawn_charted_opened_and_taken_away(page: Page, tmp_path: Path) -> None:
    expect(page.locator("#sweep-grid")).to_contain_text("Your pictures, side by side")
    values(page, "x", "0.6, 0.75")
    values(page, "y", "3..4")
    page.locator("#sweep-rival input").check()
    expect(page.locator("#sweep-forecast")).to_contain_text("4 runs over 2 full pictures")
    page.locator("#sweep-run").click()
    expect(page.locator(".sweep-progress")).to_contain_text("Run 1 of 4")
    finished(page)
    assert page.locator("table.sweep thead th").all_inner_texts() == ["Full", "60%", "75%"]
    assert page.locator("table.sweep tbody th").all_inner_texts() == ["3", "4"]
    expect(page.locator("button.cell.drawn")).to_have_count(4)
    expect(page.locator(".whole .cell.drawn")).to_have_count(2)

    plot = page.locator("#chart-pareto .js-plotly-plot")
    expect(plot.locator(".main-svg").first).to_be_visible()
    names = plot.evaluate("plot => plot.data.map((part) => part.name)")
    assert names == ["Optimised, over seeds", "Optimised", "Fewer steps, over seeds", "Fewer steps"]
    page.get_by_test_id("SSIM-radio-label").click()
    expect(plot.locator(".ytitle")).to_contain_text("SSIM")
    with page.expect_download() as download:
        page.locator("#sweep-csv").click()
    download.value.save_as(tmp_path / "sweep.csv")
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert [(row["budget"], row["seed"]) for row in rows] == [("0.6", "3"), ("0.75", "3"), ("0.6", "4"), ("0.75", "4")]

    page.locator("button[data-run='1-1-0']").click()
    expect(page.get_by_role("tab", name="Playground")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#seed input")).to_have_value("4")
    expect(page.locator("#budget input[type=number]")).to_have_value("75")
    expect(page.locator(".arms-table thead th")).to_have_count(3)
    expect(page.locator("#badges")).to_contain_text(rows[3]["digest"])


def test_a_dot_of_the_chart_opens_its_run(page: Page) -> None:
    values(page, "x", "0.75")
    page.locator("#sweep-y input").click()
    page.get_by_role("option", name="Nothing: one row").click()
    page.locator("#sweep-run").click()
    finished(page)
    dot = page.locator("#chart-pareto .point").first
    expect(dot).to_be_visible()
    page.wait_for_function("document.querySelector('#chart-pareto .js-plotly-plot').dataset.picks")
    page.locator("#chart-pareto .js-plotly-plot").scroll_into_view_if_needed()
    box = dot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_role("tab", name="Playground")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#figures .figure").first).to_be_visible()


def test_stop_keeps_what_is_there_and_the_next_sweep_runs(page: Page) -> None:
    values(page, "x", "0.5..0.9 by 0.1")
    values(page, "y", "0..9")
    page.locator("#sweep-run").click()
    expect(page.locator("button.cell.drawn").first).to_be_visible()
    page.locator("#sweep-stop").click()
    finished(page)
    expect(page.locator("#sweep-progress")).to_contain_text("Stopped")
    there = page.locator("button.cell.drawn").count()
    assert 0 < there < 50
    assert page.locator(".cell.waiting p").last.inner_text() == "not drawn"
    expect(page.locator("#chart-pareto .main-svg").first).to_be_visible()
    page.locator("#sweep-ladder").click()
    expect(page.locator("table.sweep thead th")).to_have_text(["Full", "off", "coarse", "fine", "both"])
    finished(page)
    expect(page.locator("button.cell.drawn")).to_have_count(4)
    expect(page.locator("button.cell.drawn").first).to_contain_text("identical")


def test_the_ladder_ends_at_the_budget(page: Page) -> None:
    """Another method is chosen: both caches together are what HGC makes of its budget, not HGC as it comes."""
    page.get_by_role("tab", name="Playground").click()
    budget = page.locator("#budget input[type=number]")
    write(budget, "80")
    budget.press("Enter")
    page.get_by_role("tab", name="Explore").click()
    page.locator("#sweep-ladder").click()
    finished(page)
    expect(page.locator("button.cell.drawn b").last).to_have_text("78.1%")


def test_what_cannot_be_swept_is_said_in_one_sentence(quick: Page) -> None:
    page = quick
    values(page, "x", "a third")
    expect(page.locator("#sweep-forecast .error")).to_contain_text("Budget: 'a third' is not a number")
    page.locator("#sweep-run").click()
    expect(page.locator("#sweep-progress .error")).to_contain_text("'a third' is not a number")
    finished(page)
    values(page, "x", "0.1, 0.75")
    values(page, "y", "0")
    page.locator("#sweep-run").click()
    expect(page.locator(".cell.refused")).to_contain_text("Optimised cannot go down to 10.0%")
    expect(page.locator("button.cell.drawn")).to_have_count(1)
    finished(page)


def test_on_a_phone_the_grid_scrolls_in_its_box_under_its_labels(quick: Page) -> None:
    page = quick
    page.set_viewport_size(PHONE)
    values(page, "x", "0.5..0.9 by 0.1")
    values(page, "y", "0")
    page.locator("#sweep-run").click()
    expect(page.locator("#sweep-progress")).to_contain_text("runs drawn")
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = page.locator(".sweep-box")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    label, cell = page.locator("table.sweep tbody th").first, page.locator("button.cell.drawn").first
    before = label.bounding_box(), cell.bounding_box()
    box.evaluate("box => box.scrollTo(150, 0)")
    after = label.bounding_box(), cell.bounding_box()
    assert before[0] is not None
    assert before[1] is not None
    assert after[0] is not None
    assert after[1] is not None
    assert after[0]["x"] == before[0]["x"]
    assert after[1]["x"] == before[1]["x"] - 150
