"""Change curves and errors that no model made, for tests of what is planned from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hgc.cache.anatomy import Anatomy
from hgc.cache.rules import ForecastRule
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.subject import Subject


def curves(anatomy: Anatomy, steps: int) -> ChangeCurves:
    """Every site changes at random, the whole prediction steadily."""
    draw = np.random.default_rng(0)
    mean = {
        site.name: (0.0, *(float(change) for change in draw.uniform(0.05, 0.35, steps - 1)))
        for site in anatomy
        if not site.constant
    } | {"unet": (0.0, *(0.1,) * (steps - 1))}
    subject = Subject(anatomy.model, "segmentation", "ddim", steps, 4.0)
    ratios = (1.0, *(1 - float(loss) for loss in draw.uniform(0.0, 0.05, steps - 1)))
    return ChangeCurves(subject, 1, mean, dict.fromkeys(mean, (0.0,) * steps), ratios=ratios)


@dataclass(frozen=True)
class Alike:
    """A similarity of numbers that no model made: errors grow with age and fall with the layers refreshed.

    `passed` are the weights by which a step that refreshes nothing passes on what it goes on from.
    """

    steps: int
    layers: tuple[int, ...] = (0, 1)
    passed: float = 1.0
    cross: tuple[str, ...] = ()

    def change(self, step: int) -> float:
        return 0.1 + 0.05 * (step % 3) if step else 0.0

    def kept(self, layers: int, step: int, past: tuple[int, ...], forecast: ForecastRule) -> float:
        return 0.01 * (step - past[-1]) * (1 + 0.3 * (step % 2)) / (1 + layers)

    def skipped(self, step: int, past: tuple[int, ...], forecast: ForecastRule) -> tuple[float, tuple[float, ...]]:
        return 0.02 * (step - past[-1]) ** 2, (self.passed,)

    def unguided(self, step: int, past: tuple[int, ...], forecast: ForecastRule) -> tuple[float, tuple[float, ...]]:
        return 0.005 * (step - past[-1]), (self.passed,)

    def attention(self, site: str, step: int, since: int) -> float:
        return (step - since) * (1 + self.cross.index(site)) if site in self.cross else 0.1 * (step - since)

    def growth(self, step: int) -> float:
        return 1 + 0.1 * step
