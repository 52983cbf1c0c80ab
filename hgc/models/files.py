"""Networks from single files: a checkpoint, a ControlNet, another VAE, LoRAs; told by their tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

import diffusers
import torch
from diffusers import AutoencoderKL, ControlNetModel, ControlNetUnionModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import load_file

from hgc.models import hub
from hgc.models.families import FAMILIES
from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import Tensors


def checkpoint_parts(preset: ModelPreset, path: Path, dtype: torch.dtype) -> Any:
    """A pipeline over the networks of a single file. Raises ModelUnavailable.

    Tokenizers and configurations are no part of such files; they are those of the family's base model.
    """
    folder = configs_for(preset, path)
    pipeline = getattr(diffusers, FAMILIES[preset.family].pipeline_name("text", "none"))
    extra = {"safety_checker": None} if preset.family != "sdxl" else {}
    channels = {"in_channels": 9} if Tensors.of(path).channels == 9 else {}
    return pipeline.from_single_file(
        str(path),
        config=str(folder),
        dtype=dtype,
        local_files_only=True,
        feature_extractor=None,
        image_encoder=None,
        **extra,
        **channels,
    )


def configs_for(preset: ModelPreset, path: Path) -> Path:
    """The folder with the configurations and tokenizers that a single file lacks. Raises ModelUnavailable."""
    base = presets()[FAMILIES[preset.family].base]
    folder = hub.snapshot(base.source, "model_index.json")
    if folder is None:
        raise ModelUnavailable(
            f"{path.name} has no tokenizer in it, and that of {base.title} is not here; fetch it with "
            f"`hgc models fetch {base.name} --configs` (3 MB)"
        )
    return folder


def load_controlnet(path: Path, unet: Any, title: str, dtype: torch.dtype) -> Any:
    """A ControlNet from one file, with the configuration of the UNet it is to be used with. Raises ModelUnavailable."""
    net = controlnet_like(path, unet, title).to(dtype)
    state = load_file(path)
    if Tensors.of(path).has("control_model."):
        state = convert_controlnet_checkpoint(state, net.config)
    _fill(net, state, path.name)
    return net


def controlnet_like(path: Path, unet: Any, title: str) -> Any:
    """The network of a ControlNet's file, not yet filled from it; what the file does not say is as in a UNet.

    Raises ModelUnavailable.
    """
    tensors = Tensors.of(path)
    if tensors.holds not in ("controlnet", "union"):
        raise ModelUnavailable(f"{path.name} holds a {tensors.holds}, no ControlNet; choose a ControlNet's file")
    ours, theirs = unet.config.cross_attention_dim, tensors.text_width
    if theirs is not None and theirs != ours:
        raise ModelUnavailable(
            f"{path.name} is a ControlNet for another family than {title}: it reads text of width {theirs}, the model "
            f"{ours}; choose one made for this family"
        )
    kind = ControlNetUnionModel if tensors.holds == "union" else ControlNetModel
    known = signature(kind.__init__).parameters
    config = {name: value for name, value in unet.config.items() if name in known}
    return kind(**config | _sizes(tensors))


def _sizes(tensors: Tensors) -> dict[str, Any]:
    """The settings of a ControlNet, read off its own tensors."""
    shapes = tensors.shapes
    if tensors.has("control_model."):
        return {}  # as published
    embedding = "controlnet_cond_embedding."
    blocks = sum(name.startswith(f"{embedding}blocks.") and name.endswith(".weight") for name in shapes)
    widths = [shapes[f"{embedding}conv_in.weight"][0]]
    widths += [shapes[f"{embedding}blocks.{k}.weight"][0] for k in range(1, blocks, 2)]
    sizes: dict[str, Any] = {
        "conditioning_channels": shapes[f"{embedding}conv_in.weight"][1],
        "conditioning_embedding_out_channels": tuple(widths),
    }
    if "task_embedding" in shapes:
        kinds, width = shapes["task_embedding"]
        layers = {name.split(".")[1] for name in shapes if name.startswith("transformer_layes.")}
        sizes |= {"num_control_type": kinds, "num_trans_channel": width, "num_trans_layer": len(layers)}
        sizes |= {"num_proj_channel": shapes["spatial_ch_projs.weight"][0]}
    return sizes


def load_vae(path: Path, known: Any, dtype: torch.dtype) -> Any:
    """Another VAE from one file, of the shape of the model's own. Raises ModelUnavailable."""
    tensors = Tensors.of(path)
    if tensors.holds != "vae":
        raise ModelUnavailable(f"{path.name} holds a {tensors.holds}, no VAE; choose a VAE's file")
    state = load_file(path)
    net = AutoencoderKL.from_config(known.config).to(dtype)
    if not tensors.has("decoder.mid_block."):
        state = convert_ldm_vae_checkpoint(state, net.config)
    _fill(net, state, path.name)
    return net


def add_loras(pipe: Any, loras: Sequence[tuple[Path, float]], before: Sequence[float] = ()) -> None:
    """Loads LoRAs (peft's keys or kohya's) into a pipeline, each with its weight. Raises ModelUnavailable.

    `before` are the weights of those that were loaded into it so earlier.
    """
    weights = {f"lora_{number}": weight for number, weight in enumerate(before)}
    for number, (path, weight) in enumerate(loras, len(before)):
        tensors = Tensors.of(path)
        if tensors.holds != "lora":
            raise ModelUnavailable(f"{path.name} holds a {tensors.holds}, no LoRA; choose a LoRA's file")
        ours, theirs = pipe.unet.config.cross_attention_dim, tensors.text_width
        if theirs is not None and theirs != ours:
            raise ModelUnavailable(
                f"{path.name} is a LoRA for another family: it reads text of width {theirs}, the model {ours}; choose "
                "one made for this family"
            )
        name = f"lora_{number}"
        known = _adapted(pipe)
        try:
            with catch_warnings():
                filterwarnings("ignore", "Already found a `peft_config`", UserWarning)  # several LoRAs are meant
                pipe.load_lora_weights(load_file(path), adapter_name=name)
        except (ValueError, RuntimeError, KeyError) as error:
            raise ModelUnavailable(_unmatched(path)) from error
        if _adapted(pipe) == known:
            raise ModelUnavailable(_unmatched(path))
        weights[name] = weight
    if weights:
        pipe.set_adapters(list(weights), list(weights.values()))


def _adapted(pipe: Any) -> Mapping[str, Sequence[str]]:
    return {name: sorted(adapters) for name, adapters in pipe.get_list_adapters().items()}


def _unmatched(path: Path) -> str:
    return f"{path.name}: none of its keys is of a layer that this model has; choose a LoRA made for this family"


def _fill(net: Any, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Raises ModelUnavailable for tensors that are missing, left over or of another shape."""
    own = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in state.items()}
    if own != given:
        wrong = sorted(key for key in own.keys() | given.keys() if own.get(key) != given.get(key))
        is_now, should = given.get(wrong[0], "missing"), own.get(wrong[0], "left out")
        raise ModelUnavailable(
            f"{name} does not fit this model: {len(wrong)} tensors differ, '{wrong[0]}' is {is_now} and should be "
            f"{should}; choose one made for this family"
        )
    net.load_state_dict(dict(state))
