"""From a name, a Hub id, a folder or a file to a model's networks on a device. Nothing here uses the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL

from hgc.models import hub
from hgc.models.controlnets import ControlNets, check_fits, folder_of, load_folder
from hgc.models.devices import best_device, device_named, dtype_named
from hgc.models.families import FAMILIES
from hgc.models.files import checkpoint_parts, load_controlnet, load_vae
from hgc.models.library_errors import incomplete, told
from hgc.models.loaded import Loaded
from hgc.models.lora_weights import add_loras
from hgc.models.loras import lora_file
from hgc.models.named import not_here, preset_of
from hgc.models.offload import HOME, TURNS, Turns
from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable


def load(
    what: str,
    *,
    controls: Mapping[str, str] | None = None,
    device: str | None = None,
    dtype: str | None = None,
    loras: Sequence[tuple[str, float]] = (),
    vae: str | None = None,
    tiled: bool = False,
    offload: bool = False,
) -> Loaded:
    """A model by its name, its id on the Hub, its folder in diffusers' format, or its one `.safetensors` file.

    Half precision on an accelerator and full precision on a CPU unless told otherwise. `controls` maps a control's name
    to an id, folder or file, in place of those the model is known with; `loras` are files with their weights; `vae`
    replaces the model's own; `tiled` has pictures decoded piece by piece, `offload` has networks rest in main
    memory between their turns on an accelerator; both take less memory of its own, and some time. Raises
    ModelUnavailable when name, device or dtype is unknown, or something is not here, not whole, or made for another
    family.
    """
    preset = preset_of(what)
    where = device_named(device) if device else best_device()
    if offload and where.type == "cpu":
        raise ModelUnavailable("offload is for accelerators: on the CPU everything is in main memory; leave it out")
    changes: dict[str, Any] = {"loras": (*preset.loras, *loras)}
    if controls is not None:
        changes["controls"] = dict(controls)
    precision = dtype_named(dtype or preset.precision or None, where)
    turns = Turns(where) if where.type != "cpu" and (offload or preset.offload) else None
    loaded = from_preset(replace(preset, **changes), where, precision, vae or preset.vae or None, turns)
    if tiled or preset.tiled:
        loaded.components["vae"].enable_tiling()
    return loaded


def from_preset(
    preset: ModelPreset,
    device: torch.device,
    dtype: torch.dtype,
    vae: str | None = None,
    turns: Turns | None = None,
) -> Loaded:
    """Loads the networks of a preset; with `turns` they come to the device when they are called.

    Raises ModelUnavailable when they cannot be had.
    """
    home = device if turns is None else HOME
    folder = Path(preset.source) if preset.local else hub.model_folder(preset.source)
    if folder is None:
        raise ModelUnavailable(not_here(preset))
    with told(*incomplete(preset)):
        components = _components(preset, folder, home, dtype, vae)
    if turns is not None:
        for part, turn in TURNS.items():
            if part in components:
                turns.add(components[part], turn)

    def load_control(source: str) -> Any:
        where = folder_of(preset, source)
        if where is None:
            raise ModelUnavailable(f"{source} is not here; fetch it with `hgc models fetch {source}`")
        name = next(name for name, own in preset.controls.items() if own == source)
        with told(*incomplete(preset)):
            if where.is_file():
                net = load_controlnet(where, components["unet"], preset.title, dtype)
            else:
                net = load_folder(where, source, dtype)
                check_fits(net, components["unet"], name, preset.title)
        net = net.to(home, memory_format=torch.channels_last).eval()
        if turns is not None:
            turns.add(net, "denoiser")
        return net

    controls = ControlNets(preset.controls, lambda source: folder_of(preset, source) is not None, load_control)
    if preset.name == "landscapes":
        for name in controls:
            controls[name]
    return Loaded(preset, components, controls, device, dtype, turns)


def _components(
    preset: ModelPreset, folder: Path, device: torch.device, dtype: torch.dtype, vae: str | None
) -> dict[str, Any]:
    """All parts of a pipeline but the ControlNets."""
    if folder.is_file():
        pipe = checkpoint_parts(preset, folder, dtype)
    else:
        extra = {} if preset.family == "sdxl" else {"safety_checker": None, "requires_safety_checker": False}
        pipeline = getattr(diffusers, FAMILIES[preset.family].pipeline_name("text", "controlnet"))
        pipe = pipeline.from_pretrained(
            str(folder),
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
    add_loras(pipe, [(lora_file(source), weight) for source, weight in preset.loras])
    if vae is not None:
        pipe.vae = _other_vae(vae, pipe.vae, dtype)
    pipe.to(device)
    for net in (pipe.unet, pipe.vae):
        net.to(device, memory_format=torch.channels_last).eval()
    return {name: part for name, part in pipe.components.items() if name != "controlnet"}


def _other_vae(source: str, known: Any, dtype: torch.dtype) -> Any:
    path = Path(source).expanduser()
    if path.is_file():
        return load_vae(path, known, dtype)
    folder = path if path.is_dir() else hub.model_folder(source)
    if folder is None:
        raise ModelUnavailable(f"the VAE {source} is not here; fetch it with `hgc models fetch {source}`")
    folder = folder / "vae" if (folder / "vae").is_dir() else folder
    return AutoencoderKL.from_pretrained(
        folder, dtype=dtype, low_cpu_mem_usage=False, local_files_only=True, use_safetensors=True
    )
