"""The run-time gate: refresh when the change expected since the last full step passes a threshold.

The paper chooses the moments to refresh by feature similarity without giving the formula; this is our reading. At every
full step we measure how far the kept feature moved (relative L1) for each unit that the network's input moved, as
EasyCache (arXiv 2507.02860) does for the output. In between, input changes are known before anything is computed, so
that the product predicts the feature's change in time to act on it, ControlNet included.

A gate needs its number on the host: it is the one place in the engine that waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from hgc.cache.forecast import relative_l1
from hgc.cache.rules import Gate


@dataclass
class ChangeGate:
    """State of one run's gate; `expected` predicts the relative change of the kept feature since it was computed."""

    rule: Gate
    moved: float = 0.0  # relative L1 path of the input since the last full step
    gain: float | None = None  # change of the feature for each unit of input change
    waited: int = 0
    _input: torch.Tensor | None = field(default=None, repr=False)
    _feature: torch.Tensor | None = field(default=None, repr=False)

    def see_input(self, sample: torch.Tensor) -> None:
        """Called once a step, before anything is computed, with the guided samples [B, C, h, w]."""
        if self._input is not None:
            self.moved += relative_l1(sample, self._input).item()
        self._input = sample

    @property
    def expected(self) -> float:
        return (self.gain or 0.0) * self.moved

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
        if self._feature is not None and self.moved > 0 and self._feature.shape == feature.shape:
            self.gain = relative_l1(feature, self._feature).item() / self.moved
        self._feature, self.moved, self.waited = feature.clone(), 0.0, 0  # others may write into what they were given
