"""Confidence intervals of means over scenes, by bootstrap: scenes are drawn again with replacement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 4000
CONFIDENCE = 0.95
Interval = tuple[float, float]


def interval(values: Sequence[float]) -> Interval | None:
    """The percentile interval of the mean; None for fewer than two values, of which nothing can be said.

    Paired where the values are differences of pairs. The draws are the same ones every time.
    """
    if len(values) < 2:
        return None
    draws = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    means = np.asarray(values, np.float64)[draws].mean(1)
    low, high = np.quantile(means, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)
