"""The machine that something is measured on, and what it can say of a run besides its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import which
from subprocess import run
from typing import Any

import diffusers
import torch
from torch.profiler import ProfilerActivity, profile

from hgc.models.devices import processor_of


@dataclass(frozen=True)
class Machine:
    device: str
    driver: str | None
    torch: str
    cuda: str | None
    diffusers: str
    threads: int


def machine_now(device: torch.device) -> Machine:
    on_gpu = device.type == "cuda"
    return Machine(
        device=f"{device.type} ({processor_of(device)})",
        driver=_driver() if on_gpu else None,
        torch=torch.__version__,
        cuda=torch.version.cuda if on_gpu else None,
        diffusers=diffusers.__version__,
        threads=torch.get_num_threads(),
    )


def _driver() -> str | None:
    """The version of NVIDIA's driver, as its own tool says it."""
    if (tool := which("nvidia-smi")) is None:
        return None
    asked = run([tool, "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True)
    return asked.stdout.strip() or None


def busy_s(device: torch.device, work: Callable[[], Any]) -> float | None:
    """How long a GPU works on something, its kernels added up; None elsewhere."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        work()
    return sum(event.self_device_time_total for event in seen.key_averages()) / 1e6


@contextmanager
def peak_bytes(device: torch.device) -> Iterator[Callable[[], int | None]]:
    """The most memory that torch has taken on a GPU since the block was entered, networks included; None elsewhere."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    yield lambda: torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
