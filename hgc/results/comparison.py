"""The result of a run: an arm, arms compared, and the news on the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgc.cache.anatomy import Kind, State
from hgc.cache.trace import Trace
from hgc.evidence import Made
from hgc.metrics import difference
from hgc.planning.methods import arm_titles
from hgc.request import ArmName, Request

Pixels = NDArray[np.uint8]
# Kinds whose output never depends on the denoising step, or costs next to nothing: to keep them is no cache's merit.
STEPLESS = (Kind.CONDITION, Kind.TEXT_KV, Kind.EMBEDDING)


class Cancelled(Exception):
    """The run was stopped on request; nothing of it is kept."""


@dataclass(frozen=True)
class Progress:
    """Step `step` of `steps` is done in this arm; `preview` is uint8 [H, W, 3]; `eta_s` counts all arms to come."""

    arm: ArmName
    step: int
    steps: int
    preview: Pixels | None
    eta_s: float | None


@dataclass(frozen=True)
class Arm:
    """One picture, uint8 [H, W, 3], and how it came about.

    `latency_ms` is the pipeline's whole call, decoding included; text is encoded before, once for all arms, and
    previews are left out. `denoise_ms` is what the steps took. `previews[i]`, uint8 [h, w, 3] as small as the latents,
    is roughly how the picture stood after step i; empty where they were not kept.
    """

    name: ArmName
    image: Pixels
    trace: Trace
    latency_ms: float
    denoise_ms: float
    control_score: float
    previews: tuple[Pixels, ...] = ()

    @property
    def steps(self) -> int:
        return self.trace.steps

    def figures(self) -> dict[str, float | None]:
        """Its cost, and how well it follows the map."""
        return {
            "macs": self.trace.macs.paper,
            "macs_with_attention": self.trace.macs.full,
            "latency_ms": self.latency_ms,
            "denoise_ms": self.denoise_ms,
            "control_score": _finite(self.control_score),
        }


@dataclass(frozen=True)
class Likeness:
    """How much a picture is like the full one: PSNR in dB, infinite for identical ones, and SSIM, 1 for these.

    `perceptual` is the difference that a network sees which knows such pictures, 0 for identical ones: LPIPS, or in
    Landscapes' world the same on its own segmenter, 0 to 4; None where there is no such network, or it was not asked.
    """

    psnr: float
    ssim: float
    perceptual: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The same picture made in two or three ways, from the same noise, map and scheduler, which `digest` names.

    `rival` is made by another method at the cost of the cached arm. `likeness` is each arm's to the full one.
    `recorded` when it is shown from a record: `made` says when and with what it was computed.
    """

    request: Request
    full: Arm
    cached: Arm
    likeness: Mapping[ArmName, Likeness]
    digest: str
    score_name: str
    made: Made
    notes: tuple[str, ...] = ()
    rival: Arm | None = None
    recorded: bool = False

    @property
    def arms(self) -> dict[ArmName, Arm]:
        """Those that there are, in the order in which they were made."""
        return {arm.name: arm for arm in (self.full, self.cached, self.rival) if arm is not None}

    @property
    def psnr(self) -> float:
        """Of the cached picture."""
        return self.likeness["cached"].psnr

    @property
    def ssim(self) -> float:
        """Of the cached picture."""
        return self.likeness["cached"].ssim

    @property
    def perceptual(self) -> float | None:
        """Of the cached picture."""
        return self.likeness["cached"].perceptual

    def difference(self, left: ArmName = "full", right: ArmName = "cached") -> NDArray[np.float32]:
        """Where two arms differ: [H, W] in 0..1."""
        return np.asarray(difference(self.arms[left].image, self.arms[right].image), np.float32)

    @property
    def identical(self) -> bool:
        """Whether the full and the cached picture agree in every bit."""
        return bool(np.array_equal(self.full.image, self.cached.image))

    @property
    def nothing_reused(self) -> bool:
        """Whether a cache was wanted and yet kept nothing but what never depends on the step."""
        request, trace = self.request, self.cached.trace
        if request.plan is not None:
            asked = True
        elif request.budget is not None:
            asked = request.budget < 1 and trace.steps == request.steps  # fewer steps save without keeping anything
        else:
            asked = not request.cache.off
        names = [site.name for site in trace.sites if site.kind not in STEPLESS]
        any_kept = any(cell.state in (State.REUSED, State.FORECAST) for name in names for cell in trace.cells[name])
        return asked and not any_kept

    def figures(self) -> dict[str, Any]:
        """Every number beside the pictures, with what it was measured on; MACs count as the paper does unless named.

        PSNR is None for identical pictures, a control score and the perceptual difference where nothing can be said.
        An arm that was not made has no figures.
        """
        full, cached, request = self.full, self.cached, self.request
        figures: dict[str, Any] = {}
        for name, arm in self.arms.items():
            figures |= {f"{figure}_{name}": value for figure, value in arm.figures().items()}
        figures |= {f"title_{name}": title for name, title in arm_titles(request).items()}
        figures |= self._rival_figures()
        return figures | {
            "macs_ratio": cached.trace.macs.paper / full.trace.macs.paper,
            "speedup": _speedup(full, cached),
            "peak_bytes": cached.trace.peak_bytes,
            "psnr": _finite(self.psnr),
            "ssim": self.ssim,
            "perceptual": self.perceptual,
            "control_score_name": self.score_name,
            "judge": self.made.judge,
            "attention_hits": cached.trace.attention_hits,
            "attention_misses": cached.trace.attention_misses,
            "identical": self.identical,
            "nothing_reused": self.nothing_reused,
            "digest": self.digest,
            "trace_digest": cached.trace.digest,
            "method": request.method,
            "at_least": request.at_least,
            "plan": cached.trace.plan.name,
            "steps_cached": cached.steps,
            "model": request.model,
            "control": request.control,
            "device": full.trace.device,
            "dtype": full.trace.dtype,
            "steps": request.steps,
            "seed": request.seed,
            "sampler": request.sampler,
            "guidance": request.guidance,
        }

    def _rival_figures(self) -> dict[str, Any]:
        """Those of the third picture, if there is one."""
        if self.rival is None:
            return {}
        alike, rival = self.likeness["rival"], self.rival
        return {
            "rival": self.request.rival,
            "plan_rival": rival.trace.plan.name,
            "psnr_rival": _finite(alike.psnr),
            "ssim_rival": alike.ssim,
            "perceptual_rival": alike.perceptual,
            "steps_rival": rival.steps,
            "peak_bytes_rival": rival.trace.peak_bytes,
            "macs_ratio_rival": rival.trace.macs.paper / self.full.trace.macs.paper,
            "speedup_rival": _speedup(self.full, rival),
        }


def _speedup(full: Arm, other: Arm) -> float:
    """Of two clocks that may have seen no time pass at all: a microsecond then."""
    return max(full.latency_ms, 1e-3) / max(other.latency_ms, 1e-3)


def _finite(value: float) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return value if isfinite(value) else None
