"""A plan played through without a model: what every step will do, cost and need. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hgc.cache import deadline
from hgc.cache.anatomy import FINE, KEPT, PREDICTION, UNGUIDED, Anatomy, Kind, Macs, State
from hgc.cache.anatomy.states import states, upstream
from hgc.cache.plan import Action, Plan
from hgc.cache.rules import REPEAT, RESIDUAL, ForecastRule, PlanRefused


class Unfounded(PlanRefused):
    """A plan that keeps a value where too few have been computed before; `step` counts from 0."""

    def __init__(
        self, plan: str, site: str, step: int, state: State, branch: str, needed: int, found: int, remedy: str = ""
    ) -> None:
        self.site, self.step, self.state, self.needed, self.found = site, step, state, needed, found
        super().__init__(
            f"plan '{plan}', site '{site}', step {step}: {state.name.lower()} needs {needed} computed value(s) of the "
            f"{branch} branch, there are {found}; {remedy or 'compute it in an earlier step'}"
        )


class Unweighed(PlanRefused):
    """A plan whose fitted forecast has no weights for what has been computed in the steps `past` before."""

    def __init__(self, plan: str, site: str, step: int, past: Sequence[int], why: PlanRefused) -> None:
        self.site, self.step, self.past = site, step, tuple(past)
        super().__init__(f"plan '{plan}', site '{site}', {why}")


@dataclass(frozen=True)
class Rehearsal:
    """`steps[i][site]` is the state of a site in step i; `branches[i]` how many guidance branches step i runs."""

    steps: tuple[Mapping[str, State], ...]
    branches: tuple[int, ...]
    macs_per_step: tuple[Macs, ...]

    @property
    def macs(self) -> Macs:
        return sum(self.macs_per_step, Macs())


@dataclass
class _Memory:
    """The steps in which each site has been computed so far, by branch; enough to know what can be kept."""

    computed: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)  # the first step of every ControlNet that sets in late

    def note(self, site: str, step: int, branches: Sequence[str]) -> None:
        for branch in branches:
            self.computed.setdefault((site, branch), []).append(step)

    def holds(self, site: str, branches: Sequence[str]) -> bool:
        return all((site, branch) in self.computed for branch in branches)

    def require(self, plan: Plan, site: str, step: int, state: State, branches: Sequence[str]) -> None:
        forecast = plan.forecast_of(site) if state is State.FORECAST else REPEAT
        needed = forecast.least
        for branch in branches:
            past = self.computed.get((site, branch), [])
            if (values := len(past)) < needed:
                raise Unfounded(plan.name, site, step, state, branch, needed, values, self._late(site))
            if forecast.weighings is not None:
                _weighed(plan, forecast, site, step, past)

    def _late(self, site: str) -> str:
        """The remedy where a control sets in too late for the plan; nothing for other sites."""
        start = next((step for net, step in self.starts.items() if site.startswith(net + ".")), None)
        if start is None:
            return ""
        return (
            f"its control sets in at step {start}: make the plan with first_control_step={start}, or compute the site "
            "in that step and the next"
        )


def _weighed(plan: Plan, forecast: ForecastRule, site: str, step: int, past: Sequence[int]) -> None:
    try:
        forecast.weighing(step, past)
    except PlanRefused as error:
        raise Unweighed(plan.name, site, step, past, error) from error


def check(plan: Plan, anatomy: Anatomy, steps: int) -> None:
    """Raises PlanRefused when the plan was made for another model or another number of steps."""
    if plan.model != anatomy.model:
        raise PlanRefused(
            f"plan '{plan.name}' was made for {plan.model}, this is {anatomy.model}; make the plan again for this model"
        )
    if unknown := [site for site in plan.table if site not in anatomy]:
        raise PlanRefused(
            f"plan '{plan.name}' does not fit: {len(unknown)} of its sites, '{unknown[0]}' first, do not exist in this "
            f"{anatomy.model}; make the plan again for this model"
        )
    besides = [s for s, row in plan.table.items() if s != PREDICTION and "F" in row and plan.forecast_of(s) == RESIDUAL]
    if besides:
        raise PlanRefused(
            f"plan '{plan.name}', site '{besides[0]}': forecast 'residual' goes on beside the UNet's input, which only "
            f"the whole prediction '{PREDICTION}' does; choose another basis"
        )
    if plan.steps != steps:
        raise PlanRefused(
            f"plan '{plan.name}' has {plan.steps} steps, this run has {steps}; make the plan for {steps} steps"
        )


def step_macs(anatomy: Anatomy, result: Mapping[str, State], branches: int, *, guess: bool = False) -> Macs:
    """MACs of one step for one image, given the state of every site; in guess mode ControlNets run one branch."""
    paper = full = 0
    for name, state in result.items():
        if state is State.COMPUTED:
            own, times = anatomy.own_macs[name], 1 if guess and name in anatomy.control_sites else branches
            paper += own.paper * times
            full += own.full * times
    return Macs(paper, full)


def rehearse(
    plan: Plan,
    anatomy: Anatomy,
    *,
    guidance: bool = True,
    guess: bool = False,
    off: Sequence[Collection[str]] | None = None,
) -> Rehearsal:
    """Plays the plan through; gate and verification are taken never to fire: it costs at least that much.

    A constant site is computed in the first step that needs it, whatever its row says. A gate by feature computes its
    feature in every step that it decides.

    In `guess` mode the ControlNets see the guided branch only. `off[i]` names the ControlNets whose scale is zero in
    step i, outside their window. Raises PlanRefused where the plan keeps a value that was never computed.
    """
    deadline.check_time()
    check(plan, anatomy, plan.steps)
    memory, rows, counts, looks = _Memory(starts=_late_starts(off or ())), [], [], list[Macs]()
    feature = plan.gate is not None and plan.gate.by == "feature"
    undecided = frozenset(decided(plan, anatomy)) if feature else frozenset()
    for step, column in enumerate(plan.columns):
        both = guidance and UNGUIDED not in column
        seen = _Branches(anatomy, ("guided", "unguided") if both else ("guided",), guess)
        actions = {n: a for n, a in column.items() if not anatomy[n].constant or memory.holds(n, seen.of(n))}
        result = states(anatomy, actions, off=off[step] if off else ())
        if not guidance:
            result[UNGUIDED] = State.ABSENT
        looks.append(Macs() if undecided.isdisjoint(column) else _glimpse_macs(anatomy, memory))
        _advance(plan, memory, result, step, seen)
        rows.append(result)
        counts.append(len(seen.all) if result[PREDICTION] is State.COMPUTED else 0)
    macs = tuple(
        step_macs(anatomy, row, count, guess=guess) + look for row, count, look in zip(rows, counts, looks, strict=True)
    )
    return Rehearsal(tuple(rows), tuple(counts), macs)


def decided(plan: Plan, anatomy: Anatomy) -> tuple[str, ...]:
    """The coarse rows of a plan, which a gate decides."""
    return tuple(name for name in plan.table if not anatomy[name].constant and anatomy[name].kind not in FINE)


def _glimpse_macs(anatomy: Anatomy, memory: _Memory) -> Macs:
    """MACs of one look at the feature that a gate goes by, in the guided branch."""
    held = {s.name: Action.REUSE for s in anatomy if s.constant and memory.holds(s.name, ("guided",))}
    return step_macs(anatomy, upstream(anatomy, held, anatomy.glimpsed), 1)


def _late_starts(off: Sequence[Collection[str]]) -> dict[str, int]:
    """The step in which each ControlNet sets in that is off in the first."""
    first = off[0] if off else ()
    return {net: next((i for i, nets in enumerate(off) if net not in nets), len(off)) for net in first}


@dataclass(frozen=True)
class _Branches:
    """The guidance branches that a step runs: all of them in the UNet, in guess mode the guided one in ControlNets."""

    anatomy: Anatomy
    all: tuple[str, ...]
    guess: bool

    def of(self, site: str) -> tuple[str, ...]:
        return ("guided",) if self.guess and site in self.anatomy.control_sites else self.all


def _advance(plan: Plan, memory: _Memory, result: Mapping[str, State], step: int, seen: _Branches) -> None:
    for site, state in result.items():
        kind = seen.anatomy[site].kind
        if kind is Kind.BRANCH:
            asked = site in plan.columns[step]
            if asked and state in KEPT and plan.fusion == "difference":
                memory.require(plan, site, step, state, ("unguided",))
            if state is State.COMPUTED:
                memory.note(site, step, ("unguided",))
        elif state in KEPT:
            memory.require(plan, site, step, state, seen.of(site))
        elif state is State.COMPUTED:
            memory.note(site, step, seen.of(site))


def plan_macs(
    plan: Plan,
    anatomy: Anatomy,
    *,
    guidance: bool = True,
    guess: bool = False,
    off: Sequence[Collection[str]] | None = None,
) -> Macs:
    """MACs of a whole plan for one image."""
    return rehearse(plan, anatomy, guidance=guidance, guess=guess, off=off).macs


def most_macs(
    plan: Plan, anatomy: Anatomy, *, guidance: bool = True, off: Sequence[Collection[str]] | None = None
) -> Macs:
    """MACs of a plan for one image whose gate fires as often as it may; as if it never fired where it has no bound."""
    dearest = plan_macs(plan.dearest, anatomy, guidance=guidance, off=off)
    if plan.dearest is plan:
        return dearest
    looking, plain = (plan_macs(p, anatomy, guidance=guidance, off=off) for p in (plan, replace(plan, gate=None)))
    return dearest + (looking - plain)
