"""LoRAs over the loaded model: which, and how strongly each; a row more than are chosen, up to a request's limit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc import limits
from hgc.models.loras import added_loras, loras_for
from hgc.models.refusals import ModelUnavailable
from hgc.ui.components.inputs import ModelsList

if TYPE_CHECKING:
    from hgc.request import Lora
    from hgc.studio.studio import Studio

NONE = "none"
INPUTS = 2 * limits.LORAS
# The rows' visibility for what is chosen in each, and the panel's, which is shown where one is chosen and else stays.
ROWS_JS = f"""(...names) => {{
  const chosen = names.map((name) => Boolean(name) && name !== {json.dumps(NONE)}), last = chosen.lastIndexOf(true);
  const rows = names.map((_, i) => ({{__type__: 'update', visible: i <= last + 1}}));
  return [last < 0 ? {{__type__: 'update'}} : {{__type__: 'update', visible: true}}, ...rows];
}}"""


@dataclass(frozen=True)
class LoraPanel:
    """The components; `body` is seen where the model can take one of the LoRAs that were added here."""

    body: gr.Accordion
    rows: Sequence[gr.Row]
    names: Sequence[gr.Dropdown]
    weights: Sequence[gr.Number]

    @property
    def inputs(self) -> list[Any]:
        """A name and a weight in turn, as `lora_fields` reads them."""
        return [part for row in zip(self.names, self.weights, strict=True) for part in row]

    @property
    def fitted(self) -> list[Any]:
        """The outputs of `model_fit.loras_fitted` and `loras_offered`."""
        return [self.body, *self.names]

    def written(self, loras: Sequence[Lora]) -> dict[Any, Any]:
        """The updates that put a request's LoRAs on the panel; what it has not is taken away."""
        names = [lora.name for lora in loras] + [NONE] * (len(self.names) - len(loras))
        weights = [lora.weight for lora in loras] + [1.0] * (len(self.weights) - len(loras))
        return dict(zip(self.names, names, strict=True)) | dict(zip(self.weights, weights, strict=True))


def lora_choices(known: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Without one first."""
    return [("None", NONE), *((name, name) for name in known)]


def loras_here(studio: Studio) -> tuple[str, ...]:
    """Those that were added here and that a studio's model can take; of a damaged list none."""
    try:
        if not added_loras() or not studio.blueprint.adaptable:
            return ()
        return loras_for(studio.loaded.components["unet"].config.cross_attention_dim)
    except ModelUnavailable:
        return ()


def lora_fields(values: Sequence[Any]) -> dict[str, Any]:
    """A recipe's field of the values of `LoraPanel.inputs`; none where none is chosen."""
    rows = zip(values[::2], values[1::2], strict=True)
    loras = [{"name": name, "weight": weight} for name, weight in rows if name not in (None, "", NONE)]
    return {"loras": loras} if loras else {}


def build_lora_panel() -> LoraPanel:
    """Lays it out, without a LoRA."""
    rows, names, weights = [], [], []
    with gr.Accordion("LoRAs", open=False, visible=False, elem_id="loras") as body:
        gr.HTML(
            '<p class="aside">Small additions to the model that change style or subject. They cost a little more, and '
            "the forecast says how much.</p>"
        )
        for number in range(1, limits.LORAS + 1):
            with gr.Row(visible=number == 1, elem_id=f"lora-row-{number}", elem_classes="lora-row") as row:
                rows.append(row)
                names.append(_name(number))
                weights.append(
                    gr.Number(1.0, step=0.05, label=f"Weight {number}", elem_id=f"lora-weight-{number}", min_width=90)
                )
    gr.on([name.change for name in names], None, names, [body, *rows], js=ROWS_JS, api_visibility="private")
    return LoraPanel(body, rows, names, weights)


def _name(number: int) -> gr.Dropdown:
    """A LoRA from a link or a picture may not be one of those that were added here."""
    made: gr.Dropdown = ModelsList(
        lora_choices(),
        value=NONE,
        label=f"LoRA {number}",
        allow_custom_value=True,
        elem_id=f"lora-{number}",
        scale=3,
        min_width=140,
    )
    return made
