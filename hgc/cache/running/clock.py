"""The engine's clock: opens each step, lets gate and verification amend what the plan asks of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import torch

from hgc.cache.anatomy import KEPT, UNGUIDED, Anatomy, Kind, State
from hgc.cache.anatomy.states import states
from hgc.cache.plan import Action, Plan
from hgc.cache.rehearsal import decided
from hgc.cache.rules import PlanRefused
from hgc.cache.running.gate import ChangeGate, FeatureGate
from hgc.cache.running.meter import Meter
from hgc.cache.running.verification import Verdict, Verifier

PLANNED = "planned"


@dataclass
class Step:
    """The step under way: what is asked of every site, what follows from it, and how many branches run."""

    number: int
    guidance: bool
    actions: dict[str, Action]
    reason: str = PLANNED
    reasons: dict[str, str] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    states: Mapping[str, State] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()  # blocks and networks none of whose sites is computed
    undecided: bool = False  # a gate waits for a feature of this step

    @property
    def branches(self) -> int:
        """Two when the unguided branch runs beside the guided one."""
        return 2 if self.guidance and UNGUIDED not in self.actions else 1


@dataclass(frozen=True)
class Watch:
    """A run-time gate, the site whose change it follows, the rows it decides, and those computed when it fires."""

    gate: ChangeGate | FeatureGate
    followed: str
    rows: tuple[str, ...]
    refreshed: tuple[str, ...]


class Clock:
    """Counts steps by the denoiser's own calls, never by looking up timesteps, which may repeat."""

    def __init__(self, plan: Plan, anatomy: Anatomy) -> None:
        self._plan, self._anatomy = plan, anatomy
        self._next = 0
        # Most steps of a plan ask the same as another.
        self._settled: dict[Hashable, tuple[Mapping[str, State], frozenset[str]]] = {}
        self._meter = Meter()
        self._watches = _watches(plan, anatomy, self._meter)
        self._verifier = Verifier.of(plan, anatomy, self._meter)

    @property
    def reads(self) -> int:
        """How often the run waited for the device to decide by numbers."""
        return self._meter.reads

    @property
    def done(self) -> int:
        """How many steps were begun."""
        return self._next

    def begin(self, guidance: bool, guided: torch.Tensor) -> Step:
        """Opens the next step; `guided` are the latents [images, C, h, w] it starts from.

        Raises PlanRefused when the plan has no more steps.
        """
        if self._next >= self._plan.steps:
            raise PlanRefused(
                f"plan '{self._plan.name}' has {self._plan.steps} steps and the pipeline asks for one more; "
                "enter `cached` again for every call, with a plan for its number of steps"
            )
        step = Step(self._next, guidance, dict(self._plan.columns[self._next]))
        self._next += 1
        for watch in self._watches:
            watch.gate.see_input(guided)
        step.undecided = any(self._curious(watch, step) for watch in self._watches)
        if not step.undecided:
            self._decide(step)
        return step

    def looks(self, step: Step, network: str) -> str | None:
        """The feature of this network by which the step is yet to be decided; None where there is none."""
        for watch in self._watches if step.undecided else ():
            if self._curious(watch, step) and self._anatomy.network_of(watch.followed) == network:
                return watch.followed
        return None

    def look(self, step: Step, feature: torch.Tensor) -> None:
        """Decides a step by its feature."""
        for watch in self._watches:
            if isinstance(watch.gate, FeatureGate):
                watch.gate.look(feature)
        step.undecided = False
        self._decide(step)

    @staticmethod
    def _curious(watch: Watch, step: Step) -> bool:
        keeps = any(name in step.actions for name in watch.rows)
        return keeps and isinstance(watch.gate, FeatureGate) and watch.gate.curious

    def _decide(self, step: Step) -> None:
        for watch in self._watches:
            self._ask(watch, step)
        if self._verifier is not None:
            self._verify(self._verifier, step)

    def _ask(self, watch: Watch, step: Step) -> None:
        """Turns an in-between step into a full one when the gate fires."""
        rows = [name for name in watch.rows if name in step.actions]
        if not rows or (rows == [UNGUIDED] and not step.guidance):
            return
        fires, reason = watch.gate.decide()
        for name in rows:
            step.reasons[name] = reason
        for name in watch.refreshed if fires else ():
            if step.actions.pop(name, None):
                step.reasons[name] = reason

    def _verify(self, verifier: Verifier, step: Step) -> None:
        """Computes what would go on from a forecast that was found wrong."""
        self.settle(step)
        for verdict in verifier.judge([name for name in step.actions if step.states[name] in KEPT]):
            if verdict.site not in step.actions:
                continue
            if verdict.broken:
                self._refresh(verifier, step, verdict)
            else:
                step.reasons.setdefault(verdict.site, verdict.reason)

    def _refresh(self, verifier: Verifier, step: Step, verdict: Verdict) -> None:
        before = step.states
        for name in verifier.refreshed[verdict.site]:
            step.actions.pop(name, None)
            verifier.forget(name)
        self.settle(step)
        more = [name for name, state in step.states.items() if state is State.COMPUTED and before[name] is not state]
        step.reasons |= dict.fromkeys(more, verdict.reason)

    def settle(self, step: Step) -> None:
        """Works out what follows for every site from the actions asked."""
        asked = (frozenset(step.actions.items()), frozenset(step.off), step.guidance)
        if asked not in self._settled:
            absent = {} if step.guidance else {UNGUIDED: State.ABSENT}
            result = states(self._anatomy, step.actions, off=step.off) | absent
            self._settled[asked] = result, self._anatomy.idle(result)
        step.states, step.idle = self._settled[asked]

    def see_feature(self, name: str, guided: torch.Tensor) -> None:
        """Tells the gates the value of a site, computed in this step."""
        for watch in self._watches:
            if watch.followed == name:
                watch.gate.see_feature(guided)

    def see_error(self, step: Step, name: str, error: torch.Tensor) -> None:
        """Tells the verification how far off a site's forecast would have been in this step."""
        if self._verifier is not None:
            self._verifier.see(name, step.number, error)


def _watches(plan: Plan, anatomy: Anatomy, meter: Meter) -> tuple[Watch, ...]:
    """The gate over the coarse rows and, per branch, one over the unguided branch's row."""
    if plan.gate is None:
        return ()
    watches = []
    coarse = decided(plan, anatomy)
    if coarse and plan.gate.by == "feature":
        watches.append(Watch(FeatureGate(plan.gate, meter), anatomy.glimpsed, coarse, coarse))
    elif coarse:
        followed = [name for name in coarse if anatomy[name].kind is not Kind.RESIDUAL]
        watches.append(Watch(ChangeGate(plan.gate, meter), (followed or coarse)[0], coarse, coarse))
    if plan.gate.per_branch and UNGUIDED in plan.table:  # both branches lie inside the kept prediction
        watches.append(Watch(ChangeGate(plan.gate, meter), UNGUIDED, (UNGUIDED,), (UNGUIDED, *coarse)))
    return tuple(watches)
