"""Every method is a function of the anatomy that returns a Plan. Plain data, no torch.

What is the paper's and what is our reading, for HGC (arXiv 2511.11031): the paper gives a block-level ("coarse") cache
with two densities, lambda_inter and lambda_intra, a prompt-level ("fine") cache that reuses cross-attention over
consecutive steps, and a gate step that fuses the guided and the unguided computation. It does not say, in what is
public, which blocks are kept, the values of the densities, the similarity formula or the gate step. Ours are:

* lambda_inter is the share of steps that compute everything ("key steps"); they lie denser at the start, where the
  condition shapes the picture (the paper's own motivation), and the first two are always among them;
* lambda_intra is the share of decoder layers, counted from the output inwards, that the steps in between compute; the
  layer beneath them is kept, and so are the control residuals, so that all of ControlNet and the deeper UNet is dead;
* kept values are extrapolated from the last computed ones (`order` 1 or 2) or repeated (`order` 0);
* at the gate step the unguided branch is left out and stands in as guided minus the last guidance difference
  (`difference`), or guidance ends there (`drop`, as T-GATE does).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind, Site
from hgc.cache.plan import Fusion, Gate, Plan, PlanRefused
from hgc.cache.rehearsal import plan_macs

Rows = dict[str, str]


def full(anatomy: Anatomy, steps: int) -> Plan:
    """Everything computed in every step, as the plain pipeline does (which also runs a ControlNet at scale 0)."""
    return Plan("full", steps, anatomy.model)


def exact(anatomy: Anatomy, steps: int) -> Plan:
    """Only what changes nothing: the condition's embedding and the text's keys and values are computed once."""
    return Plan("exact", steps, anatomy.model, constants(anatomy, steps))


def constants(anatomy: Anatomy, steps: int) -> Rows:
    """Rows that compute in the first step what does not depend on the step."""
    return {site.name: "C" + "R" * (steps - 1) for site in anatomy if site.constant}


def key_steps(steps: int, count: int, *, warm: int = 2, power: float = 1.3) -> tuple[int, ...]:
    """`count` steps, the first `warm` always, the rest spaced ever wider (power 1: evenly).

    Raises PlanRefused when count is not between 1 and steps.
    """
    if not 1 <= count <= steps:
        raise PlanRefused(f"{count} key steps of {steps}: choose between 1 and {steps}")
    warm = min(warm, count)
    chosen = list(range(warm))
    for i in range(count - warm):
        wanted = round(warm + (steps - warm) * (i / (count - warm)) ** power)
        latest = steps - (count - warm - i)
        chosen.append(min(max(wanted, chosen[-1] + 1), latest))
    return tuple(chosen)


def decoder_layers(anatomy: Anatomy) -> list[list[Site]]:
    """The decoder's layers from the middle to the output: a ResNet with its transformer, and the sampler after it."""
    layers: list[list[Site]] = []
    for site in anatomy.decoder:
        if site.kind is Kind.RESNET:
            layers.append([])
        layers[-1].append(site)
    return layers


def cut_site(anatomy: Anatomy, refreshed: int) -> str:
    """The site to keep so that just the `refreshed` decoder layers nearest to the output are computed."""
    layers = decoder_layers(anatomy)
    if not 0 <= refreshed < len(layers):
        raise PlanRefused(f"{refreshed} refreshed decoder layers; choose between 0 and {len(layers) - 1}")
    return layers[-1 - refreshed][-1].name


def keep_between(steps: int, keys: Iterable[int], order: int) -> str:
    """A row that computes at the key steps and keeps in between; extrapolates once two values are there."""
    keys = set(keys)
    seen, row = 0, []
    for step in range(steps):
        seen += step in keys
        row.append("C" if step in keys else "F" if order and seen > 1 else "R")
    return "".join(row)


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
    order: int = 1,
    threshold: float | None = None,
    first_control_step: int = 0,
    name: str = "hgc",
) -> Plan:
    """Hybrid-Grained Cache (arXiv 2511.11031); this file's first lines say which part is our reading.

    `coarse` and `fine` switch the two caches. With `threshold` the in-between steps are decided while running (the
    feature change expected since the last key step, see gate.py) and lambda_inter only counts the fixed key steps.
    A control that sets in at `first_control_step` makes key steps of that step and the next.
    Raises PlanRefused for values out of range.
    """
    _in_range("lambda_inter", lambda_inter, 0, 1)
    _in_range("lambda_intra", lambda_intra, 0, 1)
    if attention_every < 1:
        raise PlanRefused(f"attention_every {attention_every}: at least 1 (1 computes it in every key step)")
    rows = constants(anatomy, steps)
    keys = key_steps(steps, max(1, min(steps, round(lambda_inter * steps)))) if coarse else tuple(range(steps))
    if coarse:
        if first_control_step:
            keys = tuple(sorted({*keys, *range(first_control_step, min(first_control_step + 2, steps))}))
        rows |= coarse_rows(anatomy, steps, keys, lambda_intra, order, first_control_step)
    if fine:
        gate = late_gate(steps) if gate_step is None else gate_step
        rows |= fine_rows(anatomy, steps, keys, gate, attention_every)
    gate_rule = Gate(threshold) if threshold is not None and coarse else None
    return Plan(name, steps, anatomy.model, rows, fusion=fusion, order=max(order, 1), gate=gate_rule)


