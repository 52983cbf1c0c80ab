"""Pictures drawn by finished weights, outside the app: for the benchmark, the wall, and whoever looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgc.models.devices import DTYPES, best_device
from hgc.models.loaded import Loaded
from hgc.models.loading import from_preset
from hgc.models.presets import GUIDANCE, landscapes_in, presets
from hgc.models.refusals import ModelUnavailable

Picture = NDArray[np.uint8]  # [256, 256, 3]


@dataclass(frozen=True)
class Sitting:
    """The order for one picture: its control map uint8 [256, 256, 3], its prompt, and the seed of its noise."""

    map: Picture
    prompt: str
    seed: int


@dataclass(frozen=True)
class Artist:
    """Draws in full compute with the model's own scheduler, DDIM."""

    loaded: Loaded
    guidance: float = GUIDANCE

    @classmethod
    def load(cls, weights: Path | None = None, dtype: str = "float32") -> "Artist":
        """The embedded model, or another folder of its kind. Raises ModelUnavailable."""
        if dtype not in DTYPES:
            raise ModelUnavailable(f"unknown dtype '{dtype}'; known are {', '.join(DTYPES)}")
        preset = landscapes_in(weights.resolve()) if weights else presets()["landscapes"]
        return cls(from_preset(preset, best_device(), DTYPES[dtype]), preset.guidance)

    def draw(self, control: str, sittings: Sequence[Sitting], steps: int = 20, strength: float = 1.0) -> list[Picture]:
        """One picture for each sitting, together as a batch; each has noise of its own, whoever sits beside it."""
        pipe = self.loaded.pipeline(control, "ddim")
        images: Tensor = pipe(
            [sitting.prompt for sitting in sittings],
            image=as_images([sitting.map for sitting in sittings]),
            num_inference_steps=steps,
            guidance_scale=self.guidance,
            controlnet_conditioning_scale=strength,
            generator=[torch.Generator().manual_seed(sitting.seed) for sitting in sittings],
            output_type="pt",
        ).images
        return as_pictures(images)

    @torch.no_grad()
    def rebuild(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Pictures through the autoencoder and back."""
        vae = self.loaded.components["vae"]
        images = as_images(pictures).to(self.loaded.device, self.loaded.dtype)
        return as_pictures(vae.decode(vae.encode(images * 2 - 1).latents).sample / 2 + 0.5)


def as_images(pictures: Sequence[Picture]) -> Tensor:
    """uint8 [H, W, 3] pictures as one float tensor [B, 3, H, W] in 0..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def as_pictures(images: Tensor) -> list[Picture]:
    """The way back, from any device and number format; what lies outside 0..1 is cut off."""
    bytes_ = (images.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(bytes_.permute(0, 2, 3, 1).cpu().numpy())
