"""A picture from latents in a matrix product: too rough to judge by, cheap enough to show every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray


class LatentPreview:
    """Linear map from latent channels to RGB, fitted once on latents as the pipeline has them, of a few pictures."""

    def __init__(self, weights: torch.Tensor) -> None:
        self._weights = weights  # [channels + 1, 3]

    @classmethod
    @torch.no_grad()
    def fit(cls, vae: Any, colours: torch.Tensor) -> LatentPreview:
        """`colours` [N, 3, H, W] in 0..1; ridge least squares from their latents to their down-sized pixels.

        They should have every colour that there is: beyond those it was fitted on, a linear map goes astray.
        """
        colours = colours.to(vae.device, vae.dtype)
        encoded = vae.encode(colours * 2 - 1)
        latents = (encoded.latents if "latents" in encoded else encoded.latent_dist.mode()).float()
        latents = latents * vae.config.scaling_factor
        small = F.interpolate(colours.float(), latents.shape[-2:], mode="area")
        x, y = _with_ones(latents), small.movedim(1, -1).flatten(0, 2)  # [pixels, channels + 1], [pixels, 3]
        ridge = 1e-3 * len(x) * torch.eye(x.shape[1], device=x.device)
        return cls(torch.linalg.solve(x.T @ x + ridge, x.T @ y))

    def __call__(self, latents: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], of a size (H, W), of the first of the latents [B, C, h, w]."""
        flat = _with_ones(latents[:1].float()) @ self._weights.to(latents.device)
        small = flat.T.reshape(1, 3, *latents.shape[-2:])
        large = F.interpolate(small, size, mode="bilinear")[0].clamp(0, 1)
        return (large.permute(1, 2, 0) * 255).byte().cpu().numpy()


def _with_ones(latents: torch.Tensor) -> torch.Tensor:
    flat = latents.movedim(1, -1).flatten(0, 2)  # [pixels, channels]
    return torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)
