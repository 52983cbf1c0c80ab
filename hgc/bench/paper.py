"""The papers' MACs of SD 1.5 and SDXL, counted on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import (
    ControlNetModel,
    UNet2DConditionModel,
)

from hgc.bench.shapes import TOKENS, sdxl_networks
from hgc.bench.table import text_table
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.subject import Subject
from hgc.models.presets import SD15_SHAPES

STEPS = 20
LATENT = (64, 64)
PAPER_SHARE = 6.70 / 18.22
FASTER_DIFFUSION_KEYS = (0, 1, 2, 3, 5, 10, 15)
SDXL_STEPS, SDXL_LATENT = 25, (128, 128)
# T-GATE's table for SDXL at 1024 x 1024 in 25 steps, without any ControlNet (arXiv 2404.02747).
SDXL_PUBLISHED: Mapping[str, float] = {"full compute": 149, "T-GATE": 96, "DeepCache and T-GATE": 44}
SDXL_CONTROLS: Mapping[str, str] = {"": "", "controlnet": " + ControlNet", "union": " + Union"}
GATE = 10


@dataclass(frozen=True)
class PaperRow:
    """One method; tera MACs for one picture with two guidance branches."""

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
    ours = schedules.under_budget(anatomy, STEPS, PAPER_SHARE, schedules.HGC())
    evenly, every_other = tuple(range(0, STEPS, 3)), tuple(range(0, STEPS, 2))
    return {
        "full compute": schedules.full(anatomy, STEPS),
        "exact savings": schedules.exact(anatomy, STEPS),
        "HGC, coarse and fine (our plan at the paper's share)": ours.plan(anatomy, STEPS),
        "HGC, coarse only": replace(ours, fine=False).plan(anatomy, STEPS),
        "HGC, fine only": replace(ours, coarse=False).plan(anatomy, STEPS),
        "DeepCache N=3, dead control work removed": schedules.DeepCache(interval=3).plan(anatomy, STEPS),
        "T-GATE at step 10": schedules.TGate(gate_step=10).plan(anatomy, STEPS),
        "Faster Diffusion, 7 key steps": schedules.EncoderPropagation(keys=FASTER_DIFFUSION_KEYS).plan(anatomy, STEPS),
        "Block Caching, bound: attention and feed-forward kept": _least_block_caching(anatomy),
        "guidance difference every 2nd step (FasterCache)": schedules.GuidanceReuse(keys=every_other).plan(
            anatomy, STEPS
        ),
        "whole prediction every 3rd step (TeaCache's reuse)": schedules.StepSkip(keys=evenly).plan(anatomy, STEPS),
        "fewer steps: 7 of 20": schedules.full(anatomy, 7),
    }


def _least_block_caching(anatomy: Anatomy) -> Plan:
    """The least cost of Block Caching attention and feed-forward: nothing is refreshed, as if none ever changed.

    Its cost at a given delta follows from change curves, which cannot be measured without SD 1.5's weights.
    """
    still = {site.name: (0.0,) * STEPS for site in anatomy if not site.constant}
    curves = ChangeCurves(Subject(anatomy.model, "none", "none", STEPS, 1.0), 1, still, still)
    return schedules.BlockCaching(delta=0, kinds=schedules.ADDED).plan(anatomy, STEPS, curves)


def rows() -> list[PaperRow]:
    """The table; the first row against the published baseline, the HGC row against the published result."""
    anatomy = sd15()
    whole = plan_macs(schedules.full(anatomy, STEPS), anatomy).paper
    published = {"full compute": 18.22, "HGC, coarse and fine (our plan at the paper's share)": 6.70}
    table = []
    for title, plan in plans(anatomy).items():
        macs = plan_macs(plan, anatomy)
        table.append(PaperRow(title, macs.paper / 1e12, macs.full / 1e12, macs.paper / whole, published.get(title)))
    return table


COLUMNS: tuple[tuple[str, Callable[[PaperRow], str]], ...] = (
    ("method", lambda row: row.method),
    ("T MACs, paper", lambda row: f"{row.tmacs_paper:.2f}"),
    ("T MACs, full", lambda row: f"{row.tmacs_full:.2f}"),
    ("share", lambda row: f"{row.share:.1%}"),
    ("published", lambda row: "" if row.published_tmacs is None else f"{row.published_tmacs:.2f}"),
)


def text(counts: Sequence[PaperRow]) -> str:
    measured_on = f"SD 1.5 + ControlNet, 512 x 512, {STEPS} steps, two branches; paper: convolutions and linear layers."
    return f"{text_table(counts, COLUMNS)}\n{measured_on}"


def sdxl_plans(anatomy: Anatomy) -> Mapping[str, Plan]:
    """Methods by title; DeepCache and T-GATE in one plan: one branch from the gate on, deep layers every third step."""
    hgc = schedules.under_budget(anatomy, SDXL_STEPS, PAPER_SHARE, schedules.HGC()).plan(anatomy, SDXL_STEPS)
    deepcache = schedules.DeepCache(interval=3).plan(anatomy, SDXL_STEPS)
    tgate = schedules.TGate(gate_step=GATE).plan(anatomy, SDXL_STEPS)
    return {
        "full compute": schedules.full(anatomy, SDXL_STEPS),
        "exact savings": schedules.exact(anatomy, SDXL_STEPS),
        f"HGC at {PAPER_SHARE:.0%}": hgc,
        "DeepCache": deepcache,
        "T-GATE": tgate,
        "DeepCache and T-GATE": replace(tgate, table={**tgate.table, **deepcache.table}),
    }


def sdxl_rows() -> list[PaperRow]:
    """SDXL alone, with a ControlNet and with a Union; only what is alone has been published."""
    table = []
    for control, beside in SDXL_CONTROLS.items():
        anatomy = measure(sdxl_networks(control), SDXL_LATENT, TOKENS, model="sdxl")
        whole = plan_macs(schedules.full(anatomy, SDXL_STEPS), anatomy).paper
        for title, plan in sdxl_plans(anatomy).items():
            macs, published = plan_macs(plan, anatomy), None if control else SDXL_PUBLISHED.get(title)
            name = f"SDXL{beside}: {title}"
            table.append(PaperRow(name, macs.paper / 1e12, macs.full / 1e12, macs.paper / whole, published))
    return table


def sdxl_text(counts: Sequence[PaperRow]) -> str:
    said = (
        f"1024 x 1024, {SDXL_STEPS} steps, two branches, DeepCache every 3rd step, T-GATE at step {GATE}; published: "
        "T-GATE's table, SDXL alone."
    )
    return f"{text_table(counts, COLUMNS)}\n{said}"
