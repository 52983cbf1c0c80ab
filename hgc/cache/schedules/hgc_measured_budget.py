"""HGC's numbers within a budget by measured similarity: a search for those of least predicted error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import inf

from hgc.cache import deadline
from hgc.cache.anatomy import Anatomy
from hgc.cache.rehearsal import plan_macs
from hgc.cache.schedules.between import Leg
from hgc.cache.schedules.budget import ROUNDING, OutOfReach
from hgc.cache.schedules.hgc import HGC
from hgc.cache.schedules.hgc_measured import Off, density, hgc_measured, legs_of
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
    trials = _Trials(_Search(anatomy, similarity, settings, guidance, off), share)
    budget = share  # repeated attention makes a plan cheaper than its leg, a control that is off dearer
    for _ in range(ROUNDS):
        budget -= trials.over(budget)
        if budget == inf:
            break
    if not trials.beyond_cheapest:
        low, high = 0.0, share
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if trials.over(middle) > ROUNDING else (middle, high)
    return trials.best()


class _Trials:
    """Settings that were planned and priced, beginning with the cheapest; those within the share are kept."""

    def __init__(self, search: _Search, share: float) -> None:
        self._search, self._share = search, share
        self._within: list[tuple[float, HGC]] = []
        self._cheapest = search.cheapest()
        self._least = inf
        self._price(self._cheapest)

    def over(self, budget: float) -> float:
        """By how much the plan of the best leg within a budget is over the share; minus infinity without such a leg."""
        choice = self._search.least(budget)
        return -inf if choice is None else self._price(choice) - self._share

    def _price(self, choice: HGC) -> float:
        share = self._search.share(choice)
        self._least = min(self._least, share)
        if share <= self._share + ROUNDING:
            self._within.append((share, choice))
        return share

    @property
    def beyond_cheapest(self) -> bool:
        """Whether any of them but the cheapest is within the share."""
        return any(choice != self._cheapest for _, choice in self._within)

    def best(self) -> HGC:
        """Those of most compute. Raises OutOfReach where none is within the share."""
        if not self._within:
            raise OutOfReach(
                f"budget {self._share:.0%}: the cheapest plan costs {self._least:.1%} of full compute; choose more",
                self._least,
            )
        return max(self._within, key=lambda priced: priced[0])[1]


@dataclass(frozen=True)
class _Search:
    anatomy: Anatomy
    similarity: Similarity
    settings: HGC
    guidance: bool
    off: Off | None

    @cached_property
    def _whole(self) -> int:
        return plan_macs(
            full(self.anatomy, self.similarity.steps), self.anatomy, guidance=self.guidance, off=self.off
        ).paper

    def share(self, choice: HGC) -> float:
        """What the plan of some settings costs, of full compute."""
        plan = hgc_measured(self.anatomy, self.similarity, choice, guidance=self.guidance, off=self.off)
        return plan_macs(plan, self.anatomy, guidance=self.guidance, off=self.off).paper / self._whole

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
        error, choice = min((self._best(count, steps, LINE, budget) for count in self._counts()), key=_error)
        if choice is None:
            return None
        count = choice.key_count(steps)
        gates = {round(share * steps) for share in GATES if self.guidance} - {0, steps}
        others = [self._best(count, gate, LINE, budget) for gate in sorted(gates)]
        others += [self._best(count, steps, order, budget) for order in (REPEATED, PARABOLA)]
        return min([(error, choice), *((e, d) for e, d in others if d is not None)], key=_error)[1]

    def _counts(self) -> list[int]:
        steps = self.similarity.steps
        return sorted({max(1, round(steps * i / MOST_COUNTS)) for i in range(1, MOST_COUNTS)})

    def _best(self, count: int, gate_step: int, order: int, budget: float) -> tuple[float, HGC | None]:
        deadline.check_time()
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
