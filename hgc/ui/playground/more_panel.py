"""More to draw from, folded away: the picture's size, a second control, a picture to begin from, and LoRAs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.models.presets import presets
from hgc.ui.components.inputs import ModelsList
from hgc.ui.playground.lora_panel import LoraPanel, build_lora_panel
from hgc.ui.playground.second_panel import SecondPanel, build_second_panel
from hgc.ui.playground.size import OWN, size_choices
from hgc.ui.playground.source_panel import PART, SourcePanel, build_source_panel
from hgc.ui.remarks import aside

if TYPE_CHECKING:
    pass

LANDSCAPES_SIZE = presets()["landscapes"].size


@dataclass(frozen=True)
class MorePanel:
    """The components; `shape` gives the canvases the proportions of the size."""

    folded: gr.Accordion
    size: gr.Dropdown
    one_size: gr.HTML
    shape: gr.HTML
    second: SecondPanel
    source: SourcePanel
    loras: LoraPanel

    @property
    def inputs(self) -> list[Any]:
        """All that makes fields of a request, but for the size, which is one itself."""
        return [*self.second.drawing, *self.second.weights, *self.source.fields, *self.loras.inputs]

    @property
    def begun(self) -> list[Any]:
        """The outputs of `begins`."""
        return [self.folded, self.source.part]

    def begins(self) -> dict[Any, Any]:
        """Opens what an inpainting control reads."""
        return {self.folded: gr.update(open=True), self.source.part: PART}

    @property
    def cost(self) -> list[Any]:
        """The components that the cost depends on."""
        second, source = self.second, self.source
        pictures = [second.control, *second.weights, source.picture, source.strength]
        return [self.size, *pictures, *self.loras.inputs]

    @property
    def fitted(self) -> list[Any]:
        """The outputs of `model_fit.more_fitted`, and of the LoRAs' own."""
        own = [self.size, self.one_size, self.second.control, self.source.part, self.source.no_mask]
        return [*own, *self.loras.fitted]


def one_size_text(title: str, side: int) -> str:
    return aside(f"{title} draws {side} × {side} pixels, the one size it was trained at.")


def build_more_panel() -> MorePanel:
    """Lays it out as the embedded model uses it."""
    landscapes = presets()["landscapes"]
    with gr.Accordion("More to draw from", open=False, elem_id="more") as folded:
        size = ModelsList(
            size_choices(LANDSCAPES_SIZE),
            value=OWN,
            label="Size of the picture",
            info="Width × height. Another can be typed, such as 768x512; sides go in steps of 64.",
            allow_custom_value=True,
            visible=False,
            elem_id="picture-size",
        )
        shape = gr.HTML("", elem_id="sheet-shape")
        second = build_second_panel()
        source = build_source_panel()
        one_size = gr.HTML(one_size_text(landscapes.title, landscapes.size), elem_id="one-size")
    return MorePanel(folded, size, one_size, shape, second, source, build_lora_panel())
