"""HTML about attention: how much the cache answered; and for a word, its map in two arms at every step."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.cache.anatomy import Kind, State
from hgc.cache.trace import Trace
from hgc.charts.attention import layer_titles
from hgc.ui.components.by_step import figure_by_step, words_by_step
from hgc.ui.components.heat import heat_map, two_sided
from hgc.ui.components.stepper import step_of

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.request import ArmName
    from hgc.studio.inspection import Inspection

TOGETHER = ""
NO_WORDS = '<p class="aside">The prompt has no words to look for: write one and run again.</p>'
Level = NDArray[np.float32]


def totals(trace: Trace) -> str:
    """The work of the fine cache: the attention it answered, that was not needed, and the steps with one branch."""
    hits, misses = trace.attention_hits, trace.attention_misses
    asked = hits + misses
    left_out = trace.count(State.DEAD, kind=Kind.CROSS_ATTENTION)
    halved = sum(count == 1 for count in trace.branches)
    branches = f" {halved} of {trace.steps} steps ran one guidance branch instead of two." if halved else ""
    unasked = f" {left_out} more were not asked for: what they feed was left out." if left_out else ""
    return (
        f'<p class="lead"><b>{hits / asked if asked else 0:.0%}</b> of the attention came from the cache.</p>'
        f'<p class="aside">Of {asked} looks at your words {hits} were answered from the cache, {misses} were computed.'
        f"{unasked}{branches}</p>"
    )


def layer_choices(seen: Inspection) -> list[tuple[str, str]]:
    """Title and name of every cross-attention that ran, all of the UNet's together first."""
    sites = [site for site in seen.traces["full"].sites if site.kind is Kind.CROSS_ATTENTION]
    titles = dict(zip((site.name for site in sites), layer_titles(sites), strict=True))
    return [("All of the UNet, averaged", TOGETHER), *((titles[name], name) for name in seen.layers)]


def attention_view(seen: Inspection, arm: ArmName, title: str, word: int, layer: str) -> str:
    """One word in one layer at every step: fresh in the full arm, as used in `arm`, and their difference.

    `title` is the arm's. The full arm is shown alone. A layer named TOGETHER is the UNet's mean.
    """
    arms: tuple[ArmName, ...] = ("full",) if arm == "full" else ("full", arm)
    steps = seen.traces["full"].steps
    levels = [[_level(seen, name, layer, word, step) for step in range(steps)] for name in arms]
    there = [level for row in levels for level in row if level is not None]
    top = max(float(np.quantile(np.stack(there), 0.999)), 1e-3) if there else 1.0
    looks_for = f"where the model looks for {seen.words[word].title}"
    figures = [
        figure_by_step(f"Full: {looks_for}", _heats(levels[0], top), "Fresh: computed by the full arm in this step")
    ]
    caption = (
        f"Bright: up to {top:.1%} of a place's attention goes to <b>{escape(seen.words[word].title)}</b>, as the mean "
        "over heads."
    )
    if arm != "full":
        apart = [None if a is None or b is None else b - a for a, b in zip(*levels, strict=True)]
        widest = max((float(np.abs(level).max()) for level in apart if level is not None), default=0.0)
        widest = max(widest, 1e-3)
        said = words_by_step([_said(seen, arm, title, layer, step) for step in range(steps)])
        differing = words_by_step([_differing(level) for level in apart])
        figures += [
            figure_by_step(f"{title}: {looks_for}", _heats(levels[1], top), said),
            figure_by_step(f"Difference: {looks_for}", _two_sided(apart, widest), differing),
        ]
        caption += (
            f" In the difference orange is more in {escape(title)}, blue less, full colour {widest:.1%}. The cache "
            "keeps a layer's output, not its attention map; the map of the step that was kept is shown."
        )
    return f'<div class="triple">{"".join(figures)}</div><p class="aside">{caption}</p>'


def _level(seen: Inspection, arm: ArmName, layer: str, word: int, step: int) -> Level | None:
    """A map [h, w] in an arm at a step of the full one; None where nothing has run yet."""
    own = step_of(step, seen.traces["full"].steps, seen.traces[arm].steps)
    names = [layer] if layer else [name for name in seen.layers if name.startswith("unet.")]
    maps = [used.map.astype(np.float32) for name in names if (used := seen.used(arm, name, word, own))]
    if not maps:
        return None
    height, width = max((level.shape for level in maps), key=lambda shape: shape[0])
    large = [cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR) for level in maps]
    return np.asarray(np.mean(large, axis=0), np.float32)


def _said(seen: Inspection, arm: ArmName, title: str, layer: str, step: int) -> str:
    """The map that the arm used, in words."""
    trace = seen.traces[arm]
    own = step_of(step, seen.traces["full"].steps, trace.steps)
    if layer:
        return f"{title}: {_origin(seen, arm, layer, own)}"
    names = [name for name in seen.layers if name.startswith("unet.")]
    fresh = sum(trace.cells[name][own].state is State.COMPUTED for name in names)
    others = "" if fresh == len(names) else ", the others as last computed"
    return f"{title}: {fresh} of {len(names)} layers computed here{others}"


def _origin(seen: Inspection, arm: ArmName, layer: str, step: int) -> str:
    used, cell = seen.used(arm, layer, 0, step), seen.traces[arm].cells[layer][step]
    if used is None:
        return f"not run so far ({cell.reason})"
    if used.step == step:
        return "computed in this step as well"
    if cell.state is State.REUSED:
        return f"reused from step {used.step + 1}"
    if cell.state is State.FORECAST:
        return f"forecast from step {used.step + 1} and before; shown is step {used.step + 1}"
    return f"not run ({cell.reason}); last in step {used.step + 1}"


def _differing(level: Level | None) -> str:
    return (
        "Difference: nothing to compare yet" if level is None else f"Difference, {np.abs(level).mean():.2%} on average"
    )


def _heats(levels: Sequence[Level | None], top: float) -> list[Pixels | None]:
    return [None if level is None else heat_map(level, top) for level in levels]


def _two_sided(levels: Sequence[Level | None], top: float) -> list[Pixels | None]:
    return [None if level is None else two_sided(level, top) for level in levels]
