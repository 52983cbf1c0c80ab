"""Values in place of those that are not computed. Pure tensor maths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from hgc.cache.bases import weights
from hgc.cache.rules import ForecastRule


class Lines(Protocol):
    """Scale and shift for kept values, found or still being fitted."""

    @property
    def digest(self) -> str:
        """The name by which plans ask for these."""

    def at(self, site: str, since: int, step: int) -> tuple[Any, Any]:
        """Scale and shift [C], arrays or tensors, for a value of step `since` used in `step`."""


def forecast_from(
    forecast: ForecastRule, steps: Sequence[int], values: Sequence[torch.Tensor], at: int
) -> torch.Tensor:
    """The value expected at step `at`, from those computed at `steps` (distinct, oldest first; one shape).

    Raises PlanRefused when there are too few.
    """
    weighed = weights(forecast, steps, at)
    return combined(values[-len(weighed) :], weighed)


def combined(values: Sequence[torch.Tensor], weighed: Sequence[float]) -> torch.Tensor:
    """The weighted sum of values of one shape; a single one of weight 1 is handed on as it is."""
    if len(values) == 1:
        return values[0] if weighed[0] == 1 else values[0] * weighed[0]
    if len(values) == 2 and weighed[0] == 1 - weighed[1]:
        return torch.lerp(values[0], values[1], weighed[1])
    total = values[0] * weighed[0]
    for value, weight in zip(values[1:], weighed[1:], strict=True):
        total = torch.add(total, value, alpha=weight)
    return total


def per_channel(scale: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Numbers [C] shaped to meet the channels of `like`: [B, C, h, w], or the last dimension of fewer."""
    return scale.view(-1, 1, 1) if like.ndim == 4 else scale


def by_frequency(difference: torch.Tensor, low: float, high: float, radius: float) -> torch.Tensor:
    """Weighs low and high spatial frequencies of [B, C, h, w] (FasterCache, arXiv 2410.19355, eq. 7 to 10).

    Low is what lies within `radius` times the shorter side of the spectrum's centre, rounded down to whole bins.
    """
    if low == high:
        return difference * low
    height, width = difference.shape[-2:]
    spectrum = torch.fft.fft2(difference.float())
    down = torch.fft.fftfreq(height, 1 / height, device=difference.device)[:, None]
    across = torch.fft.fftfreq(width, 1 / width, device=difference.device)[None]
    inside = down**2 + across**2 <= int(radius * min(height, width)) ** 2
    weighed = spectrum * torch.where(inside, low, high)
    return torch.fft.ifft2(weighed).real.to(difference.dtype)


def relative_l1(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Relative L1 change, a tensor without dimensions (Block Caching, arXiv 2312.03209, sec. 3.1)."""
    return (new - old).abs().mean() / old.abs().mean().clamp_min(1e-12)
