"""Pipelines of real shapes with random weights, to time what no download is needed for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
)

from hgc.bench.shapes import GUIDANCE, SIZES, TOKENS, networks_of


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
