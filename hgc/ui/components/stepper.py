"""The one step slider of the tab, what the arms did in its step, and their pictures as they stood then; as HTML."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from hgc.cache.anatomy import State
from hgc.cache.trace import Trace
from hgc.charts.quantity import giga, seconds
from hgc.ui.components.by_step import figure_by_step, words_by_step
from hgc.ui.components.heat import two_sided

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.results.opened import Opened

HINT = "Moves the marker in every chart and changes the pictures below. The left and right arrow keys do the same."
BRANCHES = {0: "no branch", 1: "one branch", 2: "both branches"}
NO_PICTURES = '<p class="aside">The pictures of this run\'s steps were not kept: run it again to see them.</p>'
# Below this the difference would show the rounding of 256 tones as if it were something.
LEAST_TOP = 0.05


def step_of(step: int, steps: int, arm_steps: int) -> int:
    """The step of an arm of fewer steps that has got as far as step `step` of `steps`; both from 0."""
    return -(-(step + 1) * arm_steps // steps) - 1


def stepper(opened: Opened) -> str:
    """The slider, its two buttons, and a line for each arm."""
    steps, titles = opened.full.steps, opened.titles
    middle = max(1, steps // 2)
    lines = "".join(
        f'<p class="did {arm.name}"><b>{titles[arm.name]}</b> {words_by_step(did(arm.trace, steps))}</p>'
        for arm in opened.side_by_side
    )
    numbers = words_by_step([f"{step + 1} of {steps}" for step in range(steps)])
    return (
        f'<div class="stepper" title="{HINT}"><div class="stepping">'
        '<button type="button" class="quiet" data-move="-1" aria-label="One step back">‹</button>'
        f'<input type="range" id="step" min="1" max="{steps}" value="{middle}" aria-label="Step">'
        '<button type="button" class="quiet" data-move="1" aria-label="One step on">›</button>'
        f'<output for="step">Step {numbers}</output></div><div class="done">{lines}</div></div>'
    )


def did(trace: Trace, steps: int) -> list[str]:
    """One line for every step of an arm: the work it did there."""
    lines = []
    for step in range(steps):
        own = step_of(step, steps, trace.steps)
        states = Counter(row[own].state for row in trace.cells.values())
        reused = states[State.REUSED] + states[State.FORECAST]
        said = [f"{giga(trace.macs_per_step[own].paper)} MACs", seconds(trace.step_ms[own])]
        said += [f"{states[State.COMPUTED]} sites computed"]
        said += [f"{reused} kept"] if reused else []
        said += [f"{states[State.DEAD]} not needed"] if states[State.DEAD] else []
        said += [BRANCHES[trace.branches[own]]]
        other = f"its step {own + 1} of {trace.steps}: " if trace.steps != steps else ""
        lines.append(other + ", ".join(said))
    return lines


def pictures(opened: Opened) -> str:
    """The arms side by side after the chosen step, roughly, and where they differ."""
    if not all(arm.previews for arm in opened.side_by_side):
        return NO_PICTURES
    full, steps = opened.comparison.full.previews, opened.full.steps
    shown = [figure_by_step("The full arm after this step", full, opened.titles["full"])]
    about = "<p>The denoiser's state so far: noise at first, the picture at the end, not decoded, in rough colours.</p>"
    if opened.name != "full":
        own, title = opened.arm.previews, opened.title
        own = tuple(own[step_of(step, steps, len(own))] for step in range(steps))
        apart = [_apart(a, b) for a, b in zip(full, own, strict=True)]
        top = max(LEAST_TOP, *(float(np.abs(difference).max()) for difference in apart))
        differing = words_by_step([f"Difference, {np.abs(difference).mean():.1%} on average" for difference in apart])
        shown += [
            figure_by_step(f"{title} after this step", own, title),
            figure_by_step("Where the two differ", [two_sided(difference, top) for difference in apart], differing),
        ]
        about += (
            f"<p>In the difference orange is brighter in {title}, blue darker; full colour is {top:.0%} of "
            "brightness, the same in every step.</p>"
        )
    return f'<div class="triple four">{"".join(shown)}<div class="aside">{about}</div></div>'


def _apart(full: Pixels, cached: Pixels) -> np.ndarray:
    """Signed difference of brightness, [h, w] in -1..1."""
    return (cached.astype(np.float32).mean(2) - full.astype(np.float32).mean(2)) / 255
