"""Records that no model made, for tests of how they are kept."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hgc.cache.anatomy import Kind, State
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.trace import Cell, Trace, TracedSite
from hgc.evidence import Made, signed_png
from hgc.history import History, KeptArm, Record
from hgc.request import Request

MADE = Made(
    at="2026-11-21T23:10:05Z",
    studio="0.1.0",
    torch="2.11.0+cpu",
    diffusers="0.42.1",
    device="cpu",
    dtype="float32",
    processor="AVX2",
    threads=2,
    weights="0123456789ab",
)
PLAN = Plan(Origin("paper"), 4, "landscapes", {"unet": "CRCR"})


def picture(seed: int = 0, side: int = 32) -> np.ndarray:
    """Noise, uint8 [side, side, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


CONTROL_PNG = _png(np.full((8, 8, 3), (90, 180, 80), np.uint8))


def trace(plan: Plan = PLAN) -> Trace:
    """What a plan of one site executed."""
    row = plan.table["unet"]
    states = {"C": State.COMPUTED, "R": State.REUSED}
    return Trace(
        plan=plan,
        model=plan.model,
        images=1,
        sites=(TracedSite("unet", Kind.PREDICTION, "unet", None),),
        cells={"unet": tuple(Cell(states[letter], "planned", 10, 12) for letter in row)},
        branches=(2,) * plan.steps,
        step_ms=(1.0,) * plan.steps,
        peak_bytes=64,
        device="cpu",
        dtype="float32",
    )


def record(seed: int = 0, side: int = 32, **fields: Any) -> Record:
    """A run of two arms with pictures of noise."""
    request = Request.make(CONTROL_PNG, seed=seed, steps=4, **fields)
    whole = Plan(Origin("full"), 4, "landscapes", {"unet": "CCCC"})
    arms = tuple(
        KeptArm(
            name=name,
            png=signed_png(picture(2 * seed + at, side), request, plan, name, trace(plan).digest, MADE),
            trace_json=trace(plan).to_json(),
            latency_ms=20.0 - 10 * at,
            denoise_ms=18.0 - 9 * at,
            control_score=float("nan") if at else 0.75,
        )
        for at, (name, plan) in enumerate({"full": whole, "cached": PLAN}.items())
    )
    return Record(
        request=request,
        arms=arms,
        likeness={"cached": {"psnr": float("inf"), "ssim": 1.0}},
        digest=request.picture_digest,
        score_name="mIoU",
        made=MADE,
        figures={"plan": "paper", "macs_ratio": 0.5},
    )


def keep_records(path: Path, first: int, runs: int) -> None:
    """Keeps so many in a history; here, where a process of its own finds it without the tests' libraries."""
    history = History(path)
    for seed in range(first, first + runs):
        history.keep(record(seed))
