"""From a name, a Hub id or a folder to the networks of a model on a device. Nothing here uses the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from hgc.models import hub
from hgc.models.controlnets import ControlNets, check_fits, folder_of, load_folder
from hgc.models.devices import best_device, device_named, dtype_named
from hgc.models.families import FAMILIES, family_of
from hgc.models.loaded import Loaded
from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable

PIPELINES = ("StableDiffusion", "StableDiffusionXL")  # as diffusers' folders name them, before what they do


def load(
    what: str, *, controls: Mapping[str, str] | None = None, device: str | None = None, dtype: str | None = None
) -> Loaded:
    """A model by its name, its id on the Hub, or its folder in diffusers' format.

    Half precision on an accelerator and full precision on a CPU unless told otherwise. `controls` maps a control's name
    to an id or folder, in place of those the model is known with. Raises ModelUnavailable when name, device or dtype is
    unknown, or the weights are not here or not of a kind that can be run.
    """
    preset = preset_of(what)
    where = device_named(device) if device else best_device()
    if controls is not None:
        preset = replace(preset, controls=dict(controls))
    return from_preset(preset, where, dtype_named(dtype, where))


def preset_of(what: str) -> ModelPreset:
    """What is known of a model by its name, id or folder. Raises ModelUnavailable."""
    known = presets()
    if what in known:
        return known[what]
    folder = Path(what).expanduser().resolve() if Path(what).expanduser().exists() else None
    if folder is None and what.count("/") == 1:
        folder = hub.model_folder(what)
        if folder is None:
            raise ModelUnavailable(f"{what} is not here; fetch it with `hgc models fetch {what}`")
    if folder is None:
        raise ModelUnavailable(
            f"unknown model '{what[:80]}'; known are {', '.join(known)}, ids of the Hub, and folders on this machine"
        )
    return _preset_of_folder(folder, what)


def _preset_of_folder(folder: Path, source: str) -> ModelPreset:
    """A preset for a folder in diffusers' format, with all that its family usually wants. Raises ModelUnavailable."""
    index = folder / "model_index.json"
    if not index.exists():
        raise ModelUnavailable(f"{source} has no model_index.json: choose a folder in diffusers' format")
    kind = str(json.loads(index.read_text()).get("_class_name"))
    unet = folder / "unet" / "config.json"
    if not kind.startswith(PIPELINES) or kind.startswith("StableDiffusion3") or not unet.exists():
        raise ModelUnavailable(f"{source} is a {kind}, which cannot be run here; choose Stable Diffusion or SDXL")
    config = json.loads(unet.read_text())
    family = family_of(config)
    base = presets()[family.base]
    local = not Path(source).expanduser().exists()
    return replace(
        base,
        name=Path(source).stem,
        title=Path(source).stem,
        source=source if local else str(folder),
        size=config.get("sample_size", base.size // 8) * 8,
        licence="",
    )


def from_preset(preset: ModelPreset, device: torch.device, dtype: torch.dtype) -> Loaded:
    """Loads the networks of a preset. Raises ModelUnavailable when they cannot be had."""
    folder = Path(preset.source) if preset.local else hub.model_folder(preset.source)
    if folder is None:
        raise ModelUnavailable(not_here(preset))
    with _told(preset):
        components = _components(preset, folder, device, dtype)

    def load_control(source: str) -> Any:
        where = folder_of(preset, source)
        if where is None:
            raise ModelUnavailable(f"{source} is not here; fetch it with `hgc models fetch {source}`")
        with _told(preset):
            net = load_folder(where, source, dtype)
        name = next(name for name, own in preset.controls.items() if own == source)
        check_fits(net, components["unet"], name, preset.title)
        return net.to(device, memory_format=torch.channels_last).eval()

    controls = ControlNets(preset.controls, lambda source: folder_of(preset, source) is not None, load_control)
    if preset.local:
        for name in controls:
            controls[name]
    return Loaded(preset, components, controls, device, dtype)


def not_here(preset: ModelPreset) -> str:
    """What is to be done for a model that is not on this machine."""
    return (
        f"{preset.title} is not here ({preset.source}, about {preset.size_bytes / 1e9:.1f} GB, licence "
        f"{preset.licence}); fetch it with `hgc models fetch {preset.name}`, or choose Landscapes"
    )


def _components(preset: ModelPreset, folder: Path, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """All parts of a pipeline but the ControlNets."""
    family = FAMILIES[preset.family]
    extra = {} if family.name == "sdxl" else {"safety_checker": None, "requires_safety_checker": False}
    pipe = getattr(diffusers, family.pipeline_name("text", "controlnet")).from_pretrained(
        folder,
        controlnet=None,
        **extra,
        feature_extractor=None,
        image_encoder=None,
        dtype=dtype,
        low_cpu_mem_usage=False,
        local_files_only=True,
        use_safetensors=True,
        variant=hub.variant(folder, dtype is not torch.float32),
    )
    pipe.to(device)
    for net in (pipe.unet, pipe.vae):
        net.to(device, memory_format=torch.channels_last).eval()
    return {name: part for name, part in pipe.components.items() if name != "controlnet"}


@contextmanager
def _told(preset: ModelPreset) -> Iterator[None]:
    """The libraries' errors as one sentence; none of their progress bars and remarks."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0][:160]
        remedy = "clone again, or make them with `hgc train`" if preset.name == "landscapes" else "fetch them again"
        raise ModelUnavailable(f"{preset.title}: the weights are not complete ({reason}); {remedy}") from error
    finally:
        diffusers_logging.set_verbosity(before)
