"""Tiny random pipelines of Stable Diffusion's architecture, made in a second and never trained."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from diffusers import (
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    MultiControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

CHANNELS = (16, 32, 32, 32)
TEXT_WIDTH = 16


def unet(**changes: Any) -> UNet2DConditionModel:
    settings: dict[str, Any] = {
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": CHANNELS,
        "layers_per_block": 2,
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**(settings | changes)).eval()


def controlnet(**changes: Any) -> ControlNetModel:
    """A ControlNet whose zero convolutions are not zero, so that its residuals matter."""
    settings: dict[str, Any] = {
        "in_channels": 4,
        "block_out_channels": CHANNELS,
        "layers_per_block": 2,
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
        "conditioning_embedding_out_channels": (8, 8, 8, 8),
    }
    net = ControlNetModel(**(settings | changes)).eval()
    for conv in (*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(conv.weight, std=0.2)
    return net


@cache
def tokenizer() -> CLIPTokenizer:
    words = ["a</w>", "hill</w>", "lake</w>", "tree</w>"]
    letters = [chr(code) for code in range(97, 123)]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *words[1:], "<|startoftext|>", "<|endoftext|>"]
    merges: list[tuple[str, str]] = []
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges, model_max_length=16)


def text_encoder() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer()),
        hidden_size=TEXT_WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer().bos_token_id,
        eos_token_id=tokenizer().eos_token_id,
    )
    return CLIPTextModel(config).eval()


def _components() -> dict[str, Any]:
    return {
        "vae": AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4).eval(),
        "text_encoder": text_encoder(),
        "tokenizer": tokenizer(),
        "unet": unet(),
        "scheduler": DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def control_pipeline(nets: int = 1) -> StableDiffusionControlNetPipeline:
    torch.manual_seed(0)
    control: Any = controlnet() if nets == 1 else MultiControlNetModel([controlnet() for _ in range(nets)])
    pipe = StableDiffusionControlNetPipeline(**_components(), controlnet=control)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def plain_pipeline() -> StableDiffusionPipeline:
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(**_components())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def control_image() -> torch.Tensor:
    return torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def latents(pipe: Any, *, steps: int = 6, seed: int = 3, guidance: float = 4.0, **call: Any) -> torch.Tensor:
    """The final latents of one image under a fixed prompt and control."""
    if "controlnet" in pipe.components:
        call.setdefault("image", control_image())
    return pipe(
        "a lake",
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
        height=128,
        width=128,
        **call,
    ).images
