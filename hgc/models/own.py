"""A model of one's own, recognised and checked by configurations and headers before any weight is loaded."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

from hgc import limits
from hgc.models.devices import dtype_named
from hgc.models.families import FAMILIES
from hgc.models.lora_weights import check_family
from hgc.models.loras import lora_file
from hgc.models.memory import Memory, memory_of
from hgc.models.named import preset_of
from hgc.models.outline import outline_of
from hgc.models.prediction import predicting, prediction_named, prediction_words
from hgc.models.presets import CONTROLS, ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import Tensors


def own_model(what: str, name: str = "") -> ModelPreset:
    """The preset of an id, a folder or a file under a name of its own. Raises ModelUnavailable."""
    if what in presets():
        raise ModelUnavailable(f"'{what}' is in the list of models already; choose it there")
    preset = preset_of(what)
    outline_of(preset)
    return called(preset, name)


def called(preset: ModelPreset, name: str = "") -> ModelPreset:
    """The preset under a name of its own, else the file's or folder's. Raises ModelUnavailable for one that is none."""
    own = name or re.sub(r"[^A-Za-z0-9_-]+", "-", preset.name).strip("-_") or "own"
    if not re.fullmatch(limits.NAME, own) or len(own) > limits.NAME_CHARS:
        raise ModelUnavailable(f"'{own[:40]}' is not a name for a model; take letters, digits, - and _")
    if own in presets():
        raise ModelUnavailable(f"'{own}' is the name of a model that is known already; give yours another name")
    return replace(preset, name=own, title=own)


def with_control(preset: ModelPreset, control: str, source: str) -> ModelPreset:
    """The same with a ControlNet of one's own for a kind of map. Raises ModelUnavailable where it does not fit."""
    if control not in CONTROLS:
        raise ModelUnavailable(f"unknown kind of map '{control[:40]}'; known are {', '.join(CONTROLS)}")
    given = str(Path(source).expanduser().resolve()) if Path(source).expanduser().exists() else source
    preset = replace(preset, controls={**preset.controls, control: given})
    outline_of(preset, control)
    return preset


def with_lora(preset: ModelPreset, source: str, weight: float) -> ModelPreset:
    """The same with a LoRA that is loaded with it. Raises ModelUnavailable for what is none, or of another family."""
    path = lora_file(source)
    tensors, unet = Tensors.of(path), outline_of(preset).unet
    if tensors.holds != "lora":
        raise ModelUnavailable(f"{path.name} holds a {tensors.holds}, no LoRA; choose a LoRA's file")
    check_family(path, unet)
    given = str(path.resolve()) if Path(source).expanduser().is_file() else source
    return replace(preset, loras=(*preset.loras, (given, weight)))


def with_vae(preset: ModelPreset, source: str) -> ModelPreset:
    """The same with another VAE. Raises ModelUnavailable where it does not fit."""
    given = str(Path(source).expanduser().resolve()) if Path(source).expanduser().exists() else source
    preset = replace(preset, vae=given)
    outline_of(preset)
    return preset


def with_prediction(preset: ModelPreset, word: str) -> ModelPreset:
    """The same for a model that predicts epsilon or v. Raises ModelUnavailable for what is no single file."""
    schedule = prediction_named(word)
    if not Path(preset.source).is_file():
        raise ModelUnavailable(f"{preset.source} says itself what it predicts; leave it out, it is for single files")
    return predicting(preset, schedule)


def recognised(preset: ModelPreset) -> str:
    """The family of a model, its usual size, its licence, and what it predicts where that had to be found out."""
    licence = f"licence {preset.licence}" if preset.licence else "its licence is not known here"
    known = f"{FAMILIES[preset.family].title}, for pictures of {preset.size} × {preset.size}; {licence}."
    return " ".join([known, *filter(None, [prediction_words(preset)])])


def memory_here(preset: ModelPreset, control: str | None, device: torch.device) -> Memory:
    """The memory of its usual picture as the model would be loaded. Raises ModelUnavailable."""
    return memory_of(preset, preset.size, control, device, dtype_named(preset.precision or None, device))
