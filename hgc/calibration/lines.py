"""Scale-shift adjustment: how a kept value is adjusted, for each channel, step and age. Numbers only, no torch.

Block Caching (arXiv 2312.03209, sec. 3.3) learns one scale and one shift for each channel of each reused output, with
the denoiser frozen. Here they are the least-squares line from the output of an earlier step to that of a later one, in
closed form from sums over calibration runs; no feature is stored. The paper learns them for one schedule; ours hold for
every schedule that keeps nothing longer than was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hgc.cache.rules import CalibrationRefused
from hgc.calibration.subject import Subject

Numbers = NDArray[Any]
FLAT = 1e-6  # a channel whose spread is a smaller share of its size carries no line, only a shift


@dataclass(frozen=True, eq=False)
class Adjustment:
    """`scale[site][step, age - 1]` and `shift` alike, [C] each, lead from the value of `age` steps ago to that now."""

    subject: Subject
    scale: Mapping[str, Numbers]  # [steps, longest, C]
    shift: Mapping[str, Numbers]

    def __post_init__(self) -> None:
        for site, scale in self.scale.items():
            shape = self.shift[site].shape if site in self.shift else ()
            if scale.ndim != 3 or scale.shape != shape or len(scale) != self.subject.steps:
                raise CalibrationRefused(
                    f"adjustment of '{site}': scale {scale.shape}, shift {shape}, {self.subject.steps} steps; "
                    f"{self.subject.again}"
                )

    @property
    def longest(self) -> int:
        """The greatest age there are numbers for."""
        return max((scale.shape[1] for scale in self.scale.values()), default=0)

    def at(self, site: str, since: int, step: int) -> tuple[Numbers, Numbers]:
        """Scale and shift [C] for a value computed in step `since` and used in `step`. Raises CalibrationRefused."""
        if site not in self.scale:
            raise CalibrationRefused(
                f"site '{site}' has no adjustment; leave it out of the forecasts or {self.subject.again}"
            )
        if not 1 <= step - since <= self.longest:
            raise CalibrationRefused(
                f"site '{site}', step {step}: its value is {step - since} steps old, adjustments reach to "
                f"{self.longest}; refresh it sooner (longest={self.longest}) or {self.subject.again} "
                f"--longest {step - since}"
            )
        return self.scale[site][step, step - since - 1], self.shift[site][step, step - since - 1]

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that name these numbers."""
        digest = sha256(str(self.subject).encode())
        for site in sorted(self.scale):
            for numbers in (self.scale[site], self.shift[site]):
                digest.update(site.encode() + np.ascontiguousarray(numbers).tobytes())
        return digest.hexdigest()[:12]


@dataclass
class Sums:
    """A site's sums, from which its lines follow: of values, of squares, and of products with earlier values.

    `first` and `second` are [steps, C], `cross` [steps, longest, C]; entry [step, age - 1] pairs a step with an earlier
    one. `samples` counts the values behind each sum.
    """

    samples: Numbers
    first: Numbers
    second: Numbers
    cross: Numbers

    @classmethod
    def empty(cls, steps: int, longest: int, channels: int) -> Sums:
        shapes = ((), (steps, channels), (steps, channels), (steps, longest, channels))
        return cls(*(np.zeros(shape) for shape in shapes))

    def add(self, other: Sums) -> None:
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    def line(self) -> tuple[Numbers, Numbers]:
        """Scale and shift [steps, longest, C] by least squares; where there is no earlier step, 1 and 0."""
        steps, longest = self.cross.shape[:2]
        scale, shift = np.ones_like(self.cross), np.zeros_like(self.cross)
        mean = self.first / self.samples
        spread = np.maximum(self.second / self.samples - mean**2, 0)
        for step in range(1, steps):
            for age in range(1, min(step, longest) + 1):
                before = step - age
                together = self.cross[step, age - 1] / self.samples - mean[step] * mean[before]
                lies = spread[before] > FLAT * self.second[before] / self.samples
                slope = np.divide(together, spread[before], out=np.ones_like(together), where=lies)
                scale[step, age - 1] = slope
                shift[step, age - 1] = mean[step] - slope * mean[before]
        return scale, shift
