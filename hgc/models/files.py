"""Networks from single files: a checkpoint, a ControlNet, another VAE; told by their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, ControlNetModel, ControlNetUnionModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import load_file

from hgc.models import hub
from hgc.models.families import FAMILIES
from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import HINT, Tensors


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
    if Tensors.of(path).has(HINT):
        state = _by_our_names(state, net)
    _fill(net, state, path.name)
    return net


def _by_our_names(state: Mapping[str, torch.Tensor], net: Any) -> dict[str, torch.Tensor]:
    """A ControlNet of the first authors' layout under diffusers' names, with SDXL's sizes, which diffusers forgets."""
    bare = {name.removeprefix("control_model."): value for name, value in state.items()}
    sizes = {
        f"add_embedding.linear_{number}.{kind}": bare[f"label_emb.0.{place}.{kind}"]
        for number, place in ((1, 0), (2, 2))
        for kind in ("weight", "bias")
        if f"label_emb.0.{place}.{kind}" in bare
    }
    ours = convert_controlnet_checkpoint(bare, net.config)
    return {name: value for name, value in {**ours, **sizes}.items() if value is not None}


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
    shapes, layers = tensors.shapes, _map_layers(tensors)
    sizes: dict[str, Any] = {
        "conditioning_channels": layers[0][1],
        "conditioning_embedding_out_channels": tuple(layer[0] for layer in layers[::2]),
    }
    if "task_embedding" in shapes:
        kinds, width = shapes["task_embedding"]
        depth = {name.split(".")[1] for name in shapes if name.startswith("transformer_layes.")}
        sizes |= {"num_control_type": kinds, "num_trans_channel": width, "num_trans_layer": len(depth)}
        sizes |= {"num_proj_channel": shapes["spatial_ch_projs.weight"][0]}
    return sizes


def _map_layers(tensors: Tensors) -> list[tuple[int, ...]]:
    """The shapes of the layers that read a ControlNet's map, in order, but the last: it is as wide as the UNet.

    Raises ModelUnavailable where the first is missing.
    """
    if tensors.has(HINT):  # convolutions stand at even places, between them what has no weights
        hints = {name.removeprefix("control_model."): shape for name, shape in tensors.shapes.items()}
        names = [f"{HINT}{place}.weight" for place in range(0, 14, 2)]
    else:
        hints, start = dict(tensors.shapes), "controlnet_cond_embedding."
        count = sum(name.startswith(f"{start}blocks.") and name.endswith(".weight") for name in hints)
        names = [f"{start}conv_in.weight", *(f"{start}blocks.{number}.weight" for number in range(count))]
    if missing := [name for name in names if len(hints.get(name, ())) != 4]:
        raise ModelUnavailable(
            f"{tensors.path.name} is not a whole ControlNet: it lacks '{missing[0]}'; fetch it again or choose another"
        )
    return [hints[name] for name in names]


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
