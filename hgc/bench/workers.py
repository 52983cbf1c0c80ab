"""Speed of many workers: empty tasks a second through one head, and pictures by all of them against pictures by one.

python -m hgc bench workers --count 2
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from statistics import median
from time import perf_counter
from typing import Any

from hgc.bench.setup import BenchRefused
from hgc.results.comparison import Comparison
from hgc.spread.compare import Compare
from hgc.spread.desk import Desk
from hgc.spread.facts import Facts, told
from hgc.spread.together import in_order, together
from hgc.spread.work import Place, WorkLost, WorkTask
from hgc.studio.scenes import painted
from hgc.studio.studio import Studio
from hgc.training.dataset import EVALUATION_SEEDS


@dataclass(frozen=True)
class Nothing:
    """An empty task."""

    number: int

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[int]:
        yield self.number


@dataclass(frozen=True)
class One:
    """A place of which one worker is used at a time."""

    place: Place
    size: int = 1

    @property
    def facts(self) -> Sequence[Facts]:
        return self.place.facts

    def run(self, task: WorkTask, stop: threading.Event, before: str = "") -> Iterator[Any]:
        return self.place.run(task, stop, before)


@dataclass(frozen=True)
class Figures:
    """`tasks_per_s` are empty ones. `alone_s` and `all_s` are the times of each round's pictures by one worker and by
    all, taken in turn; every picture was the same in every round.
    """

    team: str
    threads: int
    workers: int
    tasks: int
    tasks_per_s: float
    pictures: int
    steps: int
    alone_s: tuple[float, ...]
    all_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times as fast all are as one: the median over the rounds."""
        return median(one / both for one, both in zip(self.alone_s, self.all_s, strict=True))

    def text(self) -> str:
        one_s = median(self.alone_s) / self.pictures
        return "\n".join(
            [
                f"{self.team}, {self.threads} thread{'s' if self.threads > 1 else ''} each",
                f"empty tasks: {self.tasks_per_s:,.0f} a second ({self.tasks:,} through one head)",
                f"pictures, full and cached, {self.steps} steps: one worker {one_s:.2f} s each, {self.workers} workers "
                f"{self.ratio:.2f} times as fast (median of {len(self.all_s)} rounds of {self.pictures})",
            ]
        )


def measure(studio: Studio, place: Place, tasks: int, pictures: int, steps: int, rounds: int) -> Figures:
    """Raises BenchRefused where there is one worker only, or where a picture was another one the second time."""
    if place.size < 2:
        raise BenchRefused("one worker cannot be compared with itself: give --count 2 or more")
    fields = {"model": studio.model, "control": "segmentation", "steps": steps, "method": "step_skip", "budget": 0.7}
    requests = [painted(studio, EVALUATION_SEEDS + number, fields) for number in range(pictures)]
    asked = [Compare(request.model_dump_json(), studio.forecast(request)) for request in requests]
    known: dict[str, str] = {}
    _drawn(place, asked[: place.size], known)  # warms up
    alone, both = [], []
    for _ in range(rounds):
        alone.append(_drawn(One(place), asked, known))
        both.append(_drawn(place, asked, known))
    rate = tasks / _timed(place, [Nothing(number) for number in range(tasks)])
    facts = place.facts
    return Figures(told(facts), facts[0].threads, place.size, tasks, rate, pictures, steps, tuple(alone), tuple(both))


def _timed(place: Place, tasks: Sequence[WorkTask]) -> float:
    begun = perf_counter()
    for _, news in together(place, in_order(tasks), threading.Event()):
        if isinstance(news, WorkLost):
            raise news
    return perf_counter() - begun


def _drawn(place: Place, asked: Sequence[Compare], known: dict[str, str]) -> float:
    """How long the pictures took."""
    begun, made = perf_counter(), list[Comparison]()
    for _, news in together(place, in_order(asked), threading.Event()):
        if isinstance(news, WorkLost):
            raise news
        if isinstance(news, Comparison):
            made.append(news)
    spent = perf_counter() - begun
    for one in made:
        content = sha256(one.full.image.tobytes() + one.cached.image.tobytes()).hexdigest()
        if known.setdefault(one.request.picture_digest, content) != content:
            raise BenchRefused(f"the picture of seed {one.request.seed} was another one the second time")
    return spent
