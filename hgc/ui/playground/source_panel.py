"""A picture to begin from instead of noise alone, and the part of it that is made anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.ui.components.easel import build_easel
from hgc.ui.components.inputs import photo_input, shown_when
from hgc.ui.playground.palettes import swatches
from hgc.ui.remarks import aside

WHOLE, PART = "whole", "part"
MASK = (230, 75, 60)
NO_MASK = "This model can only change the whole picture, not a part of it."


@dataclass(frozen=True)
class SourcePanel:
    """The components; `part` says whether all of the picture is made anew or what is painted over it."""

    picture: gr.Image
    body: gr.Column
    strength: gr.Slider
    part: gr.Radio
    mask: gr.HTML
    under: gr.HTML
    no_mask: gr.HTML

    @property
    def fields(self) -> list[Any]:
        """The inputs of `more.source_fields`."""
        return [self.picture, self.strength, self.part, self.mask]

    @property
    def read(self) -> list[Any]:
        """Those of them that an inpainting control's map is made from."""
        return [self.picture, self.part, self.mask]


def build_source_panel() -> SourcePanel:
    """Lays it out, without a picture."""
    gr.HTML(
        '<h3>Begin from a picture</h3><p class="aside">The picture is made from this '
        "one instead of from noise alone. It still follows the map above.</p>"
    )
    picture = photo_input(
        label="Picture to begin from",
        show_label=False,
        sources=["upload", "clipboard"],
        height=180,
        buttons=[],
        elem_id="begin-from",
        elem_classes="photo",
        placeholder="Drop a picture here, or click to choose one",
    )
    with gr.Column(visible=False, elem_id="begin-body") as body:
        strength = gr.Slider(
            0.05,
            1,
            0.7,
            step=0.05,
            label="How far it is changed",
            info="Higher changes more; at 1 nothing of it is left.",
            elem_id="strength",
        )
        part = gr.Radio(
            [("All of it", WHOLE), ("Only what I paint over", PART)],
            value=WHOLE,
            label="Made anew",
            elem_id="made-anew",
            elem_classes="segmented",
            visible=False,
        )
        no_mask = gr.HTML(aside(NO_MASK), elem_id="no-mask")
        with gr.Column(visible=False, elem_id="mask-panel") as mask_panel:
            under = gr.HTML("", elem_id="mask-under")
            mask = build_easel(
                None,
                label="Canvas for the mask",
                sets=[swatches("mask", {"mask": MASK}, "mask")],
                brush_px=48,
                elem_id="mask",
            )
    shown_when(picture, "Boolean(value)", body)
    shown_when(part, f"value === '{PART}'", mask_panel)
    return SourcePanel(picture, body, strength, part, mask, under, no_mask)
