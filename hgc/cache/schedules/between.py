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
from hgc.cache.rules import ForecastRule
from hgc.cache.schedules.decoder_layers import cut_site, kept_residuals
from hgc.cache.schedules.plain import full
from hgc.cache.schedules.rows import Rows, constants
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
    forecast: ForecastRule
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
            branches = 1 if step >= self.gate_step else 2
            count = self._cheapest(choices[step], step, branches, price)
            best: dict[Past, _Way] = {}
            for way in ways:
                onward = [self._computed(way, step, count, choices[step][count], branches)]
                if count is not EVERYTHING and step - way.past[-1] <= WIDEST:
                    onward.append(self._skipping(way, step, branches))
                for new in onward:
                    known = best.get(new.past)
                    if known is None or _value(new.leg, price) < _value(known.leg, price):
                        best[new.past] = new
            ways = list(best.values())
        return self._fused(min((way.leg for way in ways), key=lambda leg: _value(leg, price)), choices)

    def _cheapest(self, choices: Mapping[int | None, float], step: int, branches: int, price: float) -> int | None:
        growth = self.similarity.growth(step)
        return min(choices, key=lambda count: growth * choices[count] + price * self.costs.later[count, branches])

    def _computed(self, way: _Way, step: int, count: int | None, error: float, branches: int) -> _Way:
        depth = max(self.forecast.depth, 1)
        leg = self._longer(way.leg, step, count, error, branches)
        return _Way(leg, (*way.past, step)[-depth:], (*way.errors, error)[-depth:])

    def _skipping(self, way: _Way, step: int, branches: int) -> _Way:
        return _Way(self._longer(way.leg, step, 0, self._none(way, step), branches), way.past, way.errors)

    def _longer(self, leg: Leg, step: int, count: int | None, error: float, branches: int) -> Leg:
        cost = leg.cost + self.costs.later[count, branches]
        return Leg(leg.error + self.similarity.growth(step) * error, cost, (*leg.layers, count))

    def _none(self, way: _Way, step: int) -> float:
        """The error of refreshing nothing: the forecast's own, and what it passes on of those it goes on from."""
        if (step, way.past) not in self._skipped:
            self._skipped[step, way.past] = self.similarity.skipped(step, way.past, self.forecast)
        return _passed_on(*self._skipped[step, way.past], way.errors)

    def _fused(self, leg: Leg, choices: Sequence[Mapping[int | None, float]]) -> Leg:
        """With the error of the guidance difference, kept from the gate on, by which the errors before it pass."""
        predicted = [step for step, count in enumerate(leg.layers) if count != 0]
        past = tuple(step for step in predicted if step < self.gate_step)
        errors = [choices[step][leg.layers[step]] for step in past]
        more = 0.0
        for step in predicted:
            if step >= self.gate_step:
                error = _passed_on(*self.similarity.unguided(step, past, self.forecast), errors)
                more += self.similarity.growth(step) * error
        return Leg(leg.error + more, leg.cost, leg.layers)


def _passed_on(own: float, weights: Sequence[float], errors: Sequence[float]) -> float:
    """A forecast's own error together with those of the values it goes on from, taken to be independent."""
    passed = zip(weights, errors[-len(weights) :], strict=True)
    return float((own**2 + sum((weight * error) ** 2 for weight, error in passed)) ** 0.5)


def _value(leg: Leg, price: float) -> float:
    return leg.error + price * leg.cost
