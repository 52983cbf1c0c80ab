"""What every test shares: no network, fixed seeds, one thread, the embedded model, a real browser where it is."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# The tests' networks are too small to be shared out, and a loop of two threads stands still while either has no core:
# beside one other busy process it takes many times as long. Programs that tests start inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# No deadline: a slow shared core is not a bug. Derandomised, so that a failure is the same failure everywhere.
settings.register_profile("studio", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("studio")
# Of what is asked and expected of a page, too: seconds on two idle cores are a minute on loaded ones.
PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
# Side by side (pytest -n 2), each process looks for a free port among its own. gradio reads it when it is imported.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
os.environ["GRADIO_SERVER_PORT"] = str(7860 + 200 * WORKER)


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def studio() -> Studio:
    """The embedded model, loaded once for every test that leaves it as it is."""
    from hgc.studio.studio import Studio

    return Studio.load(device="cpu")


@pytest.fixture
def loaded(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the embedded model already loaded; another model or device they load, or are refused, as ever."""
    from hgc.studio.studio import Studio

    load = Studio.load

    def found(model: str = "landscapes", device: str | None = None, dtype: str | None = None) -> Studio:
        return studio if (model, device, dtype) == ("landscapes", None, None) else load(model, device, dtype)

    monkeypatch.setattr(Studio, "load", found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, one for each test file: an open Playwright keeps this thread's event loop running.

    Without the browser the test is skipped; under CI it fails.
    """
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is missing: install Debian's chromium package to run the browser tests"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS, headless=True)
        yield chromium
        chromium.close()


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, each for a visitor of its own."""
    contexts: list[BrowserContext] = []

    def visit(**look: Any) -> Page:
        contexts.append(browser.new_context(**look))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        return contexts[-1].new_page()

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def small_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small hub of tiny random models on disk (`smallhub`), to be HF_HOME; its single files are in `files`."""
    import smallhub

    home = tmp_path_factory.mktemp("hub")
    smallhub.build(home)
    return home


@pytest.fixture
def on_small_hub(small_hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small hub as this process's cache, and a working folder of the test's own; the folder of single files."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small_hub / "hub"))
    monkeypatch.chdir(tmp_path)
    return small_hub / "files"
