"""Hybrid-Grained Cache (arXiv 2511.11031) by measured similarity: HGC's rules, with steps chosen by full runs.

The paper chooses the moments to refresh by feature similarity, and gives no formula. What is the paper's and what is
our reading of its parts stands at the top of hgc.py; here is our reading of *similarity*, measured beforehand:

* lambda_inter, the share of key steps: they lie where the relative change of the kept features adds up to equal parts;
* lambda_intra, the share of decoder layers that the steps in between refresh, on the mean over steps and layers: each
  step has a number of its own, chosen by the errors that forecasts of the kept features were measured to make, and by
  what these do to the final latents (between.py); often none, so that
  the output's convolution alone is computed;
* attention is repeated layer by layer and step by step where its output was measured to change least (attention.py);
* within a budget, lambda_inter, lambda_intra, the gate step and the forecast's order are those of least error, added up
  over all steps. The guidance difference is kept after the gate: dropping guidance errs by all of it, so never less.

Everything is a pure function of the anatomy, what was measured, and these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from hgc.cache.anatomy import UNGUIDED, Anatomy
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, ForecastRule
from hgc.cache.schedules.attention import attention_rows
from hgc.cache.schedules.between import EVERYTHING, Between, Layers, Leg, costs_of
from hgc.cache.schedules.budget import ROUNDING
from hgc.cache.schedules.decoder_layers import cut_site, decoder_layers, kept_residuals
from hgc.cache.schedules.hgc import HGC
from hgc.cache.schedules.rows import Rows, constants
from hgc.cache.schedules.similarity import Similarity, key_steps_by

Off = tuple[frozenset[str], ...]


def hgc_measured(
    anatomy: Anatomy, similarity: Similarity, settings: HGC, *, guidance: bool = True, off: Off | None = None
) -> Plan:
    """The plan of these settings; `off[i]` names the ControlNets that are off in step i.

    Of all cross-attentions that are asked for every n-th is computed.
    """
    settings = replace(settings, similarity=True)
    steps = similarity.steps
    gate_step = settings.gate_step(steps) if settings.fine else steps
    layers: Layers = (EVERYTHING,) * steps
    if settings.coarse:
        legs = legs_of(
            anatomy,
            similarity,
            settings.key_count(steps),
            gate_step,
            settings.order,
            guidance=guidance,
            off=off,
        )
        densest = settings.lambda_intra + ROUNDING
        within = [leg for leg in legs if density(leg, anatomy) <= densest] or legs[:1]
        layers = min(within, key=lambda leg: leg.error).layers
    rows = constants(anatomy, steps) | _rows(anatomy, layers, settings.forecast, off)
    if gate_step < steps:
        rows[UNGUIDED] = _guidance(layers, gate_step, settings.forecast)
    plan = settings.made(anatomy, steps, rows)
    if not settings.fine:
        return plan
    every = settings.attention_every
    return replace(plan, table=rows | attention_rows(plan, anatomy, similarity, every, guidance=guidance, off=off))


@lru_cache(maxsize=512)
def legs_of(
    anatomy: Anatomy,
    similarity: Similarity,
    count: int,
    gate_step: int,
    order: int,
    *,
    guidance: bool = True,
    off: Off | None = None,
) -> list[Leg]:
    """The choices between `count` key steps, the cheapest first; where a control sets in is one more."""
    keys = {*key_steps_by([similarity.change(step) for step in range(similarity.steps)], count), _sets_in(off)}
    costs = costs_of(anatomy, tuple(similarity.layers), guidance=guidance)
    return Between(similarity, sorted(keys), ForecastRule.polynomial(order), costs, gate_step).legs()


def density(leg: Leg, anatomy: Anatomy) -> float:
    """The lambda_intra of a leg: the mean share of decoder layers that its steps between key steps refresh."""
    between = sum(count is not EVERYTHING for count in leg.layers)
    return leg.refreshed / (between * len(decoder_layers(anatomy))) if between else 0.0


def _sets_in(off: Off | None) -> int:
    """The step in which the control sets in; 0 where it never does."""
    return next((step for step, names in enumerate(off or ()) if not names), 0)


def _rows(anatomy: Anatomy, layers: Layers, forecast: ForecastRule, off: Off | None) -> Rows:
    """The sites every step keeps: the layer beneath those it refreshes, and the control residuals these consume."""
    if all(count is EVERYTHING for count in layers):
        return {}
    controlled = [not (off and off[step]) for step in range(len(layers))]
    rows = {}
    for kept in sorted({count for count in layers if count is not EVERYTHING}):
        fresh = [count is EVERYTHING or count > kept for count in layers]
        rows[cut_site(anatomy, kept)] = _row(fresh, [count == kept for count in layers], forecast)
    deepest = max(1, *(count for count in layers if count is not EVERYTHING))
    for site in kept_residuals(anatomy, deepest):
        fresh = [count is EVERYTHING and on for count, on in zip(layers, controlled, strict=True)]
        between = [count is not EVERYTHING and on for count, on in zip(layers, controlled, strict=True)]
        rows[site] = _row(fresh, between, forecast)
    return rows


def _row(fresh: Sequence[bool], kept: Sequence[bool], forecast: ForecastRule) -> str:
    """Going on where it is kept, by forecast once it was computed often enough."""
    goes_on = "F" if forecast != REPEAT else "R"
    seen = [sum(fresh[:step]) for step in range(len(fresh))]
    return "".join(
        "C" if not keeps else goes_on if count >= forecast.least else "R"
        for keeps, count in zip(kept, seen, strict=True)
    )


def _guidance(layers: Layers, gate_step: int, forecast: ForecastRule) -> str:
    """The guidance difference: as predicted up to the gate, going on from there."""
    fresh = [count != 0 and step < gate_step for step, count in enumerate(layers)]
    return _row(fresh, [step >= gate_step for step in range(len(layers))], forecast)
