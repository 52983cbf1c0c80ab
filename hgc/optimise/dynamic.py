"""The course of least predicted error under a budget, exact, by dynamic programming with a price on compute.

What a step's error depends on is when its features were computed last: the state is the last two steps that computed
everything (kept features go on from these) and the last two that computed a prediction (a left-out step goes on from
these). For a price of compute the best course of every state follows step by step; the price is then halved in until
the cost fits the budget. Within this model nothing is better at the price found (a test compares with trying all).
"""

from __future__ import annotations

from dataclasses import dataclass

from hgc.cache.schedules import OutOfReach
from hgc.optimise.course import FULL, SKIP, Course
from hgc.optimise.predict import Predictor

RIDGE = 1e-4
HALVINGS = 14
DEAREST = 1e4
WIDEST = 7  # how old a kept feature may get, and how far apart the two it goes on from may lie
WIDEST_SKIP = 3  # the same of a whole prediction

Past = tuple[int, ...]
State = tuple[Past, Past]  # steps in full, steps with a prediction; the last two of each


@dataclass(frozen=True)
class BestWay:
    """The best way to a state: what it adds up to, error and cost apart, and the letters."""

    error: float
    cost: float
    depths: str


class Dynamic:
    """`power` 1 takes the steps' errors to point the same way, 2 to be independent of each other."""

    def __init__(self, predictor: Predictor, steps: int, letters: tuple[str, ...], power: int = 1) -> None:
        self._predictor, self._steps, self._letters, self._power = predictor, steps, letters, power
        self._known: dict[tuple[str, int, Past], float] = {}
        self._costs = {letter: predictor.step_cost(letter) for letter in letters}

    def at_price(self, price: float) -> BestWay:
        """The course of least error + price x cost."""
        first = self._predictor.cost(Course.full(1))
        legs: dict[State, BestWay] = {((0,), (0,)): BestWay(0.0, first, FULL)}
        for step in range(1, self._steps):
            onward: dict[State, BestWay] = {}
            for state, leg in legs.items():
                for letter in self._letters:
                    after, error = self.advance(state, step, letter)
                    if error is None:
                        continue
                    cost = leg.cost + self._costs[letter]
                    new = BestWay(leg.error + error, cost, leg.depths + letter)
                    known = onward.get(after)
                    if known is None or new.error + price * new.cost < known.error + price * known.cost:
                        onward[after] = new
            legs = onward
        return min(legs.values(), key=lambda leg: leg.error + price * leg.cost)

    @property
    def cheapest(self) -> Course:
        """The course of least cost whose kept values are no older than they may get."""
        return Course(self.at_price(DEAREST).depths, "2" * self._steps)

    def within(self, budget: float) -> Course:
        """Raises PlanRefused when even the cheapest course costs more than `budget`, a share of full compute."""
        cheapest = self.at_price(DEAREST)
        if cheapest.cost > budget:
            raise OutOfReach(
                f"budget {budget:.1%}: the cheapest plan of {self._steps} steps costs {cheapest.cost:.1%} of full "
                "compute; choose that or more, or fewer steps",
                cheapest.cost,
            )
        low, high, best = 0.0, DEAREST, cheapest
        for _ in range(HALVINGS):
            price = (low * high) ** 0.5 if low else high * 1e-4
            leg = self.at_price(price)
            if leg.cost <= budget:
                high, best = price, leg if leg.error <= best.error else best
            else:
                low = price
        return Course(best.depths, "2" * self._steps)

    def advance(self, state: State, step: int, letter: str) -> tuple[State, float | None]:
        """The state after a step and the error it adds; None where the state is left behind as too old."""
        everything, predicted = state
        if letter == FULL:
            return (_newer(everything, step, WIDEST), _newer(predicted, step, WIDEST_SKIP)), 0.0
        past, widest = (predicted, WIDEST_SKIP) if letter == SKIP else (everything, WIDEST)
        if step - past[-1] > widest:
            return state, None
        key = (letter, step, past)
        if key not in self._known:
            self._known[key] = self._predictor.letter_error(letter, step, past, RIDGE) ** self._power
        return (everything, predicted if letter == SKIP else _newer(predicted, step, WIDEST_SKIP)), self._known[key]


def _newer(past: Past, step: int, widest: int) -> Past:
    """With a step more; one that lies too far back is forgotten, as a repeated value goes on better there."""
    return (*(earlier for earlier in past[-1:] if step - earlier <= widest), step)
