"""Painted scenes as requests, pictures to measure on without anybody's drawing; several drawn in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hgc.control.label_sets import taken_over
from hgc.landscapes.labels import LABELS, colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

LATENT_PX = 8


def painted(studio: Studio, seed: int, fields: Mapping[str, Any]) -> Request:
    """The request of a painted scene: its caption, and its label map, in the model's classes, or its edges."""
    scene, control = paint(seed), fields["control"]
    drawing = scene.edges[:, :, None].repeat(3, axis=2)
    if control == "segmentation":
        sheet = np.dstack([colour_map(scene.labels), np.full(scene.labels.shape, 255, np.uint8)])
        drawing, _ = taken_over(sheet, [LABELS], studio.world.sets)
    return Request.make(studio.prepare_control(drawing, control).png, seed=seed, prompt=scene.caption, **fields)


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
