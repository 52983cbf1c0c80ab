"""Other open pages as workers: the same pictures, and refused where they would not be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from serving import served
from small import SIZE

from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Recipe, Request
from hgc.results.comparison import Cancelled, Comparison
from hgc.spread import page_worker
from hgc.spread.compare import Compare
from hgc.spread.facts import Facts, WorkersDiffer
from hgc.spread.on import On
from hgc.spread.work import NoWorkers, WorkerLost
from hgc.studio.studio import Studio
from hgc.sweep import Axis, Sweep
from hgc.sweep.run import Outcome, run_cells
from hgc.ui import Loader

# gradio's own statistics, told by pandas; the warning lands in whatever test the server answers meanwhile.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]


@pytest.fixture(scope="module")
def address(studio: Studio) -> Iterator[str]:
    with served(Loader(lambda: studio).start()) as page:
        yield page.local_url


@pytest.fixture(scope="module")
def request_of(studio: Studio) -> Request:
    scene = paint(9_000_006)
    png = studio.prepare_control(colour_map(scene.labels), "segmentation", size=SIZE).png
    return Request.make(png, size=SIZE, prompt=scene.caption, steps=2, method="step_skip", budget=0.6)


def test_a_sweep_by_a_page_is_the_sweep_here(address: str, studio: Studio, request_of: Request) -> None:
    sweep = Sweep(request_of, Axis("seed", (0, 1)))
    here = {one.cell.key: one.comparison for one in run_cells(studio, sweep.cells) if isinstance(one, Outcome)}
    with On.read(workers=address).studio("landscapes") as other:
        there = {one.cell.key: one.comparison for one in run_cells(other, sweep.cells) if isinstance(one, Outcome)}
    assert here.keys() == there.keys()
    for key, own in here.items():
        again = there[key]
        assert own is not None
        assert again is not None
        assert not again.recorded
        assert again.likeness == own.likeness
        for name, arm in own.arms.items():
            assert np.array_equal(arm.image, again.arms[name].image)
            assert arm.trace.digest == again.arms[name].trace.digest


def test_a_page_says_what_it_works_with_but_not_where(address: str, studio: Studio) -> None:
    told = page_worker.PageHand(address, None).facts()
    assert replace(told, where="") == replace(Facts.of(studio), where="")
    assert told.where == address


def test_a_page_with_other_weights_is_refused(address: str, monkeypatch: pytest.MonkeyPatch, studio: Studio) -> None:
    other = replace(Facts.of(studio), weights="c" * 12)
    monkeypatch.setattr(page_worker.PageHand, "facts", lambda hand: replace(other, where=hand.name))
    with (
        pytest.raises(WorkersDiffer, match=f"weights {studio.weights(Recipe())}, {address} has cccccccccccc;"),
        On.read(workers=address).studio("landscapes"),
    ):
        pass


def test_a_page_that_is_not_open_is_refused() -> None:
    with (
        pytest.raises(NoWorkers, match="cannot be reached"),
        On.read(workers="http://127.0.0.1:9").studio("landscapes"),
    ):
        pass


def test_a_page_that_planned_otherwise_is_not_believed(address: str, studio: Studio, request_of: Request) -> None:
    other = studio.forecast(request_of.but(method="deepcache", budget=0.8))
    hand = page_worker.PageHand(address, None)
    with pytest.raises(WorkerLost, match="planned otherwise"):
        follow(hand, Compare(request_of.model_dump_json(), other))


def test_what_a_page_refuses_is_told(address: str, studio: Studio, request_of: Request) -> None:
    elsewhere = request_of.model_dump_json().replace('"landscapes"', '"sd15"')
    with pytest.raises(WorkerLost, match=r"it says: .*sd15"):
        follow(page_worker.PageHand(address, None), Compare(elsewhere, studio.forecast(request_of)))


def test_a_stopped_run_is_over(address: str, studio: Studio, request_of: Request) -> None:
    hand = page_worker.PageHand(address, None)
    hand.work("a", Compare(request_of.model_dump_json(), studio.forecast(request_of)), 0.0)
    hand.stop("a")
    batch = hand.more("a", 0, 0.0)
    assert batch.over
    assert isinstance(batch.error, Cancelled)


def test_only_a_token_that_was_given_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(page_worker, "Client", lambda address, **options: sent.append(options["token"]))
    page_worker.PageHand("http://other:7860", None)
    page_worker.PageHand("you/studio", "hf_own")
    assert sent == [False, "hf_own"]


def follow(hand: page_worker.PageHand, task: Compare) -> Comparison:
    batch, patience = hand.work("a", task, 0.2), threading.Event()
    while not batch.over:
        patience.wait(0.05)
        batch = hand.more("a", 0, 0.2)
    comparison = batch.items[0]
    assert isinstance(comparison, Comparison)
    return comparison
