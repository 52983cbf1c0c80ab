"""The top of the page: which model is loaded, which there are, and a card for what is to be said of a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.models import hub
from hgc.models.presets import CONTROLS, ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered
from hgc.ui.masthead import masthead
from hgc.ui.own_model_panel import OwnModelPanel, build_own_model
from hgc.ui.remarks import notes_list

if TYPE_CHECKING:
    from hgc.ui.loader import Loader

Updates = dict[Any, Any]
OWN_MODEL = "own…"  # no name of a model, which has letters and digits only


@dataclass(frozen=True)
class Header:
    """The top of the page; `card` is seen where there is something to say about a choice, `told`."""

    masthead: gr.HTML
    picker: gr.Dropdown
    card: gr.Row
    told: gr.HTML
    fetch: gr.Button
    stop: gr.Button
    own: OwnModelPanel

    @property
    def parts(self) -> list[Any]:
        """The components that an answer may change, without the form for one's own."""
        return [self.masthead, self.picker, self.card, self.told, self.fetch, self.stop]

    def says(self, words: str, kind: str = "") -> Updates:
        """Words under the header; without any its card goes."""
        notes = notes_list([words], kind) if kind else f'<p class="lead">{escape(words)}</p>'
        return {self.told: notes, self.card: gr.update(visible=bool(words))} | self.buttons()

    def buttons(self, fetch: bool = False) -> Updates:
        return {self.fetch: gr.update(visible=fetch), self.stop: gr.update(visible=False)}

    def offers(self, preset: ModelPreset) -> Updates:
        """Size and licence of a model that is not here, with the button to fetch it."""
        licence = f", licence {preset.licence}" if preset.licence else ""
        size = f"about {(preset.size_bytes + preset.control_bytes) / 1e9:.1f} GB with one ControlNet"
        words = f"{preset.title} is not on this machine: {size}{licence}. Nothing is fetched before you say so."
        return self.says(words) | self.buttons(fetch=True)


def offered_controls(preset: ModelPreset, controls: Sequence[str]) -> str:
    """In words, the size of a model's controls that are not here."""
    titles = ", ".join(CONTROLS[name] for name in controls)
    sources = sorted({preset.controls[name] for name in controls})
    absent = f"{' and '.join(sources)} {'is' if len(sources) == 1 else 'are'} not on this machine"
    size = f"about {len(sources) * preset.control_bytes / 1e9:.1f} GB"
    return f"{titles}: {absent}, {size}. The licence is on the Hub. Nothing is fetched before you say so."


def known_models() -> Mapping[str, ModelPreset]:
    """All by name; of a damaged list of one's own, the others."""
    try:
        return {**presets(), **remembered()}
    except ModelUnavailable:
        return presets()


def model_choices() -> list[tuple[str, str]]:
    """Every model with how it stands, those first that are here; last, one's own."""
    known = sorted(known_models().items(), key=lambda item: bool(hub.missing_of(item[1])))
    listed = [(f"{preset.title} · {hub.state_of(preset)}", name) for name, preset in known]
    return [*listed, ("Your own…", OWN_MODEL)]


def build_header(loader: Loader) -> Header:
    """Lays it out."""
    with gr.Row(elem_id="top", equal_height=True):
        head = gr.HTML(masthead("loading", "Loading the model"), elem_id="header")
        picker = gr.Dropdown(
            model_choices(),
            value="landscapes",
            label="Model",
            container=False,
            filterable=False,
            interactive=False,  # until the page has arrived, whose form would undo a choice
            visible=loader.choice,
            elem_id="model",
            scale=0,
            min_width=260,
        )
    with gr.Row(visible=False, elem_id="model-card", elem_classes="card") as card:
        told = gr.HTML("", elem_id="model-told")
        fetch = gr.Button("Fetch", variant="primary", elem_id="fetch", min_width=90, scale=0)
        stop = gr.Button("Stop", visible=False, elem_id="stop-fetching", min_width=90, scale=0)
    return Header(head, picker, card, told, fetch, stop, build_own_model())
