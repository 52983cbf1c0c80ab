"""The modules that a run stands before; all others are left alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hgc.cache.anatomy import PREDICTION, Anatomy, Site, State
from hgc.cache.anatomy.states import states
from hgc.cache.plan import Plan


def attended(plan: Plan, anatomy: Anatomy, *, everything: bool = False) -> frozenset[str]:
    """The sites and blocks whose modules the engine has to stand before: those the plan keeps, or passes by.

    All others are computed whenever their network is, and left alone unless somebody looks at `everything`. A plan that
    is amended while it runs may pass by anything.
    """
    if everything or plan.gate is not None or plan.verification is not None:
        return frozenset((*anatomy.by_name, *(block.name for block in anatomy.blocks)))
    names = set(plan.table)
    for actions in {frozenset(column.items()) for column in plan.columns}:
        result = states(anatomy, dict(actions))
        if result[PREDICTION] is not State.COMPUTED:
            continue  # the UNet is not called at all, and neither is anything in a ControlNet
        idle = anatomy.idle(result)
        names |= {block.name for block in anatomy.blocks if block.name in idle}
        names |= {site.name for site in anatomy if _passed_by(anatomy, result, idle, site)}
    return frozenset(names)


def _passed_by(anatomy: Anatomy, result: Mapping[str, State], idle: Collection[str], site: Site) -> bool:
    """Whether a site's module is met in a step that does not compute it."""
    if result[site.name] is State.COMPUTED or site.block in idle or anatomy.network_of(site.name) in idle:
        return False
    return site.parent is None or result[site.parent] is State.COMPUTED
