"""The device and number format training runs in."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Compute:
    """Where to train, and whether matrix products run in bfloat16 (weights stay float32)."""

    device: str
    bf16: bool

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)

    @property
    def layout(self) -> torch.memory_format:
        """The layout training convolutions like: on a CPU the planes, whose backward took a quarter less time."""
        return torch.contiguous_format if self.device == "cpu" else torch.channels_last

    def put(self, x: Tensor) -> Tensor:
        """Onto the device; pictures in its layout."""
        moved = x.to(self.device, non_blocking=True)
        return moved.contiguous(memory_format=self.layout) if moved.ndim == 4 else moved

    def words(self) -> str:
        """The machine in the words of a training's record."""
        if self.device == "cuda":
            return f"{torch.cuda.get_device_name()}, autocast {'bfloat16' if self.bf16 else 'off'}"
        return f"CPU, {torch.get_num_threads()} threads, autocast {'bfloat16' if self.bf16 else 'off'}"


def best_compute() -> Compute:
    """An accelerator where there is one; bfloat16 where the device has products in it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Compute(device, bf16=multiplies_bfloat16(device))


def multiplies_bfloat16(device: str) -> bool:
    """Whether a device has products in bfloat16 of its own: a CPU that emulates them took twenty times as long."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()


def generator(seed: int, stage: int, step: int) -> torch.Generator:
    """The randomness of one training step: the same after a resume as without one."""
    return torch.Generator().manual_seed((seed * 1_000_003 + stage) * 10_000_019 + step)
