"""The shipped tables as the page tells of them: method cards, and the band beside a result."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import pytest

from hgc.planning.measured import FIGURES, long_band, noise_band, rungs
from hgc.planning.methods import METHODS
from hgc.ui.playground.figures import table_band
from hgc.ui.playground.method_card import method_card

SETTING = {"model": "landscapes", "control": "segmentation", "sampler": "ddim", "steps": 20}


def points(table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FIGURES / f"{table}.json").read_text())["points"]
    return found


@pytest.mark.parametrize("control", ["segmentation", "edges"])
def test_rungs_are_the_tables_means_from_cheap_to_dear(control: str) -> None:
    own = [p for p in points(f"methods-{control}-ddim") if p["method"] == "optimised"]
    expected = {p["share"]: fmean(one["psnr"] for one in p["each"]) for p in own}
    found = rungs("optimised", control)
    assert [rung.share for rung in found] == sorted(expected)
    assert [rung.psnr for rung in found] == pytest.approx([expected[share] for share in sorted(expected)])
    assert len(rungs("hgc", control)) == 3
    assert rungs("magic", control) == ()


@pytest.mark.parametrize("name", METHODS)
def test_a_card_tells_who_made_the_method_and_what_was_measured(name: str) -> None:
    method = METHODS[name]
    card = method_card(method)
    assert method.reason in card
    assert (f"https://arxiv.org/abs/{method.arxiv}" in card) == (method.arxiv is not None)
    for rung in rungs(name, "segmentation"):
        assert f"{rung.psnr:.1f} dB at {rung.share:.0%}" in card
    assert ("Not measured here" in card) == (not rungs(name, "segmentation"))


def test_three_arms_are_held_against_the_band_too() -> None:
    band = long_band(SETTING)
    assert band is not None
    values = SETTING | {"title_cached": "HGC", "title_rival": "Fewer steps"}
    told = table_band(values | {"psnr": band.psnr + 1, "psnr_rival": band.psnr - 1})
    assert f"in 100 steps has {band.psnr:.1f} dB" in told
    noise = noise_band(SETTING)
    assert noise is not None
    assert noise.psnr == pytest.approx(
        next(p for p in points("null-segmentation-ddim") if "seed" in p["method"])["psnr"]
    )
    assert f", one from other noise {noise.psnr:.1f} dB" in told
    assert noise_band(SETTING | {"control": "depth"}) is None
    assert noise_band(SETTING | {"steps": 10}) is None
    assert f"the mean of {band.scenes} scenes: " in told
    assert told.endswith("dB. Closer than that: HGC.</p>")
    assert "HGC, Fewer steps." in table_band(values | {"psnr": None, "psnr_rival": band.psnr})
    assert "None of these is as close." in table_band(values | {"psnr": 20.0, "psnr_rival": 20.0})
    assert table_band(values | {"steps": 10, "psnr": 20.0, "psnr_rival": 20.0}) == ""


def test_the_band_is_of_these_settings_only() -> None:
    band = long_band(SETTING)
    full = next(p for p in points("optimised-segmentation-long") if p["method"] == "full")
    assert band is not None
    assert band.psnr == pytest.approx(full["psnr_long"])
    edges, longer = long_band(SETTING | {"control": "edges"}), points("null-edges-ddim")
    assert edges is not None
    assert (edges.steps, edges.psnr) == (200, next(p["psnr"] for p in longer if p["method"] == "200 steps"))
    for other in ({"control": "depth"}, {"sampler": "unipc"}, {"steps": 30}, {"model": "sd15"}):
        assert long_band(SETTING | other) is None
