"""Pipelines of full-size networks with random weights: time does not depend on what weights say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
    UNet2DConditionModel,
)

from hgc.bench.paper import TOKENS
from hgc.models.presets import SD15_SHAPES

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


def random_pipeline(shapes: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> Any:
    """A text-to-image pipeline with ControlNet of these shapes, without text encoder and autoencoder."""
    nets = networks_of(shapes)
    generator = torch.Generator(device).manual_seed(0)
    for net in nets:
        net.to(dtype).to_empty(device=device).to(memory_format=torch.channels_last).eval()
        _fill(net, generator)
    unet, control = nets
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False)
    parts: dict[str, Any] = {"unet": unet, "controlnet": control, "scheduler": scheduler}
    parts |= dict.fromkeys(("vae", "text_encoder", "tokenizer", "feature_extractor"))
    if "addition_embed_type" in shapes:
        pipe = StableDiffusionXLControlNetPipeline(
            **parts, text_encoder_2=None, tokenizer_2=None, add_watermarker=False
        )
    else:
        pipe = StableDiffusionControlNetPipeline(**parts, safety_checker=None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def _fill(net: torch.nn.Module, generator: torch.Generator) -> None:
    """Values of a size that stays finite through all layers; what is zero or infinite may be computed faster."""
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            bound = (3 / parameter[0].numel()) ** 0.5
            parameter.uniform_(-bound, bound, generator=generator)
        else:
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)


def call_of(pipe: Any, size: int, steps: int, batch: int = 1) -> dict[str, Any]:
    """The arguments of the pipeline's call for `batch` pictures: noise for latents, text and control."""
    unet, generator = pipe.unet, torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(unet.device, unet.dtype)

    side, width = size // 8, unet.config.cross_attention_dim
    words = ["prompt_embeds", "negative_prompt_embeds"]
    text = {name: noise(batch, TOKENS, width) for name in words}
    if unet.config.addition_embed_type is not None:
        pooled = unet.config.projection_class_embeddings_input_dim - SIZES * unet.config.addition_time_embed_dim
        text |= {name.replace("prompt", "pooled_prompt"): noise(batch, pooled) for name in words}
    return {
        **text,
        "image": noise(batch, 3, size, size).sigmoid(),
        "latents": noise(batch, unet.config.in_channels, side, side),
        "num_inference_steps": steps,
        "guidance_scale": GUIDANCE,
        "output_type": "latent",
    }
