"""Which listeners an event of the page has, and in which order.

gradio takes an event's listeners in turn and waits for the server's answer in between; where one comes again meanwhile
(`always_last`), all listeners of the event are taken again once the answer is there.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from serving import forgotten_loops

from hgc.ui import Loader, build

Event = tuple[int, str]


@pytest.fixture(scope="module")
def listeners() -> dict[Event, list[dict[str, Any]]]:
    with forgotten_loops():
        config = build(Loader()).config
    found: dict[Event, list[dict[str, Any]]] = defaultdict(list)
    for listener in config["dependencies"]:
        for component, event in listener["targets"]:
            if component is not None:
                found[component, event].append(listener)
    return found


def test_what_the_browser_does_alone_waits_for_no_answer(listeners: dict[Event, list[dict[str, Any]]]) -> None:
    late = {
        event: [listener["id"] for listener in each]
        for event, each in listeners.items()
        if [listener["backend_fn"] for listener in each] != sorted(listener["backend_fn"] for listener in each)
    }
    assert not late
    assert any(len({listener["backend_fn"] for listener in each}) == 2 for each in listeners.values())


def test_no_late_answer_sets_anything_back(listeners: dict[Event, list[dict[str, Any]]]) -> None:
    """A listener in the browser that reads nothing and writes something says the same whenever it is taken."""
    anew = {
        event
        for event, each in listeners.items()
        if any(listener["backend_fn"] and listener["trigger_mode"] == "always_last" for listener in each)
        and any(not listener["backend_fn"] and listener["outputs"] and not listener["inputs"] for listener in each)
    }
    assert not anew
