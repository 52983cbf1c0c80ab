"""The shapes of SD 1.5 and SDXL, and the networks of these shapes without weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    ControlNetModel,
    ControlNetUnionModel,
    UNet2DConditionModel,
)

from hgc.cache.anatomy.networks import Networks
from hgc.models.presets import SD15_SHAPES

TOKENS = 77
GUIDANCE = 7.5
POOLED_WIDTH, SIZES, SIZE_WIDTH = 1280, 6, 256
SDXL_SHAPES: Mapping[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": SIZE_WIDTH,
    "projection_class_embeddings_input_dim": SIZES * SIZE_WIDTH + POOLED_WIDTH,
}
UNION_SHAPES: Mapping[str, Any] = {"num_control_type": 6}
FAMILIES: Mapping[str, Mapping[str, Any]] = {"sd15": SD15_SHAPES, "sdxl": SDXL_SHAPES}
# The same families in miniature, to try a benchmark on; what it then says of time says nothing.
_SMALL = {"block_out_channels": (16, 32), "layers_per_block": 1, "attention_head_dim": 2, "norm_num_groups": 8}
TINY: Mapping[str, Mapping[str, Any]] = {
    "sd15": {
        **_SMALL,
        "cross_attention_dim": 16,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    },
    "sdxl": {
        **SDXL_SHAPES,
        **_SMALL,
        "cross_attention_dim": 32,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (1, 2),
    },
}


def networks_of(shapes: Mapping[str, Any]) -> tuple[UNet2DConditionModel, ControlNetModel]:
    """UNet and ControlNet without weights."""
    up = [name.replace("Down", "Up") for name in reversed(shapes.get("down_block_types", ()))]
    with torch.device("meta"):
        return UNet2DConditionModel(**shapes, **({"up_block_types": up} if up else {})), ControlNetModel(**shapes)


def sdxl_networks(control: str) -> Networks:
    """SDXL's networks without weights: alone, with a ControlNet, or with a Union that reads one map."""
    unet, net = networks_of(SDXL_SHAPES)
    if control == "union":
        with torch.device("meta"):
            return Networks(unet, {"controlnet": ControlNetUnionModel(**SDXL_SHAPES, **UNION_SHAPES)})
    return Networks(unet, {"controlnet": net} if control == "controlnet" else {})
