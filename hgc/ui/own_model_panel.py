"""The form for a model of one's own, as it is laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.models.presets import CONTROLS
from hgc.ui.own_model import AS_DEVICE, BY_ITSELF, NO_CONTROL, FormFault, sentence

PRECISIONS = [("The device's own", AS_DEVICE), ("Half (float16)", "float16"), ("Half (bfloat16)", "bfloat16")]
PRECISIONS += [("Full (float32)", "float32")]
PREDICTED = [("Judge it by the file", BY_ITSELF), ("The noise (epsilon)", "epsilon")]
PREDICTED += [("Noise and picture mixed (v)", "v")]
PLACES = "an id, a folder or a .safetensors file"


@dataclass(frozen=True)
class OwnModelPanel:
    """The components; a note stands under each field that can be at fault."""

    panel: gr.Column
    what: gr.Textbox
    what_note: gr.HTML
    kind: gr.Dropdown
    control: gr.Textbox
    control_note: gr.HTML
    vae: gr.Textbox
    vae_note: gr.HTML
    name: gr.Textbox
    name_note: gr.HTML
    precision: gr.Dropdown
    prediction: gr.Dropdown
    tiled: gr.Checkbox
    offload: gr.Checkbox
    told: gr.HTML
    look: gr.Button
    open: gr.Button
    fetch: gr.Button
    close: gr.Button

    @property
    def fields(self) -> list[Any]:
        """The components of an `Asked`, in its order."""
        words = [self.what, self.kind, self.control, self.vae, self.name, self.precision, self.prediction]
        return [*words, self.tiled, self.offload]

    @property
    def answers(self) -> list[Any]:
        """The components that a look at the fields changes."""
        notes = [self.what_note, self.control_note, self.vae_note, self.name_note]
        return [self.panel, *notes, self.prediction, self.told, self.open, self.fetch]


def build_own_model() -> OwnModelPanel:
    """Lays it out, hidden."""
    with gr.Column(visible=False, elem_id="own-model", elem_classes="card") as panel:
        with gr.Row(equal_height=False):
            model = _model_column()
            control = _control_column()
            rest = _vae_column()
        told = gr.HTML("", elem_id="own-told")
        buttons = _buttons()
    return OwnModelPanel(panel=panel, told=told, **model, **control, **rest, **buttons)


def _model_column() -> dict[str, Any]:
    with gr.Column(min_width=280):
        what = gr.Textbox(
            label="Your model",
            placeholder="someone/their-model, a folder, or a .safetensors file",
            info="An id of the Hub, a folder in diffusers' format, or one file: SD 1.5, 2.1, SDXL, or a LoRA.",
            elem_id="own-what",
        )
        what_note = _note()
        name = gr.Textbox(label="Its name here", info="Letters and digits. Empty: the file's name.", elem_id="own-name")
        name_note = _note()
        prediction = gr.Dropdown(
            PREDICTED,
            value=BY_ITSELF,
            filterable=False,
            visible=False,
            label="What it predicts",
            info="A file of SD 2.x does not say. Choose the other one if pictures are only noise or burnt.",
            elem_id="own-prediction",
        )
        return {"what": what, "what_note": what_note, "name": name, "name_note": name_note, "prediction": prediction}


def _control_column() -> dict[str, Any]:
    with gr.Column(min_width=280):
        control = gr.Textbox(
            label="A ControlNet for it (optional)",
            placeholder=PLACES,
            info="Without one the published ones of the model's family are used, as far as they are here.",
            elem_id="own-control",
        )
        control_note = _note()
        kind = gr.Dropdown(
            [("None", NO_CONTROL), *((title, kind) for kind, title in CONTROLS.items())],
            value="edges",
            filterable=False,
            label="The map it reads",
            info="The file does not say which kind of map it reads.",
            elem_id="own-kind",
        )
        return {"control": control, "control_note": control_note, "kind": kind}


def _vae_column() -> dict[str, Any]:
    with gr.Column(min_width=280):
        vae = gr.Textbox(
            label="Another VAE (optional)",
            placeholder=PLACES,
            info="The network that decodes the picture. Empty: the model's own.",
            elem_id="own-vae",
        )
        vae_note = _note()
        precision = gr.Dropdown(
            PRECISIONS,
            value=AS_DEVICE,
            filterable=False,
            label="Precision",
            info="Half takes half the memory; the device's own is half on an accelerator.",
            elem_id="own-precision",
        )
        tiled = gr.Checkbox(
            label="Decode in tiles", info="Less memory for large pictures; a little slower.", elem_id="own-tiled"
        )
        offload = gr.Checkbox(
            label="Take turns on the accelerator",
            info="Networks stay in main memory until they are used. Needs much less GPU memory, but is slower.",
            elem_id="own-offload",
        )
        return {"vae": vae, "vae_note": vae_note, "precision": precision, "tiled": tiled, "offload": offload}


def _note() -> gr.HTML:
    return gr.HTML("", elem_classes="own-note")


def _buttons() -> dict[str, gr.Button]:
    size: dict[str, Any] = {"min_width": 110, "scale": 0}
    with gr.Row(elem_id="own-buttons"):
        return {
            "look": gr.Button("Check it", elem_id="own-look", **size),
            "open": gr.Button("Open", variant="primary", visible=False, elem_id="own-open", **size),
            "fetch": gr.Button("Fetch", variant="primary", visible=False, elem_id="own-fetch", **size),
            "close": gr.Button("Close", elem_id="own-close", **size),
        }


def noted(panel: OwnModelPanel, fault: FormFault | None = None) -> dict[Any, Any]:
    """The notes under the fields: one sentence at the field at fault, nothing at the others."""
    notes = {"what": panel.what_note, "control": panel.control_note, "vae": panel.vae_note, "name": panel.name_note}
    return {
        note: sentence(str(fault)) if fault is not None and fault.field == field else ""
        for field, note in notes.items()
    }
