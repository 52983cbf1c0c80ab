"""From a name, a Hub id, a folder or a file to a model's networks on a device. Nothing here uses the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from hgc.models import hub
from hgc.models.configs import read_config
from hgc.models.controlnets import ControlNets, check_fits, folder_of, load_folder
from hgc.models.devices import best_device, device_named, dtype_named
from hgc.models.families import FAMILIES, family_of
from hgc.models.files import add_loras, checkpoint_parts, load_controlnet, load_vae
from hgc.models.loaded import Loaded
from hgc.models.loras import lora_file
from hgc.models.offload import HOME, TURNS, Turns
from hgc.models.prediction import predicting, prediction_of
from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered
from hgc.models.tensors import Tensors

NO_TEXT = "{} has no text encoder that reads a prompt (SDXL's refiner is such a model); choose the base model"


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


def preset_of(what: str) -> ModelPreset:
    """The preset of a model by its name, id, folder or file. Raises ModelUnavailable."""
    known = {**presets(), **remembered()}
    if what in known:
        return known[what]
    path = Path(what).expanduser()
    if path.is_file():
        return _preset_of_file(path.resolve())
    folder = path.resolve() if path.is_dir() else None
    if folder is None and what.count("/") == 1 and not what.startswith((".", "/")):
        folder = hub.model_folder(what)
        if folder is None:
            raise ModelUnavailable(f"{what} is not here; fetch it with `hgc models fetch {what}`")
    if folder is None and (what.startswith((".", "/", "~")) or what.endswith(".safetensors")):
        raise ModelUnavailable(f"there is no file or folder {what[:200]} on this machine; check the path")
    if folder is None:
        raise ModelUnavailable(
            f"unknown model '{what[:80]}'; known are {', '.join(known)}, ids of the Hub, and folders and files on this "
            "machine"
        )
    return _preset_of_folder(folder, what)


def _preset_of_folder(folder: Path, source: str) -> ModelPreset:
    """A preset for a folder in diffusers' format, with all that its family usually wants. Raises ModelUnavailable."""
    index = folder / "model_index.json"
    if not index.exists():
        raise ModelUnavailable(f"{source} has no model_index.json: choose a folder in diffusers' format")
    listed = read_config(index)
    kind, unet = str(listed.get("_class_name")), folder / "unet" / "config.json"
    if not kind.startswith("StableDiffusion") or kind.startswith("StableDiffusion3") or not unet.exists():
        raise ModelUnavailable(f"{source} is a {kind}, which cannot be run here; choose Stable Diffusion or SDXL")
    if (listed.get("text_encoder") or [None])[0] is None:
        raise ModelUnavailable(NO_TEXT.format(source))
    if missing := hub.lacking(folder):
        raise ModelUnavailable(f"{source} is not whole: no weights of {', '.join(missing)}; fetch or copy it again")
    config = read_config(unet)
    base = presets()[family_of(config).base]
    size = config.get("sample_size", base.size // 8) * 8
    own = str(folder) if Path(source).expanduser().exists() else source
    return replace(base, name=Path(source).name, title=Path(source).name, source=own, size=size, licence="")


def _preset_of_file(path: Path) -> ModelPreset:
    """A preset for a checkpoint in one file. Raises ModelUnavailable."""
    tensors = Tensors.of(path)
    if tensors.holds != "checkpoint":
        raise ModelUnavailable(
            f"{path.name} holds a {tensors.holds}, not a whole model; name a model, and give this beside it"
        )
    if tensors.without_text:
        raise ModelUnavailable(NO_TEXT.format(path.name))
    base = presets()[FAMILIES[tensors.family].base]
    preset = replace(base, name=path.stem, title=path.stem, source=str(path), licence="")
    predicted = prediction_of(tensors)
    return preset if predicted is None else predicting(preset, predicted.schedule)


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
    with told(preset):
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
        with told(preset):
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


def not_here(preset: ModelPreset) -> str:
    """The remedy for a model that is not on this machine."""
    return (
        f"{preset.title} is not here ({preset.source}, about {preset.size_bytes / 1e9:.1f} GB, licence "
        f"{preset.licence}); fetch it with `hgc models fetch {preset.name}`, or choose Landscapes"
    )


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


@contextmanager
def told(preset: ModelPreset) -> Iterator[None]:
    """The libraries' errors as one sentence; none of their progress bars and remarks."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0][:160]
        remedy = "clone again, or make them with `hgc train`" if preset.name == "landscapes" else "fetch them again"
        raise ModelUnavailable(f"{preset.title}: the weights are not complete ({reason}); {remedy}") from error
    finally:
        diffusers_logging.set_verbosity(before)
