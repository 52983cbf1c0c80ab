"""Plans searched in the Schedules tab, and brought from a repository; in a real browser, over a hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import loopback
import pytest
from opened import RUN_MS, Visitors, app, opened
from playwright.sync_api import Page, expect
from test_app_browser import PHONE, fewer_steps

from hgc.optimise.shelf import Shelf
from hgc.planning.optimised import PLANS

pytestmark = [pytest.mark.browser, pytest.mark.long]

NAME = "landscapes-edges-ddim-20"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's place on disk."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Over a hub that has one repository of plans."""
    files = {f"plans/{NAME}.{ending}": PLANS / f"{NAME}.{ending}" for ending in ("json", "npz")}
    with (
        loopback.serving({"someone/plans": files, "someone/empty": {}}) as server,
        app(folder, HF_HOME=str(folder / "cache"), HF_ENDPOINT=server.url, HF_HUB_OFFLINE="0") as served,
    ):
        yield served


def few(page: Page) -> None:
    """A search that is soon over."""
    page.locator("#search-budgets textarea").fill("60")
    for name, value in (("tries", "5"), ("search-scenes", "2"), ("search-side", "64")):
        page.locator(f"#{name} input[type=number]").fill(value)
        page.locator(f"#{name} input[type=number]").press("Tab")


def test_plans_are_searched_stopped_and_taken_up_again(visitors: Visitors, address: str, folder: Path) -> None:
    told, cost = "#search-told", "#search-cost"
    with opened(visitors, address) as page:
        fewer_steps(page)
        page.get_by_role("tab", name="Schedules").click()
        expect(page.locator(cost)).to_contain_text("as much as")
        page.locator("#search-budgets textarea").fill("much")
        expect(page.locator(f"{cost} .error")).to_contain_text("'much' are not budgets")
        few(page)
        expect(page.locator(cost)).to_contain_text("each of 2 scenes at 64 × 64 pixels")
        page.locator("#search").click()
        expect(page.locator(told)).to_contain_text("runs, about")
        page.locator("#search-stop").click()
        expect(page.locator(told)).to_contain_text("Stopped. All runs are kept")
        page.locator("#search").click()
        expect(page.locator(f"{told} tbody th")).to_have_text("60.0%", timeout=RUN_MS)
        expect(page.locator(told)).to_contain_text("Optimised goes by these plans")
        (path,) = (folder / "runs" / "plans").glob("landscapes-segmentation-*.json")
        assert [rung.budget for rung in Shelf.read(path).rungs] == [0.6]
        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_shared_plans_are_brought_or_one_sentence_says_why_not(visitors: Visitors, address: str, folder: Path) -> None:
    with opened(visitors, address) as page:
        page.get_by_role("tab", name="Schedules").click()
        for repository, said in (("x", "is not a repository"), ("someone/empty", "holds no plans")):
            page.locator("#plans-from textarea").fill(repository)
            page.locator("#plans-pull").click()
            expect(page.locator("#plans-told .error")).to_contain_text(said)
        page.locator("#plans-from textarea").fill("someone/plans")
        page.locator("#plans-pull").click()
        expect(page.locator("#plans-told")).to_contain_text("Here now, for landscapes, edges, DDIM, 20 steps")
        assert Shelf.read(folder / "runs" / "plans" / f"{NAME}.json").rungs == Shelf.read(PLANS / f"{NAME}.json").rungs
