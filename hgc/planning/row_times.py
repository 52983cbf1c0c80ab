"""The time of every site on one device and shape, measured in a watched run, and the time of a plan by it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from hgc.cache.anatomy import Anatomy, State
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import rehearse
from hgc.cache.rules import PlanRefused
from hgc.cache.trace import Trace


@dataclass(frozen=True)
class RowTimes:
    """Milliseconds on a device, all medians over the steps of a watched run.

    `own[branches][site]` is a site's time without that of the sites inside it, where a step ran so many guidance
    branches. `around[branches]` is what is left of such a step; with 0 no network ran. `outside` is what is left of the
    picture: decoding, and the solver.
    """

    own: Mapping[int, Mapping[str, float]]
    around: Mapping[int, float]
    outside: float

    @classmethod
    def of(cls, trace: Trace, latency_ms: float) -> RowTimes:
        """From a run whose sites were timed, and the time of its whole call."""
        inside = defaultdict[str | None, list[str]](list)
        for site in trace.sites:
            inside[site.parent].append(site.name)
        own = defaultdict[int, dict[str, list[float]]](lambda: defaultdict(list))
        around = defaultdict[int, list[float]](list)
        for step, branches in enumerate(trace.branches):
            spent = {name: row[step].latency_ms for name, row in trace.cells.items()}
            for name, row in trace.cells.items():
                if row[step].state is State.COMPUTED:
                    within = sum(spent[one] for one in inside[name])
                    own[branches][name].append(max(0.0, spent[name] - within))
            around[branches].append(max(0.0, trace.step_ms[step] - sum(spent[name] for name in inside[None])))
        return cls(
            {branches: {name: median(times) for name, times in sites.items()} for branches, sites in own.items()},
            {branches: median(times) for branches, times in around.items()},
            max(0.0, latency_ms - sum(trace.step_ms)),
        )

    def picture_ms(
        self,
        plan: Plan,
        anatomy: Anatomy,
        *,
        guidance: bool = True,
        off: Sequence[Collection[str]] | None = None,
    ) -> float:
        """The time of a picture by this plan, decoding included; of one that decides while it runs the longest.

        What it takes to go on from kept values is not in it. Raises PlanRefused where a site was never timed.
        """
        played = rehearse(plan.dearest, anatomy, guidance=guidance, off=off)
        steps = zip(played.steps, played.branches, strict=True)
        return self.outside + sum(self._step_ms(states, branches) for states, branches in steps)

    def _step_ms(self, states: Mapping[str, State], branches: int) -> float:
        computed = [name for name, state in states.items() if state is State.COMPUTED] if branches else []
        own = self.own.get(branches, {})
        untimed = [name for name in computed if name not in own]
        if untimed or branches not in self.around:
            raise PlanRefused(
                f"a step of {branches} guidance branches was never timed here"
                f"{f', nor {untimed[0]} in one' if untimed else ''}: choose a budget instead"
            )
        return self.around[branches] + sum(own[name] for name in computed)
