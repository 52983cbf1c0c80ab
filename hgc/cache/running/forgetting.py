"""Values kept for a whole run are forgotten where adapters, weights, a prompt or a map changed, or on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hgc.cache.anatomy import Kind, Site
from hgc.cache.anatomy.networks import Networks
from hgc.cache.running.clock import Step
from hgc.cache.running.first_call import Pass


class Forgetting:
    """Of one run; where rows are `recorded`, no projection of a text is asked whether its text is another."""

    def __init__(self, networks: Networks, *, recorded: bool) -> None:
        self._networks, self._recorded = networks, recorded
        self._asked: set[str] = set()  # networks whose constants are to be computed anew

    def ask(self) -> None:
        """Has every network's next call compute its constants anew."""
        self._asked = {"unet", *self._networks.controls}

    def forget(self, now: Pass, step: Step, network: str, call: Mapping[str, Any]) -> None:
        """Before a network's call: lets go of the constants that no longer hold, and has them computed."""
        sites = now.constant[network]
        stale = now.constants.stale(sites, call)
        if network in self._asked:
            self._asked.discard(network)
            stale |= dict.fromkeys([site.name for site in sites], "forgotten on request")
        for name, reason in stale.items():
            now.values.forget(name)
            step.reasons[name] = reason
        for site in sites:
            if site.name in step.actions and not now.values.holds(site.name, now.branches):
                del step.actions[site.name]
        if self._recorded:
            _forget_texts(now, step, sites, call)


def _forget_texts(now: Pass, step: Step, sites: Sequence[Site], call: Mapping[str, Any]) -> None:
    """Has keys and values of another text computed; a replay cannot notice it at their projections."""
    now.text = call["encoder_hidden_states"][-now.images * now.branches :]
    for name in [site.name for site in sites if site.kind is Kind.TEXT_KV and site.name in step.actions]:
        parts = (now.constants.text_changed(name, part, now.text) for part in (0, 1))
        if (changed := next((reason for reason in parts if reason is not None), None)) is not None:
            step.reasons[name] = changed
            now.values.forget(name)
            del step.actions[name]
