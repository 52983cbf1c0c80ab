"""A model of one's own as the form asks for it: what it is, whether it may be opened, and what memory it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgc.models import hub
from hgc.models.presets import CONTROLS, ModelPreset
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered
from hgc.refused import Refused

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

HUB_ID = r"[\w.-]+/[\w.-]+(:[^:]+)?"
ELSEWHERE = (
    "Folders and files can be opened only in a browser on the machine that serves this page: from here, give an id of "
    "the Hub, or have the model added there with `hgc models add`."
)
AS_DEVICE, BY_ITSELF = "", ""
NO_CONTROL = "none"


@dataclass(frozen=True)
class ModelForm:
    """The form's values."""

    what: str
    kind: str
    control: str
    vae: str
    name: str
    precision: str
    prediction: str
    tiled: bool
    offload: bool

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> ModelForm:
        *words, tiled, offload = values
        what, kind, control, vae, name, precision, prediction = (str(word or "").strip() for word in words)
        return cls(what, kind, control, vae, name, precision, prediction, bool(tiled), bool(offload))

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


class FormFault(Refused, ValueError):
    """One field of the form that cannot be used, with its sentence."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


def recognise(asked: ModelForm, here: bool) -> ModelPreset:
    """The preset that the form asks for, all parts on this machine; `here` is whether paths may be named.

    Raises Fault.
    """
    from hgc.models.own import own_model, with_control, with_prediction, with_vae
    from hgc.models.prediction import asks_prediction

    check_permitted(asked, here)
    if not asked.what:
        raise FormFault("what", "Name a model first: an id of the Hub, a folder, or a .safetensors file.")
    own_name = bool(asked.name)
    preset = _of("what", lambda: own_model(asked.what, "own" if own_name else ""))
    if own_name:
        preset = _of("name", lambda: own_model(asked.what, asked.name))
    other = remembered().get(preset.name)
    if other is not None and other.source != preset.source:
        raise FormFault("name", f"'{preset.name}' is the name of another model of yours; give this one another.")
    if asked.prediction and asks_prediction(preset.source):
        whole = preset
        preset = _of("what", lambda: with_prediction(whole, asked.prediction))
    if asked.control and asked.kind == NO_CONTROL:
        raise FormFault("control", "Choose which map this ControlNet reads, or leave it out.")
    if asked.control:
        plain = preset
        preset = _of("control", lambda: with_control(plain, asked.kind, asked.control))
    if asked.vae:
        before = preset
        preset = _of("vae", lambda: with_vae(before, asked.vae))
    if not any(hub.is_here(source) for source in preset.controls.values()):
        first = next(iter(preset.controls.values()))
        raise FormFault("control", f"No ControlNet for it is here: name one of yours, or fetch {first} by its id.")
    return replace(preset, precision=asked.precision, tiled=asked.tiled, offload=asked.offload)


def lora_words(asked: ModelForm, loaded: Studio) -> str:
    """In words, a LoRA that the form names and how it is taken; nothing where it names something else."""
    from hgc.models.loras import lora_file
    from hgc.models.tensors import Tensors

    try:
        tensors = Tensors.of(lora_file(asked.what))
    except ModelUnavailable:
        return ""
    if tensors.holds != "lora":
        return ""
    fits = tensors.text_width in (None, loaded.loaded.components["unet"].config.cross_attention_dim)
    if fits:
        return f"{tensors.path.name} is a LoRA for the model that is loaded. Add it, then choose it under LoRAs."
    return f"{tensors.path.name} is a LoRA for another family than the model that is loaded. It can be added for that."


def check_permitted(asked: ModelForm, here: bool) -> None:
    """Raises Fault where somebody elsewhere names a path."""
    if here:
        return
    for field in ("what", "control", "vae"):
        source = getattr(asked, field)
        if source and (not re.fullmatch(HUB_ID, source) or ".." in source or _may_be_path(source)):
            raise FormFault(field, ELSEWHERE)


def _may_be_path(source: str) -> bool:
    """Whether an id could be a path from here, by its first part: nobody learns whether the rest is there."""
    return Path(source.partition("/")[0]).exists()


def _of(field: str, make: Callable[[], ModelPreset]) -> ModelPreset:
    try:
        return make()
    except ModelUnavailable as error:
        raise FormFault(field, str(error)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:  # configurations that are none
        raise FormFault(
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


def sentence(words: str) -> str:
    """A fault as it is written: it often begins with a file's name."""
    return f'<div role="status"><ul class="notes error"><li>{escape(words)}</li></ul></div>'
