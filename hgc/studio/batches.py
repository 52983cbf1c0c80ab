"""Several pictures in one call of the pipeline, each with prompt, map and noise of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

LATENT_PX = 8


def together(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The arguments of one call for all; what is not a tensor is the first call's, and must be the same in all."""
    return {
        name: torch.cat([call[name] for call in calls]) if isinstance(value, torch.Tensor) else value
        for name, value in calls[0].items()
    }


def cut_out(call: Mapping[str, Any], side: int) -> dict[str, Any]:
    """The same of the middle `side` x `side` pixels only (a multiple of 8): less work, and the networks don't mind."""
    width = call["image"].shape[-1]
    start = (width - side) // 2 // LATENT_PX * LATENT_PX
    arguments = dict(call)
    for name, px in (("image", 1), ("latents", LATENT_PX)):
        span = slice(start // px, (start + side) // px)
        arguments[name] = call[name][:, :, span, span].contiguous()
    return arguments
