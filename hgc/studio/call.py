"""A request as the arguments of a diffusers pipeline's call: text, maps, pictures, noise, strengths and steps."""

from __future__ import annotations

from typing import Any

import torch

from hgc.control.pictures import INPAINT
from hgc.models.loaded import Loaded
from hgc.planning.task import at_steps
from hgc.request import Request
from hgc.studio.control_map import decoded


def call_of(loaded: Loaded, request: Request) -> dict[str, Any]:
    """The arguments, but for `stepping` the same for every arm. Pictures decide the size.

    `loaded` is the model with the request's LoRAs over it.
    """
    text = loaded.encode(request.prompt, request.negative_prompt, request.guidance > 1)
    call = {**text, "guidance_scale": request.guidance, "output_type": "pt"}
    maps = [_map(request, request.control, request.control_png)]
    if request.second is not None:
        maps.append(_map(request, request.second.control, request.second.map))
    call |= loaded.control_arguments(request.controls, maps, request.task) | _strengths(request)
    call |= stepping(request, request.steps)
    if request.source is None:
        return call | {"latents": noise_of(loaded, request)}
    call |= {"image": _tensor(request.source), "strength": request.strength}
    return call if request.mask is None else call | {"mask_image": _tensor(request.mask)[:, :1]}


def stepping(request: Request, steps: int) -> dict[str, Any]:
    """The arguments by which a call computes so many steps.

    Pipelines that begin from a picture draw their noise themselves, from a generator that one call uses up.
    """
    number: dict[str, Any] = {"num_inference_steps": at_steps(request, steps).schedule_steps}
    return number if request.source is None else number | {"generator": _seeded(request)}


def noise_of(loaded: Loaded, request: Request) -> torch.Tensor:
    """The noise a picture begins from, [1, C, h, w]: drawn on the CPU, so that it is the same on every device."""
    size = request.size or (loaded.preset.size,) * 2
    width, height = (side // loaded.latent_factor for side in size)
    channels = loaded.components["unet"].config.out_channels
    noise = torch.randn(1, channels, height, width, generator=_seeded(request))
    return noise.to(loaded.device, loaded.dtype)


def _seeded(request: Request) -> torch.Generator:
    return torch.Generator().manual_seed(request.seed)


def _map(request: Request, control: str, encoded: str) -> torch.Tensor:
    """A control's map [1, 3, H, W] in 0..1; that of inpainting is -1 where the request's mask has it made anew.

    Its network was taught so.
    """
    values = _tensor(encoded)
    if control != INPAINT or request.mask is None:
        return values
    return values.masked_fill(_tensor(request.mask)[:, :1] > 0.5, -1.0)


def _tensor(encoded: str) -> torch.Tensor:
    """A request's picture [1, 3, H, W] in 0..1."""
    return torch.from_numpy(decoded(encoded)).permute(2, 0, 1)[None].float() / 255


def _strengths(request: Request) -> dict[str, Any]:
    """The strengths and windows of a request's controls, as pipelines take those of one and of several."""
    named = ("controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end")
    first, second = (request.control_scale, request.control_start, request.control_end), request.second
    if second is None:
        return dict(zip(named, first, strict=True))
    both = zip(first, (second.scale, second.start, second.end), strict=True)
    return {name: list(pair) for name, pair in zip(named, both, strict=True)}
