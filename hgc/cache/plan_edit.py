"""A plan edited by hand, cell by cell: what may be entered, what a click means, undo and redo. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from hgc.cache.anatomy import PREDICTION, Anatomy, State
from hgc.cache.anatomy.states import blame
from hgc.cache.plan import LETTERS, Action, Plan
from hgc.cache.rehearsal import Rehearsal, Unweighed, rehearse
from hgc.cache.rules import LINE, PlanRefused, Weighing

UNDOABLE = 200
CYCLE = (Action.COMPUTE, Action.REUSE, Action.FORECAST)
_ACTION_OF = {State.COMPUTED: Action.COMPUTE, State.REUSED: Action.REUSE, State.FORECAST: Action.FORECAST}


@dataclass(frozen=True)
class Ground:
    """The ground a plan runs on: a model, with guidance or without; `off[i]` as `rehearse` takes it."""

    anatomy: Anatomy
    guidance: bool = True
    off: tuple[Collection[str], ...] | None = None

    def play(self, plan: Plan) -> Rehearsal:
        """Raises PlanRefused."""
        return rehearse(plan, self.anatomy, guidance=self.guidance, off=self.off)


@dataclass(frozen=True)
class Draft:
    """A plan under the pen; `past` and `future` are what undo and redo go to, the nearest last."""

    plan: Plan
    past: tuple[Plan, ...] = ()
    future: tuple[Plan, ...] = ()

    def put(self, plan: Plan) -> Draft:
        """The next plan; what was undone before is given up."""
        return self if plan == self.plan else Draft(plan, (*self.past, self.plan)[-UNDOABLE:])

    def undo(self) -> Draft:
        if not self.past:
            return self
        return Draft(self.past[-1], self.past[:-1], (*self.future, self.plan))

    def redo(self) -> Draft:
        if not self.future:
            return self
        return Draft(self.future[-1], (*self.past, self.plan), self.future[:-1])


Cells = Sequence[tuple[Sequence[str], int]]  # groups of sites that are shown as one, each with a step


def edited(plan: Plan, ground: Ground, cells: Cells, action: Action | None = None) -> Plan:
    """The plan with an action in these cells; None takes the next one that can be run in the first of them.

    Where anything changes, its origin says that it was edited. Raises PlanRefused when the plan could not be run so, or
    when nobody needs the first cell.
    """
    before = ground.play(plan)
    sites, step = cells[0]
    _require_alive(before, ground, sites, step)
    alive = [(names, at) for names, at in cells if _alive(before, names, at)]
    changed = _turned(plan, ground, before, alive) if action is None else _entered(plan, ground, before, alive, action)
    return plan if changed == plan else replace(changed, origin=replace(plan.origin, edited=True))


def _turned(plan: Plan, ground: Ground, before: Rehearsal, cells: Cells) -> Plan:
    """The next action in turn, skipping what cannot be run; the first one's refusal when nothing else can be."""
    now = action_of(before, *cells[0])
    turn = CYCLE[:1] if now is None else [CYCLE[(CYCLE.index(now) + ahead) % len(CYCLE)] for ahead in (1, 2)]
    refused: PlanRefused | None = None
    for action in turn:
        try:
            return _entered(plan, ground, before, cells, action)
        except PlanRefused as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _entered(plan: Plan, ground: Ground, before: Rehearsal, cells: Cells, action: Action) -> Plan:
    entered = {(site, step) for names, step in cells for site in _meant(before, names, step, action)}
    try:
        changed, played = _played(_with(plan, dict.fromkeys(entered, action)), ground)
    except PlanRefused:
        if action is not Action.COMPUTE:
            raise
        # What comes alive by it may have nothing to be kept from: that is computed as well.
        steps = {step for _, step in cells}
        asleep = {(s, i) for i in steps for s, state in before.steps[i].items() if state is State.DEAD}
        changed, played = _played(_with(plan, dict.fromkeys(entered | asleep, action)), ground)
    _require_effect(played, entered, action)
    return changed


