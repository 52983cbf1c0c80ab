"""Numbers that lie on the device, read all at once: the run waits for it as rarely as may be."""

from __future__ import annotations

from collections.abc import Callable

import torch


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
