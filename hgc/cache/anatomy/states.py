"""Which sites a step computes, and why the others are dead: walks through an anatomy. Plain data."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind, State
from hgc.cache.plan import Action

_EXECUTED = {Action.COMPUTE: State.COMPUTED, Action.REUSE: State.REUSED, Action.FORECAST: State.FORECAST}


def states(anatomy: Anatomy, actions: Mapping[str, Action], *, off: Collection[str] = ()) -> dict[str, State]:
    """The states of all sites in a step under the given actions (sites not named are computed).

    Walks backwards from the prediction: a reused site asks for none of its inputs, and what nobody asks for is dead.
    The residuals of the ControlNets named in `off` are zero in this step, so that nothing of these is asked for.
    """
    result = {site.name: State.DEAD for site in anatomy}
    result[UNGUIDED] = _EXECUTED[actions.get(UNGUIDED, Action.COMPUTE)]
    result[PREDICTION] = _EXECUTED[actions.get(PREDICTION, Action.COMPUTE)]
    if result[PREDICTION] is not State.COMPUTED:
        if result[UNGUIDED] is State.COMPUTED:
            result[UNGUIDED] = result[PREDICTION]  # both branches lie inside the kept prediction
        return result
    _ask(anatomy, actions, result, anatomy.output, off)
    return result


def upstream(anatomy: Anatomy, actions: Mapping[str, Action], wanted: str) -> dict[str, State]:
    """The states of all sites where one of them alone is asked for."""
    result = {site.name: State.DEAD for site in anatomy}
    _ask(anatomy, actions, result, wanted, ())
    return result


def _ask(
    anatomy: Anatomy, actions: Mapping[str, Action], result: dict[str, State], wanted: str, off: Collection[str]
) -> None:
    """Brings to life what a site is made of."""
    pending = [wanted]
    while pending:
        name = pending.pop()
        if result[name] is not State.DEAD:
            continue
        site = anatomy[name]
        if site.kind is Kind.RESIDUAL and name.rpartition(".controlnet_")[0] in off:
            continue
        result[name] = _EXECUTED[actions.get(name, Action.COMPUTE)]
        if result[name] is State.COMPUTED:
            pending += site.inputs
            pending += (child.name for child in anatomy.children[name])


def blame(anatomy: Anatomy, result: Mapping[str, State], name: str) -> str:
    """Why a site is dead: the kept site nearest downstream that made its output unwanted."""
    parent = anatomy[name].parent
    if parent is not None and result[parent] is not State.COMPUTED:
        return blame(anatomy, result, parent) if result[parent] is State.DEAD else f"inside {parent}, which is kept"
    if result[PREDICTION] is not State.COMPUTED:
        return "the whole prediction is kept"
    seen, pending = {name}, list(anatomy.consumers[name])
    while pending:
        consumer = pending.pop(0)
        if result[consumer] in (State.REUSED, State.FORECAST):
            return f"its output is not used: {consumer} is kept"
        if consumer not in seen:
            seen.add(consumer)
            pending += anatomy.consumers[consumer]
    return "the control is off in this step"
