"""Runs of one batch of scenes, as an error table is measured by and plans are tried by; here, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from statistics import fmean, stdev
from typing import Protocol

import torch

from hgc.cache.anatomy import Anatomy
from hgc.cache.plan import Plan
from hgc.calibration.subject import Subject
from hgc.optimise.measure import Scenes, full_run, measured_in
from hgc.optimise.predict import Numbers

EXACT_DB = 140.0  # what float32 rounds away


@dataclass(frozen=True)
class Fidelity:
    """How near a plan comes to the full run's latents on each scene, in dB below a latent of size one (their rms)."""

    scenes_db: tuple[float, ...]

    @property
    def mean_db(self) -> float:
        return fmean(self.scenes_db)

    @property
    def error_bar_db(self) -> float:
        """Half the width of the mean's 95% interval, normal; needs two scenes."""
        return 1.96 * stdev(self.scenes_db) / len(self.scenes_db) ** 0.5


class Trials(Protocol):
    """Where runs of `count` scenes are made, `at_once` of them side by side."""

    @property
    def count(self) -> int: ...

    @property
    def at_once(self) -> int: ...

    def measured(self, runs: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Numbers]]]:
        """Parts of an error table by their names, each as soon as it is there."""
        ...

    def tried(self, plans: Mapping[str, Plan]) -> Iterator[tuple[str, Fidelity]]:
        """How near each plan comes, as soon as it was run."""
        ...


class InTurn:
    """Trials on a loaded model. The scenes' full run is made once, when it is first needed."""

    at_once = 1

    def __init__(self, scenes: Scenes, anatomy: Anatomy, subject: Subject) -> None:
        self.scenes, self._anatomy, self._subject = scenes, anatomy, subject
        self._whole: dict[str, Numbers] = {}

    @property
    def count(self) -> int:
        return self.scenes.count

    def measured(self, runs: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Numbers]]]:
        """As Trials has it."""
        for name in runs:
            yield name, self.measure(name)

    def tried(self, plans: Mapping[str, Plan]) -> Iterator[tuple[str, Fidelity]]:
        """As Trials has it."""
        for name, plan in plans.items():
            yield name, self.fidelity(plan)

    def measure(self, name: str) -> Mapping[str, Numbers]:
        """One part of an error table."""
        if not self._whole:
            self._whole = full_run(self.scenes, self._anatomy, self._subject.steps)
        return measured_in(self.scenes, self._anatomy, self._subject, self._whole, name)

    def fidelity(self, plan: Plan) -> Fidelity:
        """How near a plan comes to the full run."""
        if not self.scenes.path:
            self.scenes.full(self._subject.steps, self._anatomy.model)
        square = (self.scenes.run(plan)[-1] - self.scenes.path[-1]).float().square().mean((1, 2, 3))
        return Fidelity(tuple(_db(float(error)) for error in square.to(torch.float64)))


def _db(square: float) -> float:
    return min(EXACT_DB, -10 * log10(square)) if square > 0 else EXACT_DB
