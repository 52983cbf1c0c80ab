"""The viewer: a run's pictures in four ways under one zoom, a magnifier over all of them, and the map laid over."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np
from PIL import Image

from hgc.metrics import difference
from hgc.planning.methods import arm_titles
from hgc.results.records import signed
from hgc.ui.components.heat import heat_levels, heat_scale, heat_top, inferno
from hgc.ui.pictures import PNG_URL, png_url
from hgc.ui.playground.stage import cost_line, proportions, stage_empty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hgc.control.canvas import Pixels
    from hgc.request import Request
    from hgc.results.comparison import Arm, Comparison


LOOKS = {
    "side": ("Side by side", "All pictures beside each other."),
    "slider": ("Slider", "Two pictures in one place, divided by a line that you move."),
    "flicker": ("Flicker", "Two pictures in one place: click or press F to flip."),
    "heat": ("Difference", "Where two pictures differ, and by how much."),
}
PICTURES = "Pictures. Plus and minus zoom, arrow keys move, F flips two of them, M magnifies."
TEMPLATE = f"""<div class="viewer" data-look="side" data-side="left">
<div class="viewer-bar">
<fieldset class="choices looks"><legend class="unseen">How to look</legend>{
    "".join(
        f'<label title="{hint}"><input type="radio" name="LOOK" value="{look}"{" checked" if look == "side" else ""}>'
        f"<span>{title}</span></label>"
        for look, (title, hint) in LOOKS.items()
    )
}</fieldset>
<label class="pick pair" hidden title="Which two pictures are compared"><span>Two of them</span>
<select></select></label>
</div>
<div class="scene" role="group" tabindex="0" aria-label="{PICTURES}"></div>
<div class="viewer-bar tools">
<span class="zoom"><button type="button" class="quiet" data-do="out" aria-label="Zoom out" title="-">−</button>
<output>100%</output>
<button type="button" class="quiet" data-do="in" aria-label="Zoom in" title="+, or Ctrl and wheel">+</button>
<button type="button" class="quiet" data-do="fit" title="0">Fit</button></span>
<button type="button" class="quiet" data-do="lens" aria-pressed="false"
title="The same place enlarged in all pictures, under the pointer; key M">Magnifier</button>
<label class="pick over" title="Lays the control map over a picture"><span>Map over</span>
<select><option>nothing</option></select></label>
<label class="over-by" title="How strongly the map covers"><span class="unseen">Opacity of the map</span>
<input type="range" min="0" max="100" value="50"></label>
<button type="button" class="quiet last" data-do="full" title="Shift and F; Escape leaves it">Full screen</button>
</div>
<div class="lens" hidden></div>
</div>"""


def build_viewer(value: str = "", name: str = "stage") -> gr.HTML:
    """The component; its value is a scene: `scene` of a run, or one of hgc.ui.playground.stage."""
    return gr.HTML(
        value or stage_empty(),
        html_template=TEMPLATE.replace("LOOK", f"{name}-look"),
        js_on_load="hgc.viewer(element, props, watch);",
        apply_default_css=False,
        elem_id=name,
    )


@dataclass(frozen=True)
class ViewerPicture:
    """A picture in the viewer: a name, what to call it, a line under it, words for who cannot see it, and its PNG."""

    name: str
    title: str
    line: str
    alt: str
    pixels: Pixels
    png: bytes


def scene(comparison: Comparison) -> str:
    """A finished run: every arm, every pair's difference on one scale, the map."""

    titles, alt = arm_titles(comparison.request), comparison.request.prompt or "without words"
    shown = [
        ViewerPicture(name, titles[name], _cost(arm, comparison), alt, arm.image, signed(comparison, name))
        for name, arm in comparison.arms.items()
    ]
    return scene_of(shown, comparison.request)


def scene_of(shown: Sequence[ViewerPicture], request: Request) -> str:
    """Pictures of one size, every pair's difference on one scale, the map of a request."""

    pairs = list(combinations(shown, 2))
    differences = [np.asarray(difference(a.pixels, b.pixels), np.float32) for a, b in pairs]
    top = max(heat_top(apart) for apart in differences)
    panes = [_pane(one) for one in shown]
    panes += [_heat(left, right, apart, top) for (left, right), apart in zip(pairs, differences, strict=True)]
    control = f'<img class="map" hidden alt="" src="{PNG_URL}{request.control_png}">'
    return (
        f'<div class="panes result" data-control="{request.control}" style="{proportions(len(shown), request.size)}">'
        f'{"".join(panes)}{control}</div><div class="under">'
        '<p class="aside only-side">Ctrl and wheel, or two fingers, zoom all pictures; drag to move them.</p>'
        '<p class="aside only-slider">Drag the line, or move it with the arrow keys.</p>'
        '<p class="aside only-flicker">Click the picture, or press F, to flip.</p>'
        f'<div class="only-heat">{heat_scale(top)}</div></div>'
    )


def _cost(arm: Arm, comparison: Comparison) -> str:
    return cost_line(arm.latency_ms, arm.trace.macs.paper, comparison.full.trace.macs.paper)


def _pane(shown: ViewerPicture) -> str:
    title, alt = escape(shown.title), escape(shown.alt)
    return (
        f'<figure class="pane arm {shown.name}" data-arm="{shown.name}" data-title="{title}">'
        f'<div class="glass"><img class="picture" alt="{title}: {alt}" src="{_png_url(shown.png)}"></div>'
        f"<figcaption><b>{title}</b><span>{escape(shown.line)}</span>"
        f'<button type="button" class="quiet" data-save="{shown.name}" aria-label="Save the picture: {title}">'
        "Save</button></figcaption></figure>"
    )


def _heat(one: ViewerPicture, other: ViewerPicture, difference: NDArray[np.float32], top: float) -> str:
    left, right = escape(one.title), escape(other.title)
    picture = Image.fromarray(heat_levels(difference, top))
    picture.putpalette(inferno().tobytes())
    said = f"on average {difference.mean():.2%} of full brightness"
    return (
        f'<figure class="pane heat" data-pair="{one.name} {other.name}" data-title="Difference"><div class="glass">'
        f'<img class="picture" alt="Where {left} and {right} differ: {said}" src="{png_url(picture)}">'
        f"</div><figcaption><b>{left} against {right}</b><span>{said}</span></figcaption></figure>"
    )


def _png_url(png: bytes) -> str:
    return PNG_URL + b64encode(png).decode()
