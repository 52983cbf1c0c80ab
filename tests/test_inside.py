"""The Inside tab's pieces as HTML: what each step shows and says, without a browser or a model."""

from __future__ import annotations

import html
import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hgc.cache.anatomy import Kind, State
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.trace import Cell, Trace, TracedSite
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.subject import Subject
from hgc.models.words import Word
from hgc.studio.inspection import Inspection
from hgc.ui.components.by_step import figure_by_step, urls, words_by_step
from hgc.ui.components.heat import EQUAL, LESS, MORE, two_sided
from hgc.ui.components.stepper import did, step_of
from hgc.ui.inside.attention import TOGETHER, attention_view, layer_choices, totals
from hgc.ui.inside.change import ChangeEvents

LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn2"
OTHER = "controlnet.mid_block.attentions.0.transformer_blocks.0.attn2"


def trace_of(*rows: str) -> Trace:
    """Two cross-attentions in the states of these rows; a kept one is as old as its last computed value."""
    cells = {}
    for name, row in zip((OTHER, LAYER), rows, strict=True):
        ages = [step - row[: step + 1].rfind("C") for step in range(len(row))]
        cells[name] = tuple(
            Cell(State(letter), f"why {step}", 10 * (letter == "C"), 12 * (letter == "C"), 1.5, age)
            for step, (letter, age) in enumerate(zip(row, ages, strict=True))
        )
    sites = tuple(TracedSite(name, Kind.CROSS_ATTENTION, name[: name.index(".att")], None) for name in cells)
    steps = len(rows[0])
    return Trace(
        Plan(Origin("p"), steps, "m"), "m", 1, sites, cells, (2,) * steps, (20.0,) * steps, 0, "cpu", "float32"
    )


def seen_of(*rows: str) -> Inspection:
    """Maps wherever a layer was computed: two words, four places, all of a value of its own."""
    traces = {"full": trace_of(*["C" * len(rows[0])] * 2), "cached": trace_of(*rows)}
    maps = {
        arm: {
            name: {
                step: np.full((2, 2, 2), (step + 1) / 10 + 0.05 * (arm == "cached"), np.float16)
                for step, cell in enumerate(row)
                if cell.state is State.COMPUTED
            }
            for name, row in trace.cells.items()
        }
        for arm, trace in traces.items()
    }
    return Inspection(traces, (Word("lake", (1,)), Word("<b>", (2,))), maps)  # type: ignore[arg-type]


def test_what_the_fine_cache_did_is_one_number_and_one_line() -> None:
    """A layer that is kept, and one whose block is left out from the second step on."""
    page = totals(replace(trace_of("C...", "CRRC"), branches=(2, 2, 1, 1)))
    assert "<b>40%</b> of the attention came from the cache" in page
    assert "Of 5 looks at your words 2 were answered from the cache, 3 were computed." in page
    assert "3 more were not asked for: what they feed was left out." in page
    assert "2 of 4 steps ran one guidance branch instead of two." in page
    plain = totals(trace_of("CC", "CC"))
    assert "<b>0%</b>" in plain
    assert "not asked for" not in plain
    assert "guidance branch" not in plain


def by_step(page: str, name: str) -> list[list[str]]:
    """The lists that a page's elements turn over."""
    return [json.loads(html.unescape(found)) for found in re.findall(rf'data-{name}="([^"]*)"', page)]


def pixels(url: str) -> Any:
    return np.array(Image.open(BytesIO(b64decode(url.partition(",")[2]))))


def test_words_and_pictures_travel_whole() -> None:
    texts = ['a < b & "c"', "d's\n"]
    assert by_step(words_by_step(texts), "texts") == [texts]
    frames = [np.full((2, 3, 3), 7, np.uint8), None, np.zeros((2, 3, 3), np.uint8)]
    figure = figure_by_step('say "x"', frames, "below")
    first, missing, last = by_step(figure, "frames")[0]
    assert missing == ""
    assert np.array_equal(pixels(first), frames[0])
    assert np.array_equal(pixels(last), frames[2])
    assert 'alt="say &quot;x&quot;"' in figure
    assert "--shape: 3 / 2" in figure  # wide as the pictures are, not cut to a square
    again = urls([frames[0], frames[0]])
    assert again[0] is again[1], "a picture that comes twice is encoded once"


def test_a_difference_has_a_colour_for_each_side_and_is_dark_where_equal() -> None:
    shown = two_sided(np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]]), 1.0)
    assert [tuple(colour) for colour in shown[0]] == [LESS, LESS, EQUAL, MORE, MORE]


@given(st.integers(1, 60), st.integers(1, 60))
def test_an_arm_of_fewer_steps_starts_and_ends_with_the_other(steps: int, fewer: int) -> None:
    fewer = min(steps, fewer)
    own = [step_of(step, steps, fewer) for step in range(steps)]
    assert own[-1] == fewer - 1
    assert set(own) == set(range(fewer))
    assert own == sorted(own)
    assert fewer < steps or own == list(range(steps))


