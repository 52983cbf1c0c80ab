"""The form for a model of one's own: what it is, whether it fits, what memory it takes, then it is opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from hgc.models import hub
from hgc.models.presets import CONTROLS, ModelPreset
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered
from hgc.refused import Refused

OWN_MODEL = "own…"  # no name of a model, which has letters and digits only
HUB_ID = r"[\w.-]+/[\w.-]+(:[^:]+)?"
ELSEWHERE = (
    "Folders and files can be opened only in a browser on the machine that serves this page: from here, give an id of "
    "the Hub, or have the model added there with `hgc models add`."
)
AS_DEVICE, HALF = "", "float16"
PRECISIONS = [("The device's own", AS_DEVICE), ("Half (float16)", HALF), ("Half (bfloat16)", "bfloat16")]
PRECISIONS += [("Full (float32)", "float32")]
NO_CONTROL = "none"
PLACES = "an id, a folder or a .safetensors file"
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


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
        return [self.what, self.kind, self.control, self.vae, self.name, self.precision, self.tiled, self.offload]

    @property
    def answers(self) -> list[Any]:
        """The components that a look at the fields changes."""
        notes = [self.what_note, self.control_note, self.vae_note, self.name_note]
        return [self.panel, *notes, self.told, self.open, self.fetch]


@dataclass(frozen=True)
class Asked:
    """The form's values."""

    what: str
    kind: str
    control: str
    vae: str
    name: str
    precision: str
    tiled: bool
    offload: bool

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Asked:
        *words, tiled, offload = values
        what, kind, control, vae, name, precision = (str(word or "").strip() for word in words)
        return cls(what, kind, control, vae, name, precision, bool(tiled), bool(offload))

    @property
    def sources(self) -> tuple[str, ...]:
        """All that is to be opened."""
        control = self.control if self.kind != NO_CONTROL else ""
        return tuple(source for source in (self.what, control, self.vae) if source)

    @property
    def missing(self) -> tuple[str, ...]:
        """The ids that are not on this machine."""
        ids = [source for source in self.sources if re.fullmatch(HUB_ID, source)]
        return tuple(source for source in ids if not hub.is_here(source))


class Fault(Refused, ValueError):
    """One field of the form that cannot be used, with its sentence."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


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
            info="An id of the Hub, a folder in diffusers' format, or one file: SD 1.5, SD 2.1 or SDXL.",
            elem_id="own-what",
        )
        what_note = _note()
        name = gr.Textbox(label="Its name here", info="Letters and digits. Empty: the file's name.", elem_id="own-name")
        return {"what": what, "what_note": what_note, "name": name, "name_note": _note()}


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


def recognise(asked: Asked, here: bool) -> ModelPreset:
    """The preset that the form asks for, all parts on this machine; `here` is whether paths may be named.

    Raises Fault.
    """
    from hgc.models.own import own_model, with_control, with_vae

    check_permitted(asked, here)
    if not asked.what:
        raise Fault("what", "Name a model first: an id of the Hub, a folder, or a .safetensors file.")
    own_name = bool(asked.name)
    preset = _of("what", lambda: own_model(asked.what, "own" if own_name else ""))
    if own_name:
        preset = _of("name", lambda: own_model(asked.what, asked.name))
    other = remembered().get(preset.name)
    if other is not None and other.source != preset.source:
        raise Fault("name", f"'{preset.name}' is the name of another model of yours; give this one another.")
    if asked.control and asked.kind == NO_CONTROL:
        raise Fault("control", "Choose which map this ControlNet reads, or leave it out.")
    if asked.control:
        plain = preset
        preset = _of("control", lambda: with_control(plain, asked.kind, asked.control))
    if asked.vae:
        before = preset
        preset = _of("vae", lambda: with_vae(before, asked.vae))
    if not any(hub.is_here(source) for source in preset.controls.values()):
        first = next(iter(preset.controls.values()))
        raise Fault("control", f"No ControlNet for it is here: name one of yours, or fetch {first} by its id.")
    return replace(preset, precision=asked.precision, tiled=asked.tiled, offload=asked.offload)


def check_permitted(asked: Asked, here: bool) -> None:
    """Raises Fault where somebody elsewhere names a path."""
    if here:
        return
    for field in ("what", "control", "vae"):
        source = getattr(asked, field)
        if source and (not re.fullmatch(HUB_ID, source) or ".." in source or _may_be_path(source)):
            raise Fault(field, ELSEWHERE)


def _may_be_path(source: str) -> bool:
    """Whether an id could be a path from here, by its first part: nobody learns whether the rest is there."""
    return Path(source.partition("/")[0]).exists()


def _of(field: str, make: Callable[[], ModelPreset]) -> ModelPreset:
    try:
        return make()
    except ModelUnavailable as error:
        raise Fault(field, str(error)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:  # configurations that are none
        raise Fault(
            field, f"This cannot be read as a model ({type(error).__name__}); fetch or copy it again."
        ) from error


def words_of(preset: ModelPreset, control: str | None) -> str:
    """The recognised model, with the memory it takes and what would help, as HTML."""
    from hgc.models.devices import best_device
    from hgc.models.own import memory_here, recognised

    chosen = control or next(name for name, source in preset.controls.items() if hub.is_here(source))
    memory = memory_here(preset, chosen, best_device())
    here = [name for name, source in preset.controls.items() if hub.is_here(source)]
    titles = ", ".join(CONTROLS[name].lower() for name in here)
    said = [f"{preset.title} is here. It is {recognised(preset)} Maps it can follow now: {titles}."]
    said += [f"Memory for a picture with {CONTROLS[chosen].lower()}: {memory}."]
    said += memory.advice("choose Half under Precision", "tick Decode in tiles", "tick Take turns on the accelerator")
    return "".join(f'<p class="lead">{escape(sentence)}</p>' for sentence in said)


def at_this_machine(page: gr.Request) -> bool:
    """Whether who asks sits at the machine that serves: a loopback address on both ends, and nothing in between."""
    if page.client is None or any(name in page.headers for name in FORWARDED):
        return False
    host = urlsplit(f"//{page.headers.get('host', '')}").hostname or ""
    return _loopback(page.client.host) and (host == "localhost" or _loopback(host))


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def noted(panel: OwnModelPanel, fault: Fault | None = None) -> dict[Any, Any]:
    """The notes under the fields: one sentence at the field at fault, nothing at the others."""
    notes = {"what": panel.what_note, "control": panel.control_note, "vae": panel.vae_note, "name": panel.name_note}
    return {
        note: sentence(str(fault)) if fault is not None and fault.field == field else ""
        for field, note in notes.items()
    }


def sentence(words: str) -> str:
    """A fault as it is written: it often begins with a file's name."""
    return f'<div role="status"><ul class="notes error"><li>{escape(words)}</li></ul></div>'