def coarse_rows(
    anatomy: Anatomy, steps: int, keys: Iterable[int], lambda_intra: float, order: int, first_control_step: int = 0
) -> Rows:
    """Between key steps: keep the layer beneath the refreshed ones, and the control residuals once there are any."""
    keys = tuple(keys)
    count = len(decoder_layers(anatomy))
    refreshed = min(round(lambda_intra * count), count - 1)
    late = [key - first_control_step for key in keys if key >= first_control_step]
    control = "C" * first_control_step + keep_between(steps - first_control_step, late, order)
    residuals = dict.fromkeys([site.name for site in anatomy.control_residuals], control)
    return {cut_site(anatomy, refreshed): keep_between(steps, keys, order)} | residuals


def fine_rows(anatomy: Anatomy, steps: int, keys: Iterable[int], gate_step: int, attention_every: int) -> Rows:
    """Cross-attention at every n-th key step and never after the gate; one guidance branch from the gate on."""
    if not 1 <= gate_step <= steps:
        raise PlanRefused(f"gate_step {gate_step}: choose between 1 and {steps} ({steps} never fuses)")
    keys = sorted(keys)
    fresh = {step for i, step in enumerate(keys) if i % attention_every == 0 and step <= gate_step}
    attention = "".join("C" if step in fresh else "R" for step in range(steps))
    branch = "C" * gate_step + "R" * (steps - gate_step)
    return {s.name: attention for s in anatomy.of(Kind.CROSS_ATTENTION)} | {UNGUIDED: branch}


def deepcache(anatomy: Anatomy, steps: int, *, interval: int = 3, branch: int = 0) -> Plan:
    """DeepCache (arXiv 2312.00858): the deep UNet every `interval` steps, `branch` + 1 outer layers in every step."""
    if interval < 1:
        raise PlanRefused(f"interval {interval}: at least 1")
    row = "".join("C" if step % interval == 0 else "R" for step in range(steps))
    return Plan(
        f"deepcache N={interval}",
        steps,
        anatomy.model,
        constants(anatomy, steps) | {cut_site(anatomy, branch + 1): row},
    )


def tgate(anatomy: Anatomy, steps: int, *, gate_step: int = 10) -> Plan:
    """T-GATE (arXiv 2404.02747): cross-attention kept and guidance dropped from the gate step on."""
    rows = constants(anatomy, steps) | fine_rows(anatomy, steps, range(steps), gate_step, 1)
    kept = "C" * gate_step + "R" * (steps - gate_step)
    rows |= {s.name: kept for s in anatomy.of(Kind.CROSS_ATTENTION)}
    return Plan(f"tgate m={gate_step}", steps, anatomy.model, rows, fusion="drop")


def encoder_propagation(anatomy: Anatomy, steps: int, *, keys: Iterable[int]) -> Plan:
    """Faster Diffusion (arXiv 2312.09608): UNet encoder and ControlNet at key steps, the decoder in every step."""
    row = keep_between(steps, keys, 0)
    skips = {name for site in anatomy.decoder for name in site.inputs}
    kept = {name for name in skips if not name.startswith(("unet.mid_block", "unet.up_blocks"))}
    middle = [site.name for site in anatomy.decoder if site.name.startswith("unet.mid_block")][-1:]
    return Plan(
        "encoder propagation", steps, anatomy.model, constants(anatomy, steps) | dict.fromkeys([*kept, *middle], row)
    )


def step_skip(anatomy: Anatomy, steps: int, *, keys: Iterable[int], order: int = 1) -> Plan:
    """The whole prediction kept between key steps (the reuse of TeaCache, arXiv 2411.19108, at fixed steps)."""
    rows = constants(anatomy, steps) | {PREDICTION: keep_between(steps, keys, order)}
    return Plan("step skip", steps, anatomy.model, rows, order=max(order, 1))


def guidance_reuse(anatomy: Anatomy, steps: int, *, keys: Iterable[int], order: int = 1) -> Plan:
    """The guidance difference kept between key steps (FasterCache, arXiv 2410.19355, without its frequency split)."""
    rows = constants(anatomy, steps) | {UNGUIDED: keep_between(steps, keys, order)}
    return Plan("guidance reuse", steps, anatomy.model, rows, order=max(order, 1))


@dataclass(frozen=True)
class Density:
    """How much an HGC plan computes: the share of key steps and the step at which the branches fuse."""

    lambda_inter: float
    gate_step: int


def under_budget(anatomy: Anatomy, steps: int, share: float, **settings: Any) -> Density:
    """The density of most compute whose HGC plan stays within `share` of the full paper-convention MACs.

    `settings` go to `hgc`. Raises PlanRefused when even the cheapest plan costs more; it names the nearest share.
    """
    if steps < 2:
        raise PlanRefused(f"steps {steps}: a cache needs at least 2")
    whole = plan_macs(full(anatomy, steps), anatomy).paper
    costs = []
    for density in ladder(steps):
        plan = hgc(anatomy, steps, lambda_inter=density.lambda_inter, gate_step=density.gate_step, **settings)
        costs.append((plan_macs(plan, anatomy).paper / whole, density))
    within = [pair for pair in costs if pair[0] <= share]
    if not within:
        cheapest = min(cost for cost, _ in costs)
        raise PlanRefused(f"budget {share:.0%}: the cheapest plan costs {cheapest:.1%} of full compute; choose more")
    return max(within, key=lambda pair: pair[0])[1]


def late_gate(steps: int) -> int:
    """Fusing earlier costs more likeness than the same compute saved by fewer key steps (measured on Landscapes)."""
    return max(1, round(0.8 * steps))


def ladder(steps: int) -> list[Density]:
    """From the cheapest to the whole: more key steps, each with the branches fused late and a little later."""
    gates = [gate for gate in range(late_gate(steps), late_gate(steps) + 3) if gate < steps] or [late_gate(steps)]
    return [Density(count / steps, gate) for count in range(2, steps + 1) for gate in gates]


def _in_range(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise PlanRefused(f"{what} {value}: choose between {low} and {high}")
