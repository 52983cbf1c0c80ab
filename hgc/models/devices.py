"""Where a model runs and in which precision, when nobody says and when somebody does."""

from __future__ import annotations

import torch

from hgc.models.refusals import ModelUnavailable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
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


def device_named(name: str) -> torch.device:
    """Raises ModelUnavailable for a device that cannot be used here."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ModelUnavailable(
            f"device '{name}' cannot be used here; choose cpu, or cuda, xpu or mps where there is one"
        ) from error


def dtype_named(name: str | None, device: torch.device) -> torch.dtype:
    """Without a name the device's own: half precision on an accelerator. Raises ModelUnavailable."""
    if name is not None and name not in DTYPES:
        raise ModelUnavailable(f"unknown dtype '{name}'; known are {', '.join(DTYPES)}")
    return DTYPES[name] if name else DEVICE_DTYPES.get(device.type, torch.float32)


def processor_of(device: torch.device) -> str:
    """The accelerator's name, or the CPU's vector instructions."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xpu":
        return torch.xpu.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else device.type
