"""Transfers of models that visitors asked for: one after the other, told as they go, left at once on Stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

from hgc.models.refusals import ModelUnavailable

if TYPE_CHECKING:
    from hgc.models.fetching import FetchProgress

T = TypeVar("T")
TELL_EVERY_S = 0.5
STOPPED = "Stopped. The part that was downloaded is kept: fetch again to continue."


class _Transfer:
    """One of them; `left` is set when it has ended, and when nobody waits for its end any more."""

    def __init__(self) -> None:
        self.stopped, self.left = threading.Event(), threading.Event()
        self.latest: FetchProgress | None = None
        self.failure: Exception | None = None

    def work(self, turn: threading.Lock, sources: Callable[[], Sequence[str]]) -> None:
        from hgc.models.fetching import fetch, offer

        try:
            with turn:
                if not self.stopped.is_set():
                    fetch([offer(source) for source in sources()], tell=self._tell, stopped=self.stopped.is_set)
        except Exception as error:  # told on the page
            self.failure = error
        finally:
            self.left.set()

    def _tell(self, at: FetchProgress) -> None:
        self.latest = at

    def stop(self) -> None:
        self.stopped.set()
        self.left.set()


class Transfers:
    """Those of one page. A stopped one ends after the piece under way; until then the next one waits."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._under_way: dict[str, _Transfer] = {}

    def run(
        self, visitor: str, sources: Callable[[], Sequence[str]], told: Callable[[FetchProgress], T]
    ) -> Generator[T, None, Exception | None]:
        """Fetches what is not here of some sources; yields what is told of how far it is.

        Returns why it did not end well, None where it did.
        """
        transfer = self._under_way[visitor] = _Transfer()
        threading.Thread(target=transfer.work, args=(self._turn, sources), name="fetch model", daemon=True).start()
        try:
            while not transfer.left.wait(TELL_EVERY_S):
                if transfer.latest is not None:
                    yield told(transfer.latest)
            return ModelUnavailable(STOPPED) if transfer.stopped.is_set() else transfer.failure
        finally:
            transfer.stop()  # whoever leaves the page goes on from here another time
            if self._under_way.get(visitor) is transfer:
                del self._under_way[visitor]

    def stop(self, visitor: str) -> None:
        """Leaves the visitor's transfer."""
        if (transfer := self._under_way.get(visitor)) is not None:
            transfer.stop()
