"""The paper's counts, from the real shapes of SD 1.5 and its ControlNet on the meta device; no weights, no timing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from hgc.bench.table import text_table
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.anatomy.macs import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.subject import Subject
from hgc.models.presets import SD15_SHAPES

STEPS = 20
LATENT = (64, 64)
TOKENS = 77
PAPER_SHARE = 6.70 / 18.22
FASTER_DIFFUSION_KEYS = (0, 1, 2, 3, 5, 10, 15)


@dataclass(frozen=True)
class Row:
    """One method; tera MACs for one 512 x 512 picture in 20 steps with two guidance branches."""

    method: str
    tmacs_paper: float
    tmacs_full: float
    share: float
    published_tmacs: float | None = None


def sd15() -> Anatomy:
    """SD 1.5 with one ControlNet at 512 x 512."""
    shapes: dict[str, Any] = dict(SD15_SHAPES)
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=LATENT[0], **shapes)
        control = ControlNetModel(**shapes)
    return measure(Networks(unet, {"controlnet": control}), LATENT, TOKENS, model="sd15")


def plans(anatomy: Anatomy) -> Mapping[str, Plan]:
    """The methods of the table by title."""
    density = schedules.under_budget(anatomy, STEPS, PAPER_SHARE)
    ours = partial(schedules.hgc, anatomy, STEPS, lambda_inter=density.lambda_inter, gate_step=density.gate_step)
    evenly, every_other = range(0, STEPS, 3), range(0, STEPS, 2)
    return {
        "full compute": schedules.full(anatomy, STEPS),
        "exact savings": schedules.exact(anatomy, STEPS),
        "HGC, coarse and fine (our plan at the paper's share)": ours(),
        "HGC, coarse only": ours(fine=False),
        "HGC, fine only": ours(coarse=False),
        "DeepCache N=3, dead control work removed": schedules.deepcache(anatomy, STEPS, interval=3),
        "T-GATE at step 10": schedules.tgate(anatomy, STEPS, gate_step=10),
        "Faster Diffusion, 7 key steps": schedules.encoder_propagation(anatomy, STEPS, keys=FASTER_DIFFUSION_KEYS),
        "Block Caching, bound: attention and feed-forward kept": _least_block_caching(anatomy),
        "guidance difference every 2nd step (FasterCache)": schedules.guidance_reuse(anatomy, STEPS, keys=every_other),
        "whole prediction every 3rd step (TeaCache's reuse)": schedules.step_skip(anatomy, STEPS, keys=evenly),
        "fewer steps: 7 of 20": schedules.full(anatomy, 7),
    }


def _least_block_caching(anatomy: Anatomy) -> Plan:
    """The least cost of Block Caching attention and feed-forward: nothing is refreshed, as if none ever changed.

    Its cost at a given delta follows from change curves, which cannot be measured without SD 1.5's weights.
    """
    still = {site.name: (0.0,) * STEPS for site in anatomy if not site.constant}
    curves = ChangeCurves(Subject(anatomy.model, "none", "none", STEPS, 1.0), 1, still, still)
    return schedules.block_caching(anatomy, STEPS, curves, delta=0, kinds=schedules.ADDED)


def rows() -> list[Row]:
    """The table; the first row against the published baseline, the HGC row against the published result."""
    anatomy = sd15()
    whole = plan_macs(schedules.full(anatomy, STEPS), anatomy).paper
    published = {"full compute": 18.22, "HGC, coarse and fine (our plan at the paper's share)": 6.70}
    table = []
    for title, plan in plans(anatomy).items():
        macs = plan_macs(plan, anatomy)
        table.append(Row(title, macs.paper / 1e12, macs.full / 1e12, macs.paper / whole, published.get(title)))
    return table


COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("method", lambda row: row.method),
    ("T MACs, paper", lambda row: f"{row.tmacs_paper:.2f}"),
    ("T MACs, full", lambda row: f"{row.tmacs_full:.2f}"),
    ("share", lambda row: f"{row.share:.1%}"),
    ("published", lambda row: "" if row.published_tmacs is None else f"{row.published_tmacs:.2f}"),
)


def text(counts: Sequence[Row]) -> str:
    measured_on = f"SD 1.5 + ControlNet, 512 x 512, {STEPS} steps, two branches; paper: convolutions and linear layers."
    return f"{text_table(counts, COLUMNS)}\n{measured_on}"
