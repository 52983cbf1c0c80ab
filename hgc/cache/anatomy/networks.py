"""The networks of a denoiser, and which of diffusers' the engine can follow.

These are UNet2DConditionModel, ControlNetModel, and ControlNetUnionModel, which reads several control maps in one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, UNet2DConditionModel
from diffusers.models.unets import unet_2d_blocks as known
from torch import nn

from hgc.cache.rules import PlanRefused
from hgc.cache.running.patching import WRAPPED

# What the engine reads of a pipeline while it runs.
FOLLOWED = ("do_classifier_free_guidance",)
# What marks a pipeline that runs a third branch (InstructPix2Pix, perturbed attention), which no plan speaks of.
THIRD_BRANCH = ("image_guidance_scale", "do_perturbed_attention_guidance")
# The blocks whose flow of data the survey follows.
BLOCKS = (
    known.DownBlock2D,
    known.CrossAttnDownBlock2D,
    known.UNetMidBlock2D,
    known.UNetMidBlock2DCrossAttn,
    known.CrossAttnUpBlock2D,
    known.UpBlock2D,
)
STEM = ("time_embedding", "add_embedding", "encoder_hid_proj", "conv_in", "down_blocks", "mid_block")
PARTS = {
    "ControlNet": (*STEM, "controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block"),
    "Union ControlNet": (
        *(*STEM, "controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block"),
        *("control_add_embedding", "transformer_layes", "spatial_ch_projs"),
    ),
    "UNet": (*STEM, "up_blocks", "conv_norm_out", "conv_out"),
}


@dataclass(frozen=True)
class Networks:
    """The denoiser's networks under the names they have in a pipeline.

    `wrappers` has what a pipeline calls in their place: a network that went through `torch.compile(network)`.
    `conditions` is the number of control maps that a Union network reads in a call, 1 where it does not say.
    """

    unet: Any
    controls: Mapping[str, Any]
    wrappers: Mapping[nn.Module, nn.Module] = field(default_factory=dict)
    conditions: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, pipe: Any, maps: int = 1) -> Networks:
        """The UNet and the ControlNets (none, one or several) of a diffusers pipeline.

        `maps` are the control maps that a Union network is going to be given.
        Raises PlanRefused for a pipeline that the engine cannot follow.
        """
        lacking = [name for name in FOLLOWED if not hasattr(type(pipe), name)]
        if lacking or "unet" not in pipe.components:
            raise PlanRefused(
                f"{type(pipe).__name__} cannot be cached: it has no {', '.join(lacking) or 'unet'}; use one of "
                "Stable Diffusion's or SDXL's for text-to-image, image-to-image or inpainting"
            )
        if strange := [name for name in THIRD_BRANCH if hasattr(type(pipe), name)]:
            raise PlanRefused(
                f"{type(pipe).__name__} cannot be cached: it runs a third branch ({strange[0]}); use a pipeline with "
                "classifier-free guidance only"
            )
        control = pipe.components.get("controlnet")
        nets = getattr(control, "nets", None)
        if control is None:
            called = {}
        elif nets is None:
            called = {"controlnet": control}
        else:
            called = {f"controlnet.nets.{i}": net for i, net in enumerate(nets)}
        controls = {name: unwrapped(net) for name, net in called.items()}
        if len({id(net) for net in controls.values()}) < len(controls):
            raise PlanRefused("the same ControlNet is used twice: load it twice, so that each keeps values of its own")
        pairs = [(unwrapped(net), net) for net in (pipe.unet, *called.values())]
        wrappers = {net: outer for net, outer in pairs if outer is not net}
        lone = len(controls) == 1 and is_union(controls.get("controlnet"))
        return cls(unwrapped(pipe.unet), controls, wrappers, {"controlnet": maps} if lone else {})

    def called(self, net: Any) -> Any:
        """The module that a pipeline calls to run one of the networks."""
        return self.wrappers.get(net, net)

    @property
    def all(self) -> tuple[Any, ...]:
        """UNet first."""
        return (self.unet, *self.controls.values())

    def __post_init__(self) -> None:
        for net in self.controls.values():
            if is_union(net):
                _check(net, ControlNetUnionModel, "Union ControlNet")
            else:
                _check(net, ControlNetModel, "ControlNet")
        _check(self.unet, UNet2DConditionModel, "UNet")


def is_union(net: Any) -> bool:
    """Whether a ControlNet reads several control maps in one call."""
    return isinstance(net, ControlNetUnionModel)


def unwrapped(net: Any) -> Any:
    """The network inside of what `torch.compile(network)` returns."""
    return getattr(net, WRAPPED, net)


def _check(net: Any, kind: type, what: str) -> None:
    """Raises PlanRefused for a network of another architecture, or with a part that no site stands for."""
    if not issubclass(type(net), kind):
        raise PlanRefused(
            f"the {what} is a {type(net).__name__}, which the engine cannot follow; use a {kind.__name__} "
            "(ControlNet-XS cannot be cached)"
        )
    blocks = (*net.down_blocks, *([] if net.mid_block is None else [net.mid_block]), *getattr(net, "up_blocks", ()))
    if any(WRAPPED in part._modules for part in net.modules()):
        raise PlanRefused(f"a part of the {what} is wrapped by torch.compile; compile it in place, by its compile()")
    strange = {type(block).__name__ for block in blocks if not isinstance(block, BLOCKS)}
    heavy = {name for name, part in net.named_children() if next(part.parameters(), None) is not None}
    strange |= heavy - set(PARTS[what])
    if strange:
        raise PlanRefused(
            f"the {what} has a part that the engine does not know ({sorted(strange)[0]}); use a model of Stable "
            "Diffusion's or SDXL's architecture"
        )


def hint_shape(net: Any, latent: tuple[int, int]) -> tuple[int, int, int]:
    """Channels, height and width of the condition that a ControlNet takes beside latents of this size."""
    convolutions = [part for part in net.controlnet_cond_embedding.modules() if isinstance(part, nn.Conv2d)]
    down, across = (prod(conv.stride[axis] for conv in convolutions) for axis in (0, 1))
    return convolutions[0].in_channels, latent[0] * down, latent[1] * across


def residual_scale(net: Any, call: Mapping[str, Any]) -> float:
    """The factor of a ControlNet's residuals in the end; a Union of several maps weighs these instead."""
    scale = call["conditioning_scale"]
    if not is_union(net):
        return float(scale)
    whole = call["from_multi"] or len(call["control_type_idx"]) == 1
    return (scale[0] if isinstance(scale, list) else float(scale)) if whole else 1.0


def scaled_residuals(
    net: Any, down: Sequence[torch.Tensor], middle: torch.Tensor, scale: float, guess_mode: bool
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """A ControlNet's residuals as it scales them in the end (diffusers, `ControlNetModel.forward`, 'scaling')."""
    scales: Any = [scale] * (len(down) + 1)
    pooled = net.config.global_pool_conditions
    if guess_mode and not pooled:
        scales = torch.logspace(-1, 0, len(down) + 1, device=middle.device) * scale
    values = [value * factor for value, factor in zip((*down, middle), scales, strict=True)]
    if pooled:
        values = [value.mean(dim=(2, 3), keepdim=True) for value in values]
    return values[:-1], values[-1]
