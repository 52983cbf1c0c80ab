"""A small search over HGC's own numbers: those of least predicted error whose plan costs no more than a budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf

from hgc import limits
from hgc.cache.anatomy import Anatomy
from hgc.cache.rehearsal import plan_macs
from hgc.cache.schedules.between import Leg
from hgc.cache.schedules.budget import OutOfReach
from hgc.cache.schedules.hgc import HGC
from hgc.cache.schedules.hgc_measured import ROUNDING, Off, density, hgc_measured, legs_of
from hgc.cache.schedules.plain import full
from hgc.cache.schedules.similarity import Similarity

GATES = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)  # shares of the steps; to never fuse is tried first
LINE, REPEATED, PARABOLA = 1, 0, 2
MOST_COUNTS = 20  # numbers of key steps that are tried
ROUNDS = 4
HALVINGS = 6


@lru_cache(maxsize=256)
def least_error_within(
    anatomy: Anatomy,
    similarity: Similarity,
    share: float,
    settings: HGC,
    *,
    guidance: bool = True,
    off: Off | None = None,
) -> HGC:
    """The settings with the densities, gate and order of least predicted error whose plan costs at most `share`.

    Raises OutOfReach below what the cheapest plan costs, which it names.
    """
    whole = plan_macs(full(anatomy, similarity.steps), anatomy, guidance=guidance, off=off).paper
    search = _Search(anatomy, similarity, settings, guidance, off)

    def cost(choice: HGC) -> float:
        plan = hgc_measured(anatomy, similarity, choice, guidance=guidance, off=off)
        return plan_macs(plan, anatomy, guidance=guidance, off=off).paper / whole

    cheapest = search.cheapest()
    least = cost(cheapest)
    within = [(least, cheapest)] if least <= share + ROUNDING else []

    def over(budget: float) -> float:
        """By how much the plan of the best leg within a budget is over the share; minus infinity without such a leg."""
        nonlocal least
        if (found := search.least(budget)) is None:
            return -inf
        spent = cost(found)
        least = min(least, spent)
        if spent <= share + ROUNDING:
            within.append((spent, found))
        return spent - share

    budget = share  # repeated attention makes a plan cheaper than its leg, a control that is off dearer
    for _ in range(ROUNDS):
        budget -= over(budget)
        if budget == inf:
            break
    if all(found == cheapest for _, found in within):
        low, high = 0.0, share
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if over(middle) > ROUNDING else (middle, high)
    if not within:
        raise OutOfReach(f"budget {share:.0%}: the cheapest plan costs {least:.1%} of full compute; choose more", least)
    return max(within, key=lambda one: one[0])[1]


@dataclass(frozen=True)
class _Search:
    anatomy: Anatomy
    similarity: Similarity
    settings: HGC
    guidance: bool
    off: Off | None

    def cheapest(self) -> HGC:
        """The settings of the leg that costs least."""
        steps = self.similarity.steps
        legs = ((leg, count) for count in self._counts() for leg in self._legs(count, steps, LINE))
        leg, count = min(legs, key=lambda one: one[0].cost)
        return self._with(count, leg, steps, LINE)

    def least(self, budget: float) -> HGC | None:
        """Numbers of key steps are tried first, then for the best of them the forecast's order and the gate.

        None where all cost more.
        """
        steps = self.similarity.steps
        error, found = min((self._best(count, steps, LINE, budget) for count in self._counts()), key=_error)
        if found is None:
            return None
        count = found.key_count(steps)
        gates = {round(share * steps) for share in GATES if self.guidance} - {0, steps}
        others = [self._best(count, gate, LINE, budget) for gate in sorted(gates)]
        others += [self._best(count, steps, order, budget) for order in (REPEATED, PARABOLA)]
        return min([(error, found), *((e, d) for e, d in others if d is not None)], key=_error)[1]

    def _counts(self) -> list[int]:
        steps = self.similarity.steps
        return sorted({max(1, round(steps * i / MOST_COUNTS)) for i in range(1, MOST_COUNTS)})

    def _best(self, count: int, gate_step: int, order: int, budget: float) -> tuple[float, HGC | None]:
        limits.check_time()
        steps = self.similarity.steps
        within = [leg for leg in self._legs(count, gate_step, order) if leg.cost <= (budget + ROUNDING) * steps]
        if not within:
            return inf, None
        leg = min(within, key=lambda one: one.error)
        return leg.error, self._with(count, leg, gate_step, order)

    def _with(self, count: int, leg: Leg, gate_step: int, order: int) -> HGC:
        steps = self.similarity.steps
        return replace(
            self.settings,
            lambda_inter=count / steps,
            lambda_intra=density(leg, self.anatomy),
            gate=gate_step / steps,
            order=order,
        )

    def _legs(self, count: int, gate_step: int, order: int) -> list[Leg]:
        return legs_of(self.anatomy, self.similarity, count, gate_step, order, guidance=self.guidance, off=self.off)


def _error(tried: tuple[float, HGC | None]) -> float:
    return tried[0]
