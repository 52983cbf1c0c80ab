"""What stands in for a value that is not computed. Pure tensor maths."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def extrapolate(steps: Sequence[int], values: Sequence[torch.Tensor], at: int) -> torch.Tensor:
    """The polynomial through the given values, read at step `at`; one value repeats, two extend a line.

    `steps` are distinct step numbers, oldest first; `values` have one shape. Taylor forecasting of features with
    finite differences (TaylorSeer, arXiv 2503.06923) is this polynomial in Lagrange's form.
    """
    if len(values) == 1:
        return values[0]
    if len(values) == 2:
        return torch.lerp(values[0], values[1], (at - steps[0]) / (steps[1] - steps[0]))
    weights = lagrange(steps, at)
    total = values[0] * weights[0]
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total = torch.add(total, value, alpha=weight)
    return total


def lagrange(steps: Sequence[int], at: int) -> list[float]:
    """Weights of the values at `steps` in the polynomial through them, read at `at`; they sum to 1."""
    weights = []
    for i, own in enumerate(steps):
        weight = 1.0
        for j, other in enumerate(steps):
            if i != j:
                weight *= (at - other) / (own - other)
        weights.append(weight)
    return weights


def relative_l1(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Relative L1 change, a tensor without dimensions (Block Caching, arXiv 2312.03209, sec. 3.1)."""
    return (new - old).abs().mean() / old.abs().mean().clamp_min(1e-12)
