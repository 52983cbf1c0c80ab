"""How long a stage trains, in steps or seconds, whichever ends first; and when its checkpoint is due."""

import math
import time
from dataclasses import dataclass

SAVE_AFTER_S = 300.0


@dataclass(frozen=True)
class Budget:
    """The end of a stage. `steps` alone makes it repeatable to the bit; `seconds` adapts it to the machine."""

    steps: int
    seconds: float = math.inf

    def __post_init__(self) -> None:
        if self.steps < 1 or self.seconds <= 0:
            raise ValueError(f"budget: {self.steps} steps, {self.seconds} seconds; both must be above zero")


class Pace:
    """Where a stage stands between 0 and 1, over all its resumptions."""

    def __init__(self, budget: Budget, step: int = 0, spent_s: float = 0.0) -> None:
        self.budget = budget
        self.step = step
        self._before_s = spent_s
        self._since = self._saved = time.monotonic()

    @property
    def spent_s(self) -> float:
        return self._before_s + time.monotonic() - self._since

    @property
    def progress(self) -> float:
        share = self.step / self.budget.steps
        if math.isfinite(self.budget.seconds):
            share = max(share, self.spent_s / self.budget.seconds)
        return min(1.0, share)

    def time_to_save(self, every: int) -> bool:
        """Every so many steps, and on a slow machine every SAVE_AFTER_S."""
        if self.step % every and time.monotonic() - self._saved < SAVE_AFTER_S:
            return False
        self._saved = time.monotonic()
        return True

    def finished(self) -> bool:
        return self.progress >= 1.0


def warm_constant_decay(step: int, progress: float, warmup: int, decay_from: float) -> float:
    """Learning-rate factor: linear warm-up in steps, constant, then a cosine to zero from `decay_from` of the way."""
    rise = min(1.0, (step + 1) / warmup)
    if progress <= decay_from:
        return rise
    fall = (progress - decay_from) / (1 - decay_from)
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, fall)))
