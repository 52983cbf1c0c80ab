"""All that the server keeps of a session, so that ten thousand sessions are a few megabytes.

Every call of an endpoint is a session of its own to gradio. For each it writes out the whole page's configuration, 400
components in 0.65 MB and 0.1 s, for a link to the page as it stands; this page has links of its own (hgc.share).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from secrets import token_hex
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from gradio.state_holder import SessionState, StateHolder

T = TypeVar("T")
KEPT = 2_000


class Session(SessionState):
    """Values of gr.State and changed components; nothing of what stands in them for a visitor."""

    def __init__(self, blocks: Any) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Nobody asks for it."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nobody asks for it."""


class Sessions(StateHolder):
    """The latest sessions. Those without a state, as endpoints' are, go before any visitor's."""

    def __getitem__(self, session_id: str) -> SessionState:
        with self.lock:
            if session_id not in self.session_data:
                self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)

    def update(self, session_id: str) -> None:
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            while len(self.session_data) > self.capacity:
                others = (name for name in self.session_data if name != session_id)
                stateless = (name for name, session in self.session_data.items() if not session.state_data)
                gone = next((name for name in stateless if name != session_id), None) or next(others)
                del self.session_data[gone]
                self.time_last_used.pop(gone, None)


class RecentItems(Generic[T]):
    """The latest things of all visitors by id, so that gr.State holds the id alone.

    The oldest are forgotten first. Safe to use from several threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._things: OrderedDict[str, T] = OrderedDict()

    def keep(self, thing: T, name: str | None = None) -> str:
        """The id under which it is found again: its own name, or a new one."""
        name = name or token_hex(8)
        with self._lock:
            self._things[name] = thing
            while len(self._things) > self._limit:
                self._things.popitem(last=False)
        return name

    def find(self, name: str | None) -> T | None:
        with self._lock:
            return self._things.get(name) if name else None