def test_a_line_says_what_an_arm_did() -> None:
    first, second, third = did(trace_of("CR.", "CCF"), 3)
    assert first == "20 MACs, 20 ms, 2 sites computed, both branches"
    assert "1 sites computed, 1 kept" in second
    assert "0 sites computed, 1 kept, 1 not needed" in third
    assert did(trace_of("CR", "CC"), 4)[1].startswith("its step 1 of 2: ")


@pytest.mark.parametrize(
    ("row", "step", "said", "map_of"),
    [
        ("CRCF.", 0, "computed in this step as well", 0),
        ("CRCF.", 1, "reused from step 1", 0),
        ("CRCF.", 2, "computed in this step as well", 2),
        ("CRCF.", 3, "forecast from step 3", 2),
        ("CRCF.", 4, "not run (why 4); last in step 3", 2),
        ("..CR.", 1, "not run so far (why 1)", None),
    ],
)
def test_the_map_shown_is_that_of_the_step_whose_value_was_kept(
    row: str, step: int, said: str, map_of: int | None
) -> None:
    seen = seen_of("CCCCC", row)
    used = seen.used("cached", LAYER, 0, step)
    assert (used.step if used else None) == map_of
    page = attention_view(seen, "cached", "HGC", 0, LAYER)
    assert said in by_step(page, "texts")[0][step]
    fresh, kept, apart = (frames[step] for frames in by_step(page, "frames"))
    assert fresh != ""
    assert (kept == "") == (apart == "") == (map_of is None)


def test_the_difference_is_of_what_was_used() -> None:
    page = attention_view(seen_of("CCC", "CRR"), "cached", "HGC", 0, LAYER)
    differing = by_step(page, "texts")[1]
    shares = [float(re.findall(r"[\d.]+", text)[0]) for text in differing]
    assert shares == pytest.approx([5, 5, 15], abs=0.02)


def test_layers_together_are_the_unets_alone() -> None:
    seen = seen_of("CRR", "CCR")
    assert layer_choices(seen) == [
        ("All of the UNet, averaged", TOGETHER),
        ("ControlNet middle", OTHER),
        ("UNet middle", LAYER),
    ]
    assert by_step(attention_view(seen, "cached", "HGC", 0, TOGETHER), "frames") == by_step(
        attention_view(seen, "cached", "HGC", 0, LAYER), "frames"
    )


def test_a_word_is_never_read_as_html() -> None:
    assert "<b><b>" not in attention_view(seen_of("C", "C"), "cached", "HGC", 1, LAYER)


def calibrated(steps: int, ready: bool = True, guidance: float = 4.0) -> tuple[Any, Any]:
    """The card's events over a run of four steps by Block Caching with another guidance's curves, and what is asked."""
    origin = Origin("block_caching", {"delta": 0.25}, {"guidance": 2.0})
    trace = replace(trace_of("CRRC", "CCRR"), plan=Plan(origin, 4, "m"))
    request = SimpleNamespace(model="m", controls=("edges",), sampler="ddim", steps=steps, guidance=guidance)
    opened: Any = SimpleNamespace(trace=trace, comparison=SimpleNamespace(request=request))
    asked = []

    def curves_of(plan: Plan, request: Any) -> ChangeCurves:
        asked.append((plan, request))
        mean = dict.fromkeys((LAYER, OTHER), (0.0, 0.1, 0.1, 0.1))
        return ChangeCurves(Subject("m", "edges", "ddim", 4, 2.0), 3, mean, mean)

    loader = SimpleNamespace(ready=ready, studio=lambda: SimpleNamespace(curves_of=curves_of))
    runner: Any = SimpleNamespace(
        opened=lambda run, arm: opened if (run, arm) == ("run", "cached") else None, loader=loader
    )
    return ChangeEvents(runner), asked


def test_a_calibrated_run_shows_what_piles_up_and_its_threshold() -> None:
    events, asked = calibrated(4)
    column, told, block, piled, curves = events.open_up("run", "cached")
    assert [plan.name[:20] for plan, _ in asked] == ["block caching δ=0.25"]
    assert column["visible"]
    assert "δ" in told
    assert "3 scenes, edges, DDIM, 4 steps, guidance 2 (carried over, not measured here);" in told
    assert "carried over" not in calibrated(4, guidance=2.0)[0].open_up("run", "cached")[1]
    assert block["choices"] == ["ControlNet middle", "UNet middle"]
    assert piled.layout.shapes[0].y0 == 0.25
    assert len(curves.data) == 2
    own, _ = events.charts_of("run", "cached", "UNet middle")
    assert list(own.data[0].x) == [1, 1, 2, 2, 3, 4]
    assert list(own.data[0].y) == pytest.approx([0, 0, 0.1, 0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("run", "steps", "ready"), [("run", 8, True), ("run", 4, False), ("gone", 4, True), (None, 4, True)]
)
def test_without_a_calibration_of_its_steps_a_run_shows_no_pile(run: str | None, steps: int, ready: bool) -> None:
    events, _ = calibrated(steps, ready)
    assert not events.open_up(run, "cached")[0]["visible"]
