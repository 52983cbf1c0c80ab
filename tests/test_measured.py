"""The shipped tables as the page tells of them: method cards, and the band beside a result."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import pytest

from hgc.planning.measured import FIGURES, long_band, rungs
from hgc.planning.methods import METHODS
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


def test_the_band_is_of_these_settings_only() -> None:
    band = long_band(SETTING)
    full = next(p for p in points("optimised-segmentation-long") if p["method"] == "full")
    assert band is not None
    assert band.psnr == pytest.approx(full["psnr_long"])
    for other in ({"control": "edges"}, {"sampler": "unipc"}, {"steps": 30}, {"model": "sd15"}):
        assert long_band(SETTING | other) is None
