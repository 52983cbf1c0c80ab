"""Both switches, which show what the method keeps and take HGC when pressed, and HGC's own settings; as components, by
the names that `CachePanel` gives them.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from hgc.cache.schedules import HGC
from hgc.planning.methods import Method

WITH_SWITCH_JS = "(on) => ({__type__: 'update', interactive: on})"


def switches(now: Method) -> dict[str, Any]:
    """The two kinds of cache."""
    with gr.Row(elem_id="cache-switches"):
        return {
            "coarse": gr.Checkbox(
                now.coarse,
                label="Coarse cache",
                info="Keeps whole blocks between steps.",
                elem_id="coarse",
                elem_classes="switch",
            ),
            "fine": gr.Checkbox(
                now.fine,
                label="Fine cache",
                info="Keeps attention maps and guidance.",
                elem_id="fine",
                elem_classes="switch",
            ),
        }


def coarse(now: HGC) -> dict[str, Any]:
    """How much of the blocks is computed, and when."""
    fields: dict[str, Any] = {
        "similarity": gr.Checkbox(
            now.similarity,
            label="By measured similarity",
            info="Chooses what to compute by how much full runs were measured to change. Off: by a fixed timetable.",
            elem_id="similarity",
            elem_classes="switch",
        ),
        "key_share": gr.Slider(
            0.05,
            HGC.bounds["lambda_inter"].le,
            now.lambda_inter,
            step=0.01,
            label="Key steps (λ inter)",
            info="Share of the steps that compute everything. More is closer to the full picture, and slower.",
            elem_id="key-share",
        ),
        "layer_share": gr.Slider(
            HGC.bounds["lambda_intra"].ge,
            HGC.bounds["lambda_intra"].le,
            now.lambda_intra,
            step=0.01,
            label="Refreshed layers (λ intra)",
            info="Share of the decoder's layers that the other steps compute, on average. More is closer, and slower.",
            elem_id="layer-share",
        ),
        "order": gr.Radio(
            [("Repeat", 0), ("Follow a line", 1), ("Follow a curve", 2)],
            value=now.order,
            label="Kept values",
            info="Reuse the last value, or continue the trend of the last two or three.",
            elem_id="order",
            elem_classes="segmented",
        ),
    }
    return fields | _at_run_time()


def _at_run_time() -> dict[str, Any]:
    adaptive = gr.Checkbox(
        False,
        label="Decide while running",
        info="Look at a cheap feature in every step, and compute the step where it has changed enough.",
        elem_id="adaptive",
        elem_classes="switch",
    )
    threshold = gr.Slider(
        0.02,
        0.6,
        0.15,
        step=0.01,
        label="Threshold",
        info="A step whose change is larger is computed. Higher computes less.",
        interactive=False,
        elem_id="threshold",
    )
    release = gr.Slider(
        0.01,
        0.6,
        0.07,
        step=0.01,
        label="Threshold after a refreshed step",
        info="After a refreshed step, a smaller change is enough to compute again. Lower computes more.",
        interactive=False,
        elem_id="release",
    )
    most = gr.Slider(
        0,
        20,
        4,
        step=1,
        label="Refreshed steps, at most",
        info="Limits the cost; the forecast counts all of them. Higher may cost more; 0 sets no limit.",
        interactive=False,
        elem_id="most-refreshed",
    )
    numbers = {"threshold": threshold, "release": release, "most": most}
    for slider in numbers.values():
        adaptive.change(None, adaptive, slider, js=WITH_SWITCH_JS, api_visibility="private")
    return {"adaptive": adaptive} | numbers


def fine(now: HGC) -> dict[str, Any]:
    """How long words and guidance are attended to."""
    return {
        "gate": gr.Slider(
            0.05,
            HGC.bounds["gate"].le,
            now.gate,
            step=0.01,
            label="Gate",
            info="Share of the steps with both guidance branches; then one is computed. Lower is faster; 1 keeps both.",
            elem_id="gate",
        ),
        "attention_every": gr.Slider(
            HGC.bounds["attention_every"].ge,
            HGC.bounds["attention_every"].le,
            now.attention_every,
            step=1,
            label="Attention every n-th time",
            info="1 computes it in every key step. Higher computes it less often.",
            elem_id="attention-every",
        ),
        "fusion": gr.Radio(
            [("Keep the last difference", "difference"), ("Drop guidance", "drop")],
            value=now.fusion,
            label="After the gate",
            info="Reuse the last difference of the two branches, or stop guiding.",
            elem_id="fusion",
            elem_classes="segmented",
        ),
    }
