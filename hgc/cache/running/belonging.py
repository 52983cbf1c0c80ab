"""Whether a call belongs to a run, and what is said of calls that somebody may think do, and do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from warnings import warn

from torch import nn

from hgc.cache.anatomy.networks import Networks, unwrapped
from hgc.cache.running.caller import Caller, caller


class NotCached(UserWarning):
    """A call that somebody may think is cached, and is not."""


class Belonging:
    """A run belongs to the pipeline it was given, in the thread that opened its block."""

    def __init__(self, pipe: Any, networks: Networks) -> None:
        self._pipe, self._networks = pipe, networks
        self._called = False  # refused at once, a call has not run but has been told of
        self._elsewhere = ""  # what ran beside this run though it may have been meant for it

    def claims(self, by: Caller) -> bool:
        """Whether a call is this run's; a loop without a pipeline is, too. Another pipeline's is remembered."""
        if by.pipe is None or by.pipe is self._pipe:
            self._called = True
            return True
        if not self._called:
            self._elsewhere = (
                f"inside the `cached` block of a {type(self._pipe).__name__} another pipeline over the same networks "
                f"was called, a {type(by.pipe).__name__}: that call was not cached; give `cached` the pipeline that "
                "you call"
            )
        return False

    def unmet(self, done: int, steps: int) -> str | None:
        """Why nothing was cached, or only `done` of the plan's steps, in words for a person; None where all was."""
        if unwrapped(self._pipe.components["unet"]) is not self._networks.unet:
            return (
                f"the pipeline's UNet was replaced inside the `cached` block: {done} of {steps} steps ran on "
                "the one that the block was entered with, the rest is not cached; enter `cached` again after that"
            )
        if self._called:
            return None
        return self._elsewhere or "the pipeline was not called inside the `with cached(...)` block: nothing was cached"

    def outside(self) -> dict[nn.Module, Callable[[], None]]:
        """Who is told of a network's calls from other threads."""
        return {self._networks.called(self._networks.unet): self._called_outside}

    def _called_outside(self) -> None:
        """The same pipeline called from where this block does not reach is said at once: the call may take minutes."""
        if self._elsewhere or caller().pipe is not self._pipe:
            return
        self._elsewhere = (
            "the pipeline of an open `cached` block was called from another thread, which the block does not reach: "
            "that call is not cached; enter `cached` in the thread that makes the call"
        )
        warn(self._elsewhere, NotCached, stacklevel=2)
