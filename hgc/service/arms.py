"""What a run gives: an arm, two arms compared, and the news on the way there."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hgc.cache.anatomy import Macs
from hgc.cache.plan import Plan
from hgc.cache.trace import Trace
from hgc.request import Request

Pixels = NDArray[np.uint8]
ArmName = Literal["full", "cached"]


class Cancelled(Exception):
    """The run was stopped on request; nothing of it is kept."""


@dataclass(frozen=True)
class Progress:
    """Step `step` of `steps` is done in this arm; `preview` is uint8 [H, W, 3]; `eta_s` covers both arms."""

    arm: ArmName
    step: int
    steps: int
    preview: Pixels | None
    eta_s: float | None


@dataclass(frozen=True)
class Forecast:
    """What a request will cost, per image; times are None until this process has measured a run.

    `share` is the plan's part of full compute in the paper's convention.
    """

    macs: Macs
    macs_full: Macs
    share: float
    latency_ms: float | None
    latency_ms_full: float | None
    plan: Plan


@dataclass(frozen=True)
class Arm:
    """One picture, uint8 [H, W, 3], and how it came about.

    `latency_ms` is the pipeline's whole call, decoding included; text is encoded before, once for all arms, and
    previews are left out. `denoise_ms` is what the steps took.
    """

    name: ArmName
    image: Pixels
    trace: Trace
    latency_ms: float
    denoise_ms: float
    control_score: float


@dataclass(frozen=True)
class Comparison:
    """The same picture twice. `difference` [H, W] is 0..1; `digest` names the noise, map and scheduler they share."""

    request: Request
    full: Arm
    cached: Arm
    psnr: float
    ssim: float
    difference: NDArray[np.float32]
    digest: str
    score_name: str
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether both pictures agree in every bit."""
        return bool(np.array_equal(self.full.image, self.cached.image))

    def figures(self) -> dict[str, Any]:
        """Every number beside the pictures, with what it was measured on; MACs count as the paper does unless named.

        PSNR is None for identical pictures, a control score where nothing can be said.
        """
        full, cached = self.full, self.cached
        return {
            "macs_full": full.trace.macs.paper,
            "macs_cached": cached.trace.macs.paper,
            "macs_ratio": cached.trace.macs.paper / full.trace.macs.paper,
            "macs_with_attention_full": full.trace.macs.full,
            "macs_with_attention_cached": cached.trace.macs.full,
            "latency_ms_full": full.latency_ms,
            "latency_ms_cached": cached.latency_ms,
            "denoise_ms_full": full.denoise_ms,
            "denoise_ms_cached": cached.denoise_ms,
            "speedup": full.latency_ms / cached.latency_ms,
            "peak_bytes": cached.trace.peak_bytes,
            "psnr": _finite(self.psnr),
            "ssim": self.ssim,
            "control_score_name": self.score_name,
            "control_score_full": _finite(full.control_score),
            "control_score_cached": _finite(cached.control_score),
            "attention_hits": cached.trace.attention_hits,
            "attention_misses": cached.trace.attention_misses,
            "identical": self.identical,
            "nothing_reused": cached.trace.nothing_reused,
            "digest": self.digest,
            "trace_digest": cached.trace.digest,
            "plan": cached.trace.plan.name,
            "model": self.request.model,
            "control": self.request.control,
            "device": full.trace.device,
            "dtype": full.trace.dtype,
            "steps": self.request.steps,
            "seed": self.request.seed,
            "sampler": self.request.sampler,
            "guidance": self.request.guidance,
        }


def _finite(value: float) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return value if isfinite(value) else None
