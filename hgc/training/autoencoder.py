"""The autoencoder: 256x256 pictures to 12 latent channels at 32x32, and back."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

from hgc.training.checkpoint import begin_stage, save_stage
from hgc.training.compute import Compute, generator
from hgc.training.optim import Pair
from hgc.training.pace import Budget, warm_constant_decay

log = logging.getLogger(__name__)

STAGE = 1
LATENT_CHANNELS = 12


@dataclass(frozen=True)
class AutoencoderPlan:
    """Sizes and pace. Crops are in pixels; latent noise is in standard deviations of the latents."""

    channels: int = 48
    encoder_blocks: tuple[int, int, int, int] = (0, 2, 3, 3)
    decoder_blocks: tuple[int, int, int, int] = (4, 4, 2, 1)
    batch: int = 8
    crop: int = 128
    rate: float = 1.5e-3
    matrix_rate: float = 0.015
    latent_noise: float = 0.03
    warmup: int = 60
    save_every: int = 200


def build_autoencoder(plan: AutoencoderPlan) -> AutoencoderTiny:
    """An untrained autoencoder whose latents are not scaled yet."""
    width = (plan.channels,) * 4
    return AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=width,
        decoder_block_out_channels=width,
        num_encoder_blocks=plan.encoder_blocks,
        num_decoder_blocks=plan.decoder_blocks,
        scaling_factor=1.0,
    )


def reconstruction_loss(made: Tensor, target: Tensor) -> Tensor:
    """L1 on pixels, on their differences (crisp borders), and on a half-size copy. Both [B, 3, H, W] in -1..1."""
    pixels = (made - target).abs().mean()
    error = made - target
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    half = F.avg_pool2d(error, 2).abs().mean()
    return pixels + 0.7 * (across + down) + 0.5 * half


def moment_penalty(latents: Tensor) -> Tensor:
    """How far each channel is from zero mean and unit variance, so that diffusion may start from N(0, 1)."""
    mean, variance = latents.mean(dim=(0, 2, 3)), latents.var(dim=(0, 2, 3))
    return (mean**2).mean() + ((variance - 1) ** 2).mean()


def crops(images: Tensor, plan: AutoencoderPlan, draw: torch.Generator) -> Tensor:
    """Random square cut-outs, half of them mirrored.

    images uint8 [N, H, W, 3] → float [batch, 3, crop, crop] in -1..1.
    """
    count, height, width = images.shape[:3]
    picks = torch.randint(count, (plan.batch,), generator=draw).tolist()
    tops = torch.randint((height - plan.crop) // 8 + 1, (plan.batch,), generator=draw).tolist()
    lefts = torch.randint((width - plan.crop) // 8 + 1, (plan.batch,), generator=draw).tolist()
    mirrored = torch.rand(plan.batch, generator=draw) < 0.5
    cuts = [
        images[i, 8 * y : 8 * y + plan.crop, 8 * x : 8 * x + plan.crop]
        for i, y, x in zip(picks, tops, lefts, strict=True)
    ]
    batch = torch.stack(cuts).permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.where(mirrored[:, None, None, None], batch.flip(3), batch)


def train_autoencoder(
    painted: Callable[[], Tensor], plan: AutoencoderPlan, budget: Budget, compute: Compute, work: Path, seed: int
) -> AutoencoderTiny:
    """Train, or go on training, from pictures uint8 [N, 256, 256, 3]; they are painted if still needed."""
    torch.manual_seed(seed)
    model = build_autoencoder(plan).to(compute.device, memory_format=compute.layout)
    optimizer = Pair(model, plan.rate, plan.matrix_rate)
    parts, path = {"model": model, "optimizer": optimizer}, work / "autoencoder.ckpt"
    pace, losses = begin_stage(path, parts, budget)
    if pace.finished():
        return model.eval()
    images = painted()
    model.train()
    while not pace.finished():
        loss, psnr = _step(model, images, plan, compute, generator(seed, STAGE, pace.step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(warm_constant_decay(pace.step, pace.progress, plan.warmup, 0.3))
        pace.step += 1
        if pace.step % 20 == 0:
            losses.append([pace.step, round(float(loss.detach()), 5), round(psnr, 2)])
            log.info("autoencoder %s", json.dumps({"at": losses[-1], "progress": round(pace.progress, 4)}))
        if pace.time_to_save(plan.save_every):
            save_stage(path, parts, pace, losses)
    save_stage(path, parts, pace, losses)
    return model.eval()


def _step(
    model: AutoencoderTiny, images: Tensor, plan: AutoencoderPlan, compute: Compute, draw: torch.Generator
) -> tuple[Tensor, float]:
    target = compute.put(crops(images, plan, draw))
    with compute.autocast():
        latents = model.encoder(target).float()
        noise = torch.randn(latents.shape, generator=draw).to(latents.device)
        made = model.decoder(latents + plan.latent_noise * noise).float()
    loss = reconstruction_loss(made, target) + 0.05 * moment_penalty(latents)
    error = float(((made.detach() - target) ** 2).mean()) / 4
    return loss, -10 * torch.log10(torch.tensor(error)).item()
