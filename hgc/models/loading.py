"""From a preset to networks on a device, and from these to a pipeline of its own for every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionControlNetPipeline,
    UniPCMultistepScheduler,
)
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from hgc.models.presets import ModelPreset, presets
from hgc.refused import Refused

SAMPLERS: Mapping[str, Any] = {
    "ddim": DDIMScheduler,
    "dpmpp": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "euler": EulerDiscreteScheduler,
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class ModelUnavailable(Refused, RuntimeError):
    """A model that is unknown or cannot be loaded here; one sentence with the remedy."""


@dataclass(frozen=True)
class Loaded:
    """The networks of one model on one device; `controls` maps a control's name to its ControlNet."""

    preset: ModelPreset
    components: Mapping[str, Any]
    controls: Mapping[str, ControlNetModel]
    device: torch.device
    dtype: torch.dtype
    # A fast tokenizer keeps padding and truncation as state of its own: two threads would read each other's.
    tokenizing: Lock = field(default_factory=Lock, repr=False)

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str, guidance: bool) -> dict[str, torch.Tensor]:
        """The text arguments of a pipeline's call, [1, tokens, width] each; the negative one only under guidance."""
        pipe = self.pipeline(next(iter(self.controls)), next(iter(SAMPLERS)))
        with self.tokenizing:
            positive, negative = pipe.encode_prompt(
                prompt, self.device, 1, guidance, negative_prompt=negative_prompt or None
            )
        return {"prompt_embeds": positive} | ({"negative_prompt_embeds": negative} if guidance else {})

    def pipeline(self, control: str, sampler: str) -> StableDiffusionControlNetPipeline:
        """A pipeline with a scheduler of its own over the shared networks, so that two runs never share state.

        Raises ModelUnavailable for a control or sampler that this model does not have.
        """
        if control not in self.controls:
            raise ModelUnavailable(f"{self.preset.title} has no control '{control}'; it has {', '.join(self.controls)}")
        if sampler not in SAMPLERS:
            raise ModelUnavailable(f"unknown sampler '{sampler}'; known are {', '.join(SAMPLERS)}")
        scheduler = SAMPLERS[sampler].from_config(self.components["scheduler"].config)
        parts = {**self.components, "scheduler": scheduler, "controlnet": self.controls[control]}
        pipe = StableDiffusionControlNetPipeline(**parts, requires_safety_checker=False)
        pipe.set_progress_bar_config(disable=True)
        return pipe


# The best first, each with the precision in which its kernels are fast and these models keep their numbers finite.
DEVICE_DTYPES = {"cuda": torch.float16, "xpu": torch.float16, "mps": torch.float16, "cpu": torch.float32}


def best_device() -> torch.device:
    """An accelerator where there is one: CUDA, then Intel's (XPU), then Apple's (MPS)."""
    there = {
        "cuda": torch.cuda.is_available(),
        "xpu": torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return torch.device(next((kind for kind, is_there in there.items() if is_there), "cpu"))


def processor_of(device: torch.device) -> str:
    """The accelerator's name, or the CPU's vector instructions."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xpu":
        return torch.xpu.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else device.type


def load(name: str, *, device: str | None = None, dtype: str | None = None) -> Loaded:
    """Loads a preset; half precision on an accelerator and full precision on a CPU unless told otherwise.

    Raises ModelUnavailable when name, device or dtype is unknown, or the weights are neither here nor to be fetched.
    """
    known = presets()
    if name not in known:
        raise ModelUnavailable(f"unknown model '{name}'; known are {', '.join(known)}")
    where = device_named(device) if device else best_device()
    if dtype is not None and dtype not in DTYPES:
        raise ModelUnavailable(f"unknown dtype '{dtype}'; known are {', '.join(DTYPES)}")
    precision = DTYPES[dtype] if dtype else DEVICE_DTYPES.get(where.type, torch.float32)
    return from_preset(known[name], where, precision)


def device_named(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ModelUnavailable(
            f"device '{name}' cannot be used here; choose cpu, or cuda, xpu or mps where there is one"
        ) from error


def from_preset(preset: ModelPreset, device: torch.device, dtype: torch.dtype) -> Loaded:
    """Loads the networks of a preset. Raises ModelUnavailable when they cannot be had."""
    try:
        with _quiet_libraries():
            controls = {name: _controlnet(preset, where, dtype) for name, where in preset.controls.items()}
            pipe = StableDiffusionControlNetPipeline.from_pretrained(
                preset.source,
                controlnet=next(iter(controls.values())),
                safety_checker=None,
                dtype=dtype,
                low_cpu_mem_usage=False,
                local_files_only=preset.local,
            )
    except (OSError, ValueError) as error:
        raise ModelUnavailable(_why(preset, error)) from error
    pipe.to(device)
    for net in (pipe.unet, pipe.vae, *controls.values()):
        net.to(device, memory_format=torch.channels_last).eval()
    components = {name: part for name, part in pipe.components.items() if name != "controlnet"}
    return Loaded(preset, components, controls, device, dtype)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """No progress bars, and none of diffusers' remarks on its own AutoencoderTiny; errors still come through."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(before)


def _controlnet(preset: ModelPreset, where: str, dtype: torch.dtype) -> ControlNetModel:
    if where.startswith("./"):
        return ControlNetModel.from_pretrained(
            preset.source, subfolder=where[2:], dtype=dtype, low_cpu_mem_usage=False, local_files_only=preset.local
        )
    return ControlNetModel.from_pretrained(where, dtype=dtype, low_cpu_mem_usage=False)


def _why(preset: ModelPreset, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0][:160]
    if preset.local:
        return f"{preset.title}: the weights are not complete ({reason}); clone again, or make them with `hgc train`"
    return f"{preset.title}: the weights could not be fetched ({reason}); connect to the internet or choose Landscapes"
