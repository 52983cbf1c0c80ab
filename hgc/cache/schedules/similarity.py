"""The questions HGC asks of what was measured on full runs; `hgc.optimise.alike.Alike` answers. Key steps from them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from hgc.cache.rules import ForecastRule, PlanRefused

Past = tuple[int, ...]  # steps, oldest first


class Similarity(Hashable, Protocol):
    """How alike kept values are to those that full runs compute in later steps.

    Errors are root mean squares of what the solver sees, in its own units, unless said otherwise.
    """

    @property
    def steps(self) -> int:
        """The number of steps that it speaks of."""

    @property
    def layers(self) -> Sequence[int]:
        """How many decoder layers may be refreshed in between, few to many: the cuts that were measured."""

    def change(self, step: int) -> float:
        """The relative change of the kept features since the step before, their mean."""

    def kept(self, layers: int, step: int, past: Past, forecast: ForecastRule) -> float:
        """The error where so many layers are refreshed over a feature and residuals that go on from `past`."""

    def skipped(self, step: int, past: Past, forecast: ForecastRule) -> tuple[float, Sequence[float]]:
        """The error where no layer is refreshed, and the weights of the last past values, oldest first."""

    def unguided(self, step: int, past: Past, forecast: ForecastRule) -> tuple[float, Sequence[float]]:
        """The error where the guidance difference goes on from `past`, and the weights as in `skipped`."""

    def attention(self, site: str, step: int, since: int) -> float:
        """The error where a cross-attention's output is repeated from the step `since`."""

    def growth(self, step: int) -> float:
        """The final latents' error for each unit of error in this step."""


def key_steps_by(changes: Sequence[float], count: int) -> tuple[int, ...]:
    """`count` steps, the first always, between which the change of the kept features adds up to equal parts.

    `changes` has one entry a step, that of the first is not read. Raises PlanRefused for a count out of range.
    """
    steps = len(changes)
    if not 1 <= count <= steps:
        raise PlanRefused(f"{count} key steps of {steps}: choose between 1 and {steps}")
    keys = [0]
    for left in range(count - 1, 0, -1):
        part, gone = sum(changes[keys[-1] + 1 :]) / (left + 1), 0.0
        for step in range(keys[-1] + 1, steps):
            gone += changes[step]
            if gone >= part or step == steps - left:
                keys.append(step)
                break
    return tuple(keys)
