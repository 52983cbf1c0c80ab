"""How it works: one page, pictures over words, and the visitor's own last run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from hgc.cache.anatomy import Kind, State
from hgc.charts.quantity import giga
from hgc.ui.queueing import QUIET
from hgc.ui.sessions import RecentItems

if TYPE_CHECKING:
    from hgc.cache.trace import Trace
    from hgc.results.comparison import Comparison

NO_RUN = (
    '<div class="story live"><div><h2>Your own run</h2><p>Run something in the Playground; its steps will '
    "appear here.</p></div></div>"
)
LEGEND = (
    '<div class="plan-legend"><span><i class="full"></i>computed</span><span><i class="kept"></i>kept from an earlier '
    'step</span><span><i class="dead"></i>not needed, so not run</span></div>'
)
# Heights of a UNet's blocks, outermost first, as drawn.
DEPTHS = (64, 50, 36, 24)


def build_how(runs: RecentItems[Comparison], run_id: gr.State) -> None:
    """Lays the tab out."""
    with gr.Column(elem_id="how"):
        gr.HTML(LEGEND + "".join(_story(*story) for story in _stories()))
        live = gr.HTML(NO_RUN, elem_id="how-live")

    def retell(run: str | None) -> str:
        """The last run in the words of this page."""
        comparison = runs.find(run)
        return NO_RUN if comparison is None else live_story(comparison)

    run_id.change(retell, run_id, live, **QUIET)


def _story(title: str, words: str, picture: str) -> str:
    return f'<section class="story"><figure>{picture}</figure><div><h2>{title}</h2><p>{words}</p></div></section>'


def _stories() -> list[tuple[str, str, str]]:
    return [
        (
            "Two networks, every step",
            "A picture starts as noise and is cleaned in about twenty steps. In each, ControlNet reads your map and "
            "a UNet cleans the picture, once with your words and once without. The difference of the two makes the "
            "picture follow the words.",
            _networks(["full"] * 4, "full", both=True),
        ),
        (
            "Coarse cache: whole blocks",
            "From one step to the next the deep blocks hardly change. At key steps everything is computed; in between "
            "only the outermost layers are, and the rest is kept or continued along its trend. Then ControlNet's "
            "output is not needed, and it does not run at all.",
            _networks(["full", "dead", "dead", "dead"], "dead"),
        ),
        (
            "Fine cache: attention and the second branch",
            "Where each word matters is decided early, so attention maps are kept for several steps. After the gate "
            "step, the branch without words is left out as well, and its last difference is used instead.",
            _branches(),
        ),
        (
            "A fair comparison",
            "Both pictures use the same noise, map and scheduler, so every difference you see comes from the cache. "
            "Control is added exactly once, in computed and in kept steps.",
            _pair(),
        ),
    ]


def _svg(width: int, height: int, body: str, label: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{body}</svg>'


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>'


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle">{words}</text>'


def _networks(depths: list[str], control: str, both: bool = False) -> str:
    """ControlNet's encoder on the left, the UNet on the right; each block in what became of it."""
    body = ""
    for i, (height, kind) in enumerate(zip(DEPTHS, depths, strict=True)):
        body += _box(12 + 16 * i, 50 - height / 2, 12, height, control)
        body += _box(112 + 16 * i, 50 - height / 2, 12, height, "full" if kind == "full" and both else kind)
        body += _box(236 - 16 * i, 50 - height / 2, 12, height, kind)
    body += _box(176, 42, 8, 16, depths[-1])
    if not both:
        body += _box(220, 50 - DEPTHS[1] / 2, 12, DEPTHS[1], "kept")
    body += _text(42, 98, "ControlNet") + _text(180, 98, "UNet")
    body += '<path class="wire" d="M76 50 H100 M96 46 L100 50 L96 54"/>'
    return _svg(256, 104, body, "ControlNet and UNet as blocks")


def _branches() -> str:
    body = "".join(_box(14 + 22 * i, 18, 18, 20, "full") for i in range(10))
    body += "".join(_box(14 + 22 * i, 46, 18, 20, "full" if i < 6 else "kept") for i in range(10))
    body += '<path class="wire" d="M144 10 V76"/>' + _text(144, 92, "gate")
    return _svg(256, 104, body, "Two branches; after the gate one of them is kept")


def _pair() -> str:
    body = _box(96, 8, 64, 22, "soft") + _text(128, 23, "noise, map")
    body += '<path class="wire" d="M112 32 L64 52 M144 32 L192 52"/>'
    body += _box(30, 54, 68, 34, "full") + _box(158, 54, 68, 34, "kept")
    return _svg(256, 104, body + _text(64, 101, "Full") + _text(192, 101, "Cached"), "One start, two pictures")


def live_story(comparison: Comparison) -> str:
    """The last run: its steps as bars, and three sentences."""
    full, cached = comparison.full.trace, comparison.cached.trace
    pairs = zip(cached.macs_per_step, full.macs_per_step, strict=True)
    shares = [mine.paper / max(whole.paper, 1) for mine, whole in pairs]
    bars = "".join(
        f'<i style="height:{max(share, 0.02):.0%}" title="step {step}: {share:.0%} of full"></i>'
        for step, share in enumerate(shares, 1)
    )
    words = (
        f"Of {cached.steps} steps, ControlNet worked in {_steps_of_control(cached)} and both branches ran in "
        f"{sum(count == 2 for count in cached.branches)}. The picture took {giga(cached.macs.paper)} instead of "
        f"{giga(full.macs.paper)} MACs. Inside shows every cell of it."
    )
    return (
        f'<section class="story live"><figure><div class="bars" role="img" aria-label="Share of full compute of each '
        f'step">{bars}</div></figure><div><h2>Your own run</h2><p>{words}</p></div></section>'
    )


def _steps_of_control(trace: Trace) -> int:
    """Steps in which any block of a ControlNet was computed."""
    blocks = [s.name for s in trace.sites if s.name.startswith("controlnet") and s.kind is Kind.RESNET]
    return sum(any(trace.cells[name][i].state is State.COMPUTED for name in blocks) for i in range(trace.steps))
