"""The cost of a search for plans, told before it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hgc.charts.quantity import duration, giga
from hgc.optimise.measure import runs_of
from hgc.planning.task import Task
from hgc.request import Recipe

if TYPE_CHECKING:
    from hgc.spread.plan_search import Search
    from hgc.studio.studio import Studio

UNTIMED = "how long that takes is known after a first run in the Playground"


@dataclass(frozen=True)
class Cost:
    """The most that a search takes: `table` runs of the error table, `courses` runs of courses, all their MACs.

    `pictures` is how many full pictures cost as much, `time_ms` how long that takes here; None before anything was run.
    """

    table: int
    courses: int
    macs: int
    pictures: float
    time_ms: float | None

    @property
    def runs(self) -> int:
        return self.table + self.courses


def cost_of(search: Search, studio: Studio) -> Cost:
    """The most that a search takes on a model, from nothing. Raises RequestRefused, ModelUnavailable."""
    search.check()
    search.cutouts.check(studio)
    subject = search.subject
    recipe = Recipe.parse(asdict(subject))
    whole = Task(recipe, studio.blueprint).whole
    scenes = search.scenes * search.side**2 / (studio.size[0] * studio.size[1])
    table = len(runs_of(studio.anatomy(recipe), subject.steps))
    anew = bool(search.cutouts.drawings)  # the full run of scenes that the table is not of
    shares = table + anew + sum(budget * (search.tries + 1) for budget in search.budgets)
    pictures, picture_ms = shares * scenes, studio.latency_of(whole, subject.sampler)
    time_ms = None if picture_ms is None else pictures * picture_ms
    return Cost(table, len(search.budgets) * (search.tries + 1), round(pictures * whole.paper), pictures, time_ms)


def cost_words(search: Search, cost: Cost, untimed: str = UNTIMED) -> str:
    """The most that a search takes, in two sentences."""
    time = untimed if cost.time_ms is None else f"about {duration(cost.time_ms / 1000)} here"
    return (
        f"at most {cost.runs} runs, {cost.table} of them to measure errors once, each of {search.scenes} scenes at "
        f"{search.side} × {search.side} pixels. All together {giga(cost.macs)} MACs, as much as {cost.pictures:.0f} "
        f"full pictures: {time}."
    )
