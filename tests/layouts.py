"""Weights as their first authors publish them: checkpoints, ControlNets and VAEs in one file, with their own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
STEM = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
# The 24th of SD 2.1's text encoder: the model was trained on the layer before it.
UNREAD_LAYER = 23


def checkpoint(pipe: Any, family: str) -> dict[str, torch.Tensor]:
    """A whole model of `family` (sd, sd21, sdxl) in one file."""
    state = {f"model.diffusion_model.{_unet_name(n, pipe.unet)}": v for n, v in pipe.unet.state_dict().items()}
    state |= vae(pipe.vae, "first_stage_model.")
    text = pipe.text_encoder.state_dict()
    if family == "sd":
        state |= {f"cond_stage_model.transformer.{_text_name(n)}": v for n, v in text.items()}
    elif family == "sd21":
        state |= _open_clip(text, "cond_stage_model.model.") | _unread(text, "cond_stage_model.model.")
    else:
        state |= {f"conditioner.embedders.0.transformer.{_text_name(n)}": v for n, v in text.items()}
        state |= _open_clip(pipe.text_encoder_2.state_dict(), "conditioner.embedders.1.model.")
    return {name: value.contiguous().clone() for name, value in state.items()}


def controlnet(net: Any, prefix: str = "control_model.") -> dict[str, torch.Tensor]:
    """A ControlNet in one file; some publish it without the prefix."""
    state = {f"{prefix}{_unet_name(name, net)}": value for name, value in net.state_dict().items()}
    return {name: value.contiguous().clone() for name, value in state.items()}


def _text_name(name: str) -> str:
    return name if name.startswith("text_model.") else f"text_model.{name}"


def _unet_name(name: str, unet: Any) -> str:
    layers = unet.config.layers_per_block
    if name.startswith("controlnet_"):
        return _control_name(name)
    for ours, theirs in STEM.items():
        if name.startswith(f"{ours}."):
            return f"{theirs}.{_resnet(name.removeprefix(f'{ours}.'), 'resnets' in ours)}"
    side, level, kind, number, rest = name.split(".", 4)
    i, j = int(level), int(number)
    if side == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{(layers + 1) * (i + 1)}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{(layers + 1) * i + j + 1}.{int(kind == 'attentions')}.{_resnet(rest, kind == 'resnets')}"
    if kind == "upsamplers":
        place = 2 if getattr(unet.up_blocks[i], "attentions", None) else 1
        return f"output_blocks.{(layers + 1) * i + layers}.{place}.{rest}"
    return f"output_blocks.{(layers + 1) * i + j}.{int(kind == 'attentions')}.{_resnet(rest, kind == 'resnets')}"


def _resnet(rest: str, is_resnet: bool) -> str:
    part, _, kind = rest.rpartition(".")
    return f"{RESNET[part]}.{kind}" if is_resnet else rest


def _control_name(name: str) -> str:
    """What a ControlNet has beside the halves of a UNet: the layers that read its map, and those that hand over."""
    kind, _, rest = name.partition(".")
    if kind == "controlnet_mid_block":
        return f"middle_block_out.0.{rest}"
    if kind == "controlnet_down_blocks":
        return f"zero_convs.{rest.replace('.', '.0.', 1)}"
    part, last = rest.rsplit(".", 1)
    place = {"conv_in": 0, "conv_out": 14}.get(part)
    return f"input_hint_block.{2 * int(part.split('.')[1]) + 2 if place is None else place}.{last}"


def vae(net: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """A VAE under the names of its first authors."""
    levels, made = len(net.config.block_out_channels), {}
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    for name, value in net.state_dict().items():
        theirs = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        for i in range(levels):
            theirs = theirs.replace(f"encoder.down_blocks.{i}.downsamplers.0.", f"encoder.down.{i}.downsample.")
            theirs = theirs.replace(f"encoder.down_blocks.{i}.resnets.", f"encoder.down.{i}.block.")
            theirs = theirs.replace(f"decoder.up_blocks.{i}.upsamplers.0.", f"decoder.up.{levels - 1 - i}.upsample.")
            theirs = theirs.replace(f"decoder.up_blocks.{i}.resnets.", f"decoder.up.{levels - 1 - i}.block.")
        theirs = theirs.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
        if "mid_block.attentions.0" in theirs:
            head, rest = theirs.split("mid_block.attentions.0.")
            part, _, kind = rest.rpartition(".")
            theirs = f"{head}mid.attn_1.{attention[part]}.{kind}"
            value = value[..., None, None] if value.ndim == 2 else value
        made[f"{prefix}{theirs}"] = value.contiguous().clone()
    return made


def _unread(text: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """What SD 2.1's files have and no pipeline reads: OpenCLIP's last layer, its projection and its scale."""
    last = f"{prefix}transformer.resblocks.{UNREAD_LAYER}."
    width = text["final_layer_norm.weight"].shape[0]
    return {
        f"{last}ln_1.weight": torch.ones(width),
        f"{last}attn.in_proj_weight": torch.zeros(3 * width, width),
        f"{prefix}text_projection": torch.eye(width),
        f"{prefix}logit_scale": torch.tensor(4.6),
    }


def _open_clip(text: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """A text encoder under OpenCLIP's names: SD 2.1's, and SDXL's second."""
    names = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    made: dict[str, torch.Tensor] = {}
    for name, value in text.items():
        own = name.removeprefix("text_model.")
        if own.startswith("embeddings.token"):
            made["token_embedding.weight"] = value
        elif own == "embeddings.position_embedding.weight":
            made["positional_embedding"] = value
        elif own.startswith("final_layer_norm"):
            made[own.replace("final_layer_norm", "ln_final")] = value
        elif own == "text_projection.weight":
            made["text_projection"] = value.T
        elif own.startswith("encoder.layers.") and "_proj." in own and "out_proj" not in own:
            number, kind = own.split(".")[2], own.rpartition(".")[2]
            rows = [text[name.replace(own.split(".")[4], f"{letter}_proj")] for letter in "qkv"]
            made[f"transformer.resblocks.{number}.attn.in_proj_{kind}"] = torch.cat(rows)
        elif own.startswith("encoder.layers."):
            _, _, number, rest = own.split(".", 3)
            part, _, kind = rest.rpartition(".")
            made[f"transformer.resblocks.{number}.{names[part]}.{kind}"] = value
    return {f"{prefix}{name}": value for name, value in made.items()}
