"""The feature store of one run: past values of sites, by branch. Nothing is kept on a module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hgc.cache.forecast import extrapolate
from hgc.cache.plan import PlanRefused

Key = tuple[str, int]  # a site and, for sites of several modules, which of them


@dataclass(frozen=True, eq=False)
class Kept:
    """A value of a step; with two branches the unguided samples come first, with one they are all guided."""

    value: torch.Tensor
    step: int
    branches: int
    written: int

    def whole(self) -> torch.Tensor:
        return self.value

    def guided(self) -> torch.Tensor:
        return self.value if self.branches == 1 else self.value.chunk(2)[1]

    def unguided(self) -> torch.Tensor:
        return self.value.chunk(2)[0]


class Store:
    """Keeps, of every site, the last `depth` values of each branch, and counts their bytes."""

    def __init__(self) -> None:
        self._kept: dict[Key, list[Kept]] = {}
        self._bytes = 0
        self.peak_bytes = 0

    def keep(self, key: Key, value: torch.Tensor, step: int, branches: int, depth: int) -> None:
        """Puts a value in front and lets go of those that no branch needs any more."""
        history = [Kept(value, step, branches, writes(value)), *self._kept.get(key, ())]
        both = [kept for kept in history if kept.branches == 2][:depth]
        wanted = [kept for i, kept in enumerate(history) if i < depth or kept in both]
        before = sum(_bytes(kept) for kept in history[1:])
        self._bytes += sum(_bytes(kept) for kept in wanted) - before
        self.peak_bytes = max(self.peak_bytes, self._bytes)
        self._kept[key] = wanted

    def holds(self, key: Key, branches: int) -> bool:
        return any(kept.branches >= branches for kept in self._kept.get(key, ()))

    def latest(self, key: Key) -> torch.Tensor | None:
        history = self._kept.get(key)
        return history[0].value if history else None

    def newest(self, key: Key) -> int:
        """The step of the last value."""
        return self._kept[key][0].step

    def forget(self, key: Key) -> None:
        """Lets go of all that is kept, because what it was computed from has changed."""
        self._bytes -= sum(_bytes(kept) for kept in self._kept.pop(key, []))

    def read(self, key: Key, step: int, branches: int, shape: tuple[int, ...], order: int) -> torch.Tensor:
        """The value to use in `step`: the last one (order 0), or extrapolated from up to order + 1 past ones.

        Raises PlanRefused when there are too few for these branches, when it has not the shape needed, or when the
        pipeline wrote into it meanwhile.
        """
        history = self._kept.get(key, [])
        if any(kept.written != writes(kept.value) for kept in history):
            raise PlanRefused(
                f"site '{key[0]}', step {step}: the pipeline wrote into the kept value; switch FreeU and adapters off"
            )
        value = self._read(history, step, branches, order)
        if value is None:
            few = "nothing is kept" if not order else "fewer than two values are kept to go on from"
            raise PlanRefused(f"site '{key[0]}', step {step}: {few}; compute it in an earlier step")
        if tuple(value.shape) != shape:
            raise PlanRefused(
                f"site '{key[0]}', step {step}: kept {tuple(value.shape)}, needs {shape}; "
                "the size changed inside the run, enter `cached` again for every image"
            )
        return value

    def _read(self, history: list[Kept], step: int, branches: int, order: int) -> torch.Tensor | None:
        if branches == 1:
            return _series(history, Kept.guided, step, order)
        if all(kept.branches == 2 for kept in history[: order + 1]):
            return _series(history, Kept.whole, step, order)
        unguided = _series([kept for kept in history if kept.branches == 2], Kept.unguided, step, order)
        guided = _series(history, Kept.guided, step, order)
        return None if unguided is None or guided is None else torch.cat([unguided, guided])


def _series(history: list[Kept], part: Callable[[Kept], torch.Tensor], step: int, order: int) -> torch.Tensor | None:
    past = history[: order + 1][::-1]
    if len(past) < min(order + 1, 2):
        return None
    return extrapolate([kept.step for kept in past], [part(kept) for kept in past], step)


def writes(value: torch.Tensor) -> int:
    """How often a tensor was written to; inference tensors do not say."""
    return 0 if value.is_inference() else value._version


def _bytes(kept: Kept) -> int:
    return kept.value.numel() * kept.value.element_size()
