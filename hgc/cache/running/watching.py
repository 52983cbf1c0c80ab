"""Who looks on while a plan is carried out, and what is brought along beside the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hgc.cache.anatomy import Kind
from hgc.cache.forecast import Lines

Witness = Callable[[Kind, str, int, torch.Tensor], None]  # a site's kind and name, the step, the computed value


@dataclass(frozen=True)
class Watching:
    """The company of a run beside its plan: who looks on, and the numbers that scale-shift forecasts need."""

    observe: bool = False
    witness: Witness | None = None
    adjustment: Lines | None = None
    timed: bool = False

    @property
    def all(self) -> bool:
        """Whether somebody looks at sites that the plan says nothing of."""
        return self.timed or self.onlooker

    @property
    def onlooker(self) -> bool:
        """Whether somebody is to see every computed value."""
        return self.observe or self.witness is not None


def both(*witnesses: Witness) -> Witness:
    """One witness that tells several."""

    def told(kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        for witness in witnesses:
            witness(kind, site, step, value)

    return told
