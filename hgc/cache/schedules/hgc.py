"""Hybrid-Grained Cache (arXiv 2511.11031) by a timetable, for models of which nothing was measured.

Where full runs were measured, hgc_measured.py places the same parts by what they show.

What is the paper's and what is our reading: the paper gives a block-level ("coarse") cache with two densities,
lambda_inter and lambda_intra, a prompt-level ("fine") cache that reuses cross-attention over consecutive steps, and a
gate step that fuses the guided and the unguided computation. It does not say, in what is public, which blocks are kept,
the values of the densities, the similarity formula or the gate step. Ours are:

* lambda_inter is the share of steps that compute everything ("key steps"); they lie denser at the start, where the
  condition shapes the picture (the paper's own motivation), and the first two are always among them;
  with calibrated curves they lie where the change of the kept feature adds up (`key_steps_from`);
* lambda_intra is the share of decoder layers (a ResNet with its transformer, and the sampler after it), counted from
  the output inwards across the blocks, that the steps in between compute; the layer beneath them is kept, and so are
  the control residuals, so that all of ControlNet and the deeper UNet is dead. Both densities thus act on layers:
  lambda_inter decides how often all of them are computed, lambda_intra how many are in between;
* kept values go on by forecast, from the line through the last two unless told otherwise, or are repeated;
* the bypass is dynamic on request: a cheap real feature decides each step in between (running/gate.py);
* at the gate step the unguided branch is left out and stands in as guided minus the last guidance difference
  (`difference`), or guidance ends there (`drop`, as T-GATE does).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind
from hgc.cache.origin import Knobs, Origin
from hgc.cache.plan import Fusion, Plan
from hgc.cache.rules import LINE, Forecast, Gate, PlanRefused
from hgc.cache.schedules.curves import Curves
from hgc.cache.schedules.rows import (
    Rows,
    checked_keys,
    constants,
    cut_site,
    decoder_layers,
    in_range,
    keep_between,
    keep_control,
    key_steps,
    once_control_is_on,
)


def hgc(
    anatomy: Anatomy,
    steps: int,
    *,
    lambda_inter: float = 0.45,
    lambda_intra: float = 0.09,
    gate_step: int | None = None,
    attention_every: int = 1,
    coarse: bool = True,
    fine: bool = True,
    fusion: Fusion = "difference",
    forecast: Forecast = LINE,
    keys: Sequence[int] | None = None,
    threshold: float | None = None,
    release: float | None = None,
    most: int | None = None,
    first_control_step: int = 0,
) -> Plan:
    """Coarse and fine cache in one plan; this file's first lines say which part is our reading.

    `coarse` and `fine` switch the two caches. With `threshold` the in-between steps are decided while running, by the
    change of a real feature since the last full step, with `release` as its hysteresis; at most `most` of them are
    computed (running/gate.py says how). lambda_inter then counts the fixed key steps only.
    `keys` names the key steps, the first among them, and overrides lambda_inter.
    A control that sets in at `first_control_step` makes key steps of that step and the next.
    Raises PlanRefused for values out of range.
    """
    in_range("lambda_inter", lambda_inter, 0, 1)
    in_range("lambda_intra", lambda_intra, 0, 1)
    if attention_every < 1:
        raise PlanRefused(f"attention_every {attention_every}: at least 1 (1 computes it in every key step)")
    rows = constants(anatomy, steps)
    if not coarse:
        keys = range(steps)
    elif keys is None:
        keys = key_steps(steps, max(1, min(steps, round(lambda_inter * steps))))
    else:
        keys = checked_keys(steps, keys)
    if coarse:
        if first_control_step:
            keys = tuple(sorted({*keys, *range(first_control_step, min(first_control_step + 2, steps))}))
        rows |= coarse_rows(anatomy, steps, keys, lambda_intra, forecast, first_control_step)
    if fine:
        gate = late_gate(steps) if gate_step is None else gate_step
        rows |= once_control_is_on(anatomy, fine_rows(anatomy, steps, keys, gate, attention_every), first_control_step)
    gate_rule = Gate.by_feature(threshold, release, most) if threshold is not None and coarse else None
    knobs: Knobs = {
        "lambda_inter": lambda_inter,
        "lambda_intra": lambda_intra,
        "gate_step": gate_step,
        "attention_every": attention_every,
        "coarse": coarse,
        "fine": fine,
        "threshold": threshold,
        "release": release,
        "most": most,
    }
    return Plan(Origin("hgc", knobs), steps, anatomy.model, rows, fusion=fusion, forecast=forecast, gate=gate_rule)


def coarse_rows(
    anatomy: Anatomy,
    steps: int,
    keys: Iterable[int],
    lambda_intra: float,
    forecast: Forecast,
    first_control_step: int = 0,
) -> Rows:
    """Between key steps: keep the layer beneath the refreshed ones, and the control residuals once there are any."""
    keys = tuple(keys)
    count = len(decoder_layers(anatomy))
    refreshed = min(round(lambda_intra * count), count - 1)
    control = keep_control(steps, keys, forecast, first_control_step)
    residuals = dict.fromkeys([site.name for site in anatomy.control_residuals], control)
    return {cut_site(anatomy, refreshed): keep_between(steps, keys, forecast)} | residuals


def fine_rows(anatomy: Anatomy, steps: int, keys: Iterable[int], gate_step: int, attention_every: int) -> Rows:
    """Cross-attention at every n-th key step and never after the gate; one guidance branch from the gate on."""
    if not 1 <= gate_step <= steps:
        raise PlanRefused(f"gate_step {gate_step}: choose between 1 and {steps} ({steps} never fuses)")
    keys = sorted(keys)
    fresh = {step for i, step in enumerate(keys) if i % attention_every == 0 and step <= gate_step}
    attention = "".join("C" if step in fresh else "R" for step in range(steps))
    branch = "C" * gate_step + "R" * (steps - gate_step)
    return {s.name: attention for s in anatomy.of(Kind.CROSS_ATTENTION)} | {UNGUIDED: branch}


def late_gate(steps: int) -> int:
    """Fusing earlier costs more likeness than the same compute saved by fewer key steps (measured on Landscapes)."""
    return max(1, round(0.8 * steps))


def key_steps_from(curves: Curves, count: int, site: str = PREDICTION, *, warm: int = 2) -> tuple[int, ...]:
    """`count` key steps, the first `warm` always, the rest where the change of `site` has added up to equal parts.

    This is our reading of "similarity" in the paper, which gives no formula. Raises PlanRefused when count is not
    between 1 and the curves' steps, or the site was not measured.
    """
    steps, changes = curves.steps, curves.of(site)
    if not 1 <= count <= steps:
        raise PlanRefused(f"{count} key steps of {steps}: choose between 1 and {steps}")
    warm = min(warm, count)
    chosen = list(range(warm))
    for i in range(count - warm):
        left = [(step, change) for step, change in enumerate(changes) if step > chosen[-1]]
        part, gone = sum(change for _, change in left) / (count - warm - i + 1), 0.0
        latest = steps - (count - warm - i)
        for step, change in left:
            gone += change
            if gone >= part or step == latest:
                chosen.append(step)
                break
    return tuple(chosen)
