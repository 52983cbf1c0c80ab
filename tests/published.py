"""The shapes of published networks where they differ from diffusers' defaults; only a UNet has a decoder."""

from typing import Any

from hgc.bench.shapes import SDXL_SHAPES
from hgc.models.presets import SD15_SHAPES

SD15: dict[str, Any] = dict(SD15_SHAPES)
SD21: dict[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
SDXL: dict[str, Any] = dict(SDXL_SHAPES)
SDXL_DECODER: dict[str, Any] = {"up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")}
