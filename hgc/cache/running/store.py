"""The feature store of one run: past values of sites, by branch. Nothing is kept on a module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hgc.cache.forecast import forecast_from
from hgc.cache.rules import REPEAT, ForecastRule, PlanRefused

Key = tuple[str, int]  # a site and, for sites of several modules, which of them


@dataclass(frozen=True, eq=False)
class StoredValue:
    """A value of a step; with two branches the unguided samples come first, with one they are all guided."""

    value: torch.Tensor
    step: int
    branches: int

    def whole(self) -> torch.Tensor:
        return self.value

    def guided(self) -> torch.Tensor:
        return self.value if self.branches == 1 else self.value.chunk(2)[1]

    def unguided(self) -> torch.Tensor:
        return self.value.chunk(2)[0]

    def average(self) -> torch.Tensor:
        """The mean of both branches, for one branch to go on with (T-GATE, arXiv 2404.02747, eq. 5)."""
        return self.value if self.branches == 1 else torch.stack(self.value.chunk(2)).mean(0)


Part = Callable[[StoredValue], torch.Tensor]
Adjust = Callable[[torch.Tensor, int], torch.Tensor]  # a value and the step it was computed in


@dataclass(frozen=True)
class NeededValues:
    """The values that a step needs of a site's past.

    `alone` is the part of a two-branch value that a single branch goes on with; `adjust` follows the forecast; what is
    `lent` is not written into.
    """

    step: int
    branches: int
    shape: tuple[int, ...]
    forecast: ForecastRule = REPEAT
    alone: Part = StoredValue.guided
    adjust: Adjust | None = None
    lent: bool = False

    def series(self, history: list[StoredValue], part: Part) -> torch.Tensor | None:
        """The continuation of a history, newest first; None when it is too short."""
        past = history[: self.forecast.depth][::-1]
        if len(past) < self.forecast.least:
            return None
        value = forecast_from(self.forecast, [kept.step for kept in past], [part(kept) for kept in past], self.step)
        return self.adjust(value, past[-1].step) if self.adjust else value


class Store:
    """Keeps, of every site, the last `depth` values of each branch, and counts their bytes.

    What it keeps and what it hands out are copies: FreeU, T2I-adapters, hooks and processors write into what modules
    return, and so they may.
    """

    def __init__(self) -> None:
        self._kept: dict[Key, list[StoredValue]] = {}
        self._bytes = 0
        self.peak_bytes = 0

    def keep(self, key: Key, value: torch.Tensor, step: int, branches: int, depth: int) -> None:
        """Puts a value in front and lets go of those that no branch needs any more."""
        history = [StoredValue(value.clone(), step, branches), *self._kept.get(key, ())]
        both = [kept for kept in history if kept.branches == 2][:depth]
        remaining = [kept for i, kept in enumerate(history) if i < depth or kept in both]
        before = sum(_bytes(kept) for kept in history[1:])
        self._bytes += sum(_bytes(kept) for kept in remaining) - before
        self.peak_bytes = max(self.peak_bytes, self._bytes)
        self._kept[key] = remaining

    def holds(self, key: Key, branches: int) -> bool:
        return any(kept.branches >= branches for kept in self._kept.get(key, ()))

    def parts(self, site: str) -> tuple[int, ...]:
        """The parts of a site that something is kept of."""
        return tuple(part for name, part in self._kept if name == site)

    def latest(self, key: Key) -> torch.Tensor | None:
        history = self._kept.get(key)
        return history[0].value if history else None

    def newest(self, key: Key) -> int:
        """The step of the last value."""
        return self._kept[key][0].step

    def pasts(self, key: Key, branches: int) -> list[tuple[int, ...]]:
        """The steps, oldest first, of the values that each of so many branches can go on from."""
        history = self._kept.get(key, [])[::-1]
        return [tuple(kept.step for kept in history if kept.branches >= least) for least in range(1, branches + 1)]

    def expected(self, key: Key, wanted: NeededValues) -> torch.Tensor | None:
        """The same as `read`, for comparison; None where it would refuse."""
        value = _both(self._kept.get(key, []), wanted)
        return value if value is not None and tuple(value.shape) == wanted.shape else None

    def forget(self, key: Key) -> None:
        """Lets go of all that is kept, because what it was computed from has changed."""
        self._bytes -= sum(_bytes(kept) for kept in self._kept.pop(key, []))

    def read(self, key: Key, wanted: NeededValues) -> torch.Tensor:
        """The value to use in a step.

        Raises PlanRefused when there are too few past values for these branches, or when they have not the shape
        needed.
        """
        history, where = self._kept.get(key, []), f"site '{key[0]}', step {wanted.step}"
        value = _both(history, wanted)
        if value is None:
            few = "nothing is kept" if wanted.forecast.least == 1 else "fewer than two values are kept to go on from"
            raise PlanRefused(f"{where}: {few}; compute it in an earlier step")
        if tuple(value.shape) != wanted.shape:
            raise PlanRefused(
                f"{where}: kept {tuple(value.shape)}, needs {wanted.shape}; "
                "the size changed inside the run, enter `cached` again for every image"
            )
        kept = not wanted.lent and value.untyped_storage().data_ptr() == history[0].value.untyped_storage().data_ptr()
        return value.clone() if kept else value


def _both(history: list[StoredValue], wanted: NeededValues) -> torch.Tensor | None:
    if wanted.branches == 1:
        return wanted.series(history, wanted.alone)
    if all(kept.branches == 2 for kept in history[: wanted.forecast.depth]):
        return wanted.series(history, StoredValue.whole)
    unguided = wanted.series([kept for kept in history if kept.branches == 2], StoredValue.unguided)
    guided = wanted.series(history, StoredValue.guided)
    return None if unguided is None or guided is None else torch.cat([unguided, guided])


def _bytes(kept: StoredValue) -> int:
    return kept.value.numel() * kept.value.element_size()
