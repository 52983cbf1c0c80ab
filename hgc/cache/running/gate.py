"""The run-time gate: refresh when the change expected since the last full step passes a threshold.

The paper chooses the moments to refresh by feature similarity without giving the formula; this is our reading. At every
full step we measure how far the kept feature moved (relative L1) for each unit that the network's input moved, as
EasyCache (arXiv 2507.02860) does for the output. In between, input changes are known before anything is computed, so
that the product predicts the feature's change in time to act on it, ControlNet included.

A gate needs its numbers on the host: it waits for the device once for each step that it decides, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from hgc.cache.forecast import relative_l1
from hgc.cache.rules import Gate


class Meter:
    """Collects tensors without dimensions; `read` waits for the device once and hands every number to who noted it."""

    def __init__(self) -> None:
        self._pending: list[tuple[torch.Tensor, Callable[[float], None]]] = []
        self.reads = 0

    def note(self, number: torch.Tensor, take: Callable[[float], None]) -> None:
        self._pending.append((number.float(), take))

    def read(self) -> None:
        """In the order in which they were noted."""
        if not self._pending:
            return
        self.reads += 1
        pending, self._pending = self._pending, []
        numbers = torch.stack([number for number, _ in pending]).tolist()
        for (_, take), number in zip(pending, numbers, strict=True):
            take(number)


@dataclass
class ChangeGate:
    """State of one run's gate; `expected` predicts the relative change of the kept feature since it was computed."""

    rule: Gate
    meter: Meter = field(default_factory=Meter)
    waited: int = 0
    _moved: float = 0.0  # relative L1 path of the input since the last full step
    _gain: float | None = None  # change of the feature for each unit of input change
    _input: torch.Tensor | None = field(default=None, repr=False)
    _feature: torch.Tensor | None = field(default=None, repr=False)

    def see_input(self, sample: torch.Tensor) -> None:
        """Called once a step, before anything is computed, with the guided samples [B, C, h, w]."""
        if self._input is not None:
            self.meter.note(relative_l1(sample, self._input), self._input_moved)
        self._input = sample

    def _input_moved(self, change: float) -> None:
        self._moved += change

    def _feature_moved(self, change: float) -> None:
        if self._moved > 0:
            self._gain = change / self._moved
        self._moved = 0.0

    def _first_feature(self, _change: float) -> None:
        self._moved = 0.0

    @property
    def gain(self) -> float | None:
        """Change of the feature for each unit of input change; None until it was computed twice."""
        self.meter.read()
        return self._gain

    @property
    def expected(self) -> float:
        return (self.gain or 0.0) * self._moved

    def decide(self) -> tuple[bool, str]:
        """Whether an in-between step must be computed in full, and why or why not."""
        self.waited += 1
        if self.gain is None:
            return True, "gate: computed twice first, to learn how fast it changes"
        if self.waited > self.rule.longest:
            return True, f"gate: kept for {self.rule.longest} steps in a row, the longest allowed"
        passed = self.expected >= self.rule.threshold
        return passed, f"gate: expected change {self.expected:.3f} {'≥' if passed else '<'} {self.rule.threshold:g}"

    def see_feature(self, feature: torch.Tensor) -> None:
        """Called at every full step with the feature that the plan keeps."""
        if self._feature is not None and self._feature.shape == feature.shape:
            self.meter.note(relative_l1(feature, self._feature), self._feature_moved)
        else:
            self.meter.note(feature.new_zeros(()), self._first_feature)
        self._feature, self.waited = feature.clone(), 0  # others may write into what they were given
