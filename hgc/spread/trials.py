"""Trials of plans wherever there are workers; each worker makes the scenes' full run once for itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from hgc.cache.plan import Plan
from hgc.calibration.measure import weights_of
from hgc.calibration.subject import Subject
from hgc.optimise.measure import Scenes
from hgc.optimise.trials import Fidelity, InTurn
from hgc.request import RequestRefused
from hgc.results.comparison import Cancelled
from hgc.spread.together import T, in_order
from hgc.spread.together import together as done_together
from hgc.spread.work import Place, WorkLost
from hgc.studio.scenes import cut_out, is_drawn, painted, together, varied
from hgc.studio.worker import WORKER

if TYPE_CHECKING:
    from hgc.optimise.predict import Numbers
    from hgc.spread.desk import Desk
    from hgc.studio.studio import Studio


@dataclass(frozen=True)
class Cutouts:
    """`count` scenes, of seeds from `first` on, of whose middle `side` x `side` pixels are run as one batch.

    With `drawn` every second one is a drawing where hands draw the control's maps, else all are painted.
    """

    subject: Subject
    first: int
    count: int
    side: int
    drawn: bool = True

    def check(self, studio: Studio) -> None:
        """Raises RequestRefused for more pixels than the model draws."""
        if self.side > studio.size[0]:
            raise RequestRefused(
                f"--side {self.side}: {self.subject.model} draws {studio.size[0]} pixels; choose that or fewer"
            )

    def weights(self, studio: Studio) -> str:
        """The digest of the networks that are run."""
        return weights_of(self._pipe(studio))

    def in_turn(self, studio: Studio) -> InTurn:
        """The scenes on a loaded model."""
        fields = asdict(self.subject)
        scene_of = varied if self.drawn else painted
        calls = [studio.call(scene_of(studio, seed, fields)) for seed in self._seeds]
        scenes = Scenes(self._pipe(studio), cut_out(together(calls), self.side))
        return InTurn(scenes, studio.anatomy(), self.subject)

    @property
    def drawings(self) -> int:
        """How many of the scenes are drawings."""
        return sum(self.drawn and is_drawn(seed, self.subject.control) for seed in self._seeds)

    @property
    def _seeds(self) -> range:
        return range(self.first, self.first + self.count)

    def _pipe(self, studio: Studio) -> Any:
        return studio.loaded.pipeline(self.subject.control, self.subject.sampler)


@dataclass(frozen=True)
class MeasureRun:
    """A part of an error table, by its name: of painted scenes alone.

    From one of scenes and drawings HGC's settings came out 4.3 dB worse on scenes at 36.8% of the compute under edges
    (2.8 dB better at 50%; eight scenes).
    """

    cutouts: Cutouts
    name: str

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[Mapping[str, Numbers]]:
        """The part."""
        yield WORKER.run(lambda: _in_turn(desk, replace(self.cutouts, drawn=False), stop).measure(self.name))


@dataclass(frozen=True)
class TryPlan:
    """A plan, under a name."""

    cutouts: Cutouts
    name: str
    plan: Plan

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[Fidelity]:
        """How near it comes to the full run."""
        yield WORKER.run(lambda: _in_turn(desk, self.cutouts, stop).fidelity(self.plan))


def _in_turn(desk: Desk, cutouts: Cutouts, stop: threading.Event) -> InTurn:
    """The desk's own, which raises Cancelled at the next step once `stop` is set."""

    def after_step(step: int) -> None:
        if stop.is_set():
            raise Cancelled(f"stopped in step {step + 1} of a trial; the trials before are kept")

    cutouts = cutouts if cutouts.drawings else replace(cutouts, drawn=False)
    trials = desk.shared(cutouts, lambda: cutouts.in_turn(desk.studio))
    trials.scenes.after_step = after_step
    return trials


class TrialsAt:
    """Trials at a place. Raises WorkLost for one that no worker could make: none can be left out.

    Raises Cancelled once `stop` is set.
    """

    def __init__(self, place: Place, cutouts: Cutouts, stop: threading.Event | None = None) -> None:
        self.place, self._cutouts, self._stop = place, cutouts, stop or threading.Event()

    @property
    def count(self) -> int:
        return self._cutouts.count

    @property
    def at_once(self) -> int:
        return self.place.size

    def measured(self, runs: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Numbers]]]:
        """Parts of an error table, each as soon as it is there."""
        for task, news in self._done([MeasureRun(self._cutouts, name) for name in runs]):
            if isinstance(news, Mapping):
                yield task.name, news

    def tried(self, plans: Mapping[str, Plan]) -> Iterator[tuple[str, Fidelity]]:
        """How near each plan comes, as soon as it was run."""
        for task, news in self._done([TryPlan(self._cutouts, name, plan) for name, plan in plans.items()]):
            if isinstance(news, Fidelity):
                yield task.name, news

    def _done(self, tasks: Sequence[T]) -> Iterator[tuple[T, Any]]:
        for task, news in done_together(self.place, in_order(tasks), self._stop):
            if isinstance(news, WorkLost):
                raise news
            yield task, news
        if self._stop.is_set():
            raise Cancelled("stopped in a search for plans; the runs before are kept")
