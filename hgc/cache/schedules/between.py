"""The steps between key steps: how many decoder layers each refreshes, so that error + price x cost is least.

By dynamic programming: a step that refreshes layers goes on from key steps, one that refreshes none from the last
predictions, whose own errors it passes on. A ladder of prices gives a ladder of legs from cheap to true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from hgc.cache.anatomy import UNGUIDED, Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import Forecast
from hgc.cache.schedules.plain import full
from hgc.cache.schedules.rows import Rows, constants, cut_site, kept_residuals
from hgc.cache.schedules.similarity import Past, Similarity

PRICES = tuple(1e-3 * 2 ** (i / 2) for i in range(34))
WIDEST = 3  # steps in a row that refresh nothing
EVERYTHING = None  # in place of a number of layers

Layers = tuple[int | None, ...]


@dataclass(frozen=True)
class Costs:
    """The cost of a step as a share of a plain one, by the layers it refreshes and the branches it runs."""

    first: float
    later: Mapping[tuple[int | None, int], float]

    def of(self, layers: Layers, gate_step: int) -> float:
        """Of a whole course."""
        steps = enumerate(layers[1:], start=1)
        return self.first + sum(self.later[n, 1 if step >= gate_step else 2] for step, n in steps)


@lru_cache(maxsize=32)
def costs_of(anatomy: Anatomy, layers: tuple[int, ...], *, guidance: bool) -> Costs:
    """Counted by the engine's rehearsal, in the paper's convention."""

    def macs(rows: Rows, steps: int) -> int:
        plan = Plan(Origin("hgc"), steps, anatomy.model, constants(anatomy, steps) | rows)
        return plan_macs(plan, anatomy, guidance=guidance).paper

    whole, before = plan_macs(full(anatomy, 1), anatomy, guidance=guidance).paper, macs({}, 2)
    later = {}
    for count in (EVERYTHING, *layers):
        kept = [] if count is EVERYTHING else [cut_site(anatomy, count), *kept_residuals(anatomy, max(count, 1))]
        for branches, fused in ((2, []), (1, [UNGUIDED])):
            rows = dict.fromkeys([*kept, *fused], "CCR")
            later[count, branches] = (macs(rows, 3) - before) / whole
    return Costs(macs({}, 1) / whole, later)


@dataclass(frozen=True)
class Leg:
    """The layers that every step refreshes, the predicted error of the final latents, and the cost in plain steps."""

    error: float
    cost: float
    layers: Layers

    @property
    def refreshed(self) -> int:
        """Layers refreshed in all steps between key steps together."""
        return sum(count for count in self.layers if count is not None)


@dataclass(frozen=True)
class _Way:
    """One way to a step: its leg so far, the last predictions' steps and their own errors."""

    leg: Leg
    past: Past
    errors: tuple[float, ...]


@dataclass
class Between:
    """All choices between these key steps; from `gate_step` on the guidance difference is kept."""

    similarity: Similarity
    keys: Sequence[int]
    forecast: Forecast
    costs: Costs
    gate_step: int
    _skipped: dict[tuple[int, Past], tuple[float, Sequence[float]]] = field(default_factory=dict)

    def legs(self) -> list[Leg]:
        """The best for every price, each once, the cheapest first."""
        choices = [self._choices(step) for step in range(self.similarity.steps)]
        legs = {self._at(price, choices) for price in PRICES}
        return sorted(legs, key=lambda leg: (leg.cost, leg.error))

    def _choices(self, step: int) -> dict[int | None, float]:
        """The error of each number of layers but none, which depends on the way."""
        if step in self.keys:
            return {EVERYTHING: 0.0}
        past = tuple(key for key in self.keys if key < step)
        return {n: self.similarity.kept(n, step, past, self.forecast) for n in self.similarity.layers if n}

    def _at(self, price: float, choices: Sequence[Mapping[int | None, float]]) -> Leg:
        ways = [_Way(Leg(0.0, self.costs.first, (EVERYTHING,)), (0,), (0.0,))]
        for step in range(1, len(choices)):
            best: dict[Past, _Way] = {}
            for way in ways:
                for onward in self._onward(way, step, choices[step]):
                    known = best.get(onward.past)
                    if known is None or _value(onward.leg, price) < _value(known.leg, price):
                        best[onward.past] = onward
            ways = list(best.values())
        return self._fused(min((way.leg for way in ways), key=lambda leg: _value(leg, price)))

    def _onward(self, way: _Way, step: int, choices: Mapping[int | None, float]) -> list[_Way]:
        growth, branches = self.similarity.growth(step), 1 if step >= self.gate_step else 2
        onward, depth = [], max(self.forecast.depth, 1)
        for count, error in choices.items():
            leg = Leg(way.leg.error + growth * error, way.leg.cost + self.costs.later[count, branches], ())
            leg = Leg(leg.error, leg.cost, (*way.leg.layers, count))
            onward.append(_Way(leg, (*way.past, step)[-depth:], (*way.errors, error)[-depth:]))
        if EVERYTHING not in choices and step - way.past[-1] <= WIDEST:
            error = self._none(way, step)
            cost = way.leg.cost + self.costs.later[0, branches]
            onward.append(_Way(Leg(way.leg.error + growth * error, cost, (*way.leg.layers, 0)), way.past, way.errors))
        return onward

    def _none(self, way: _Way, step: int) -> float:
        """The error of refreshing nothing: the forecast's own, and what it passes on of those it goes on from."""
        if (step, way.past) not in self._skipped:
            self._skipped[step, way.past] = self.similarity.skipped(step, way.past, self.forecast)
        own, weights = self._skipped[step, way.past]
        passed = zip(weights, way.errors[-len(weights) :], strict=True)
        return float((own**2 + sum((weight * error) ** 2 for weight, error in passed)) ** 0.5)

    def _fused(self, leg: Leg) -> Leg:
        """With the error of the guidance difference that is kept from the gate on."""
        predicted = [step for step, count in enumerate(leg.layers) if count != 0]
        past = tuple(step for step in predicted if step < self.gate_step)
        error = sum(
            self.similarity.growth(step) * self.similarity.guidance_error(step, past, self.forecast)
            for step in predicted
            if step >= self.gate_step
        )
        return Leg(leg.error + error, leg.cost, leg.layers)


def _value(leg: Leg, price: float) -> float:
    return leg.error + price * leg.cost