def _played(plan: Plan, ground: Ground) -> tuple[Plan, Rehearsal]:
    """The plan played through; where its fitted forecasts know no weights for what is now computed, with a line's."""
    while True:
        try:
            return plan, ground.play(plan)
        except Unweighed as gap:
            forecast = plan.forecasts[gap.site]
            weighings = (*(forecast.weighings or ()), _line(gap.step, gap.past[-LINE.depth :]))
            plan = replace(plan, forecasts={**plan.forecasts, gap.site: replace(forecast, weighings=weighings)})


def _line(at: int, past: Sequence[int]) -> Weighing:
    """The weights of the line through the last two values; of one alone, its repetition."""
    if len(past) == 1:
        return Weighing(at, tuple(past), (1.0,))
    before, last = past
    ahead = (at - last) / (last - before)
    return Weighing(at, (before, last), (-ahead, 1 + ahead))


def _require_effect(played: Rehearsal, entered: Collection[tuple[str, int]], action: Action) -> None:
    """A site that does not depend on the step is computed where it is first needed, whatever its row says."""
    states = {(site, step): played.steps[step][site] for site, step in entered}
    for (site, step), state in sorted(states.items()):
        if state is State.COMPUTED and action is not Action.COMPUTE:
            raise PlanRefused(f"step {step + 1}: {site} is needed here for the first time, so it is computed")


def action_of(played: Rehearsal, sites: Sequence[str], step: int) -> Action | None:
    """The common action of the sites, leaving out those that nobody needs; None where they differ."""
    states = {played.steps[step][site] for site in sites} - {State.DEAD, State.ABSENT}
    return _ACTION_OF[states.pop()] if len(states) == 1 else None


def _alive(played: Rehearsal, sites: Sequence[str], step: int) -> bool:
    """Whether there is something to decide: inside a prediction that is kept there is not."""
    state = played.steps[step]
    inside = state[PREDICTION] is not State.COMPUTED
    return any(state[site] in _ACTION_OF and (site == PREDICTION or not inside) for site in sites)


def _meant(before: Rehearsal, sites: Sequence[str], step: int, action: Action) -> Sequence[str]:
    """To compute a group is to compute all of it; kept is what somebody asks for."""
    if action is Action.COMPUTE:
        return sites
    return [site for site in sites if before.steps[step][site] in _ACTION_OF]


def _require_alive(played: Rehearsal, ground: Ground, sites: Sequence[str], step: int) -> None:
    if _alive(played, sites, step):
        return
    state = played.steps[step]
    if all(state[site] is State.ABSENT for site in sites):
        raise PlanRefused(f"step {step + 1}: guidance is off in this run, so there is no unguided branch to keep")
    raise PlanRefused(f"step {step + 1} needs nothing here: {blame(ground.anatomy, state, sites[-1])}")


def _with(plan: Plan, actions: Mapping[tuple[str, int], Action]) -> Plan:
    """The plan with these cells changed; rows that compute throughout are left out."""
    table = dict(plan.table)
    for site in {site for site, _ in actions}:
        row = list(table.pop(site, Action.COMPUTE.value * plan.steps))
        for step in range(plan.steps):
            row[step] = actions.get((site, step), row[step])
        if set(row) != {Action.COMPUTE.value}:
            table[site] = "".join(row)
    forecasts = {site: rule for site, rule in plan.forecasts.items() if site in table}
    return replace(plan, table=table, forecasts=forecasts)


def action_named(letter: str | None) -> Action | None:
    """C, R, F, or None for the next in turn. Raises PlanRefused."""
    if letter is None:
        return None
    if not isinstance(letter, str) or letter not in LETTERS:
        raise PlanRefused(f"unknown action '{str(letter)[:40]}'; known are C (compute), R (reuse) and F (forecast)")
    return LETTERS[letter]
