"""On a Space: history, runs, stop buttons and uploads of one visitor are nobody else's, and sessions cost little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
from records import record
from serving import served

from hgc.history import HistoryPlace
from hgc.history.place import place_of
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.pressing import Press
from hgc.ui.sessions import Session, Sessions

pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]
MINE, OTHERS = (SimpleNamespace(session_hash=name, query_params={}) for name in ("mine1", "others"))
Events = dict[str, Callable[..., Any]]
API = "gradio_api/"


@pytest.fixture(scope="module")
def place() -> HistoryPlace:
    return place_of({"SPACE_ID": "someone/studio"})


@pytest.fixture(scope="module")
def page(studio: Studio, place: HistoryPlace) -> Iterator[gr.Blocks]:
    with served(Loader(lambda: studio).start(), place) as built:
        yield built


@pytest.fixture(scope="module")
def events(page: gr.Blocks) -> Events:
    """The functions behind the served page, which is what anybody can call, by class and name."""
    functions = [event.fn for event in page.fns.values() if hasattr(event.fn, "__qualname__")]
    return {function.__qualname__: function for function in functions}


def told(updates: dict[Any, Any]) -> str:
    return " ".join(map(str, updates.values()))


def test_nobody_sees_or_changes_anothers_history(events: Events, place: HistoryPlace) -> None:
    assert place.history is not None
    mine = place.history.keep(record(prompt="a secret lake"), place.owner(MINE.session_hash))
    ask = {name.rpartition(".")[2]: event for name, event in events.items() if name.startswith("HistoryEvents.")}
    assert {"enlist", "look", "reopen", "save_tags", "export", "delete"} <= ask.keys()
    for page in (OTHERS, SimpleNamespace(session_hash=None, query_params={})):
        seen = [ask["enlist"](page, "", 48, [mine]), ask["enlist"](page, "secret", 48, [])]
        seen += [ask["look"](page, [mine], "cached"), ask["look"](page, [mine, mine], "cached")]
        for name in ("reopen", "export"):
            with pytest.raises(gr.Error, match="no longer kept"):
                ask[name](page, [mine])
        assert not any("secret" in told(updates) for updates in seen)
        ask["save_tags"](page, [mine], "theirs")
        ask["delete"](page, [mine])
    assert "secret" in told(ask["enlist"](MINE, "secret", 48, []))
    (entry,) = place.history.entries(owner=place.owner(MINE.session_hash))
    assert (entry.id, entry.tags) == (mine, ())


def test_nobody_stops_replaces_or_watches_anothers_run(events: Events) -> None:
    jobs = events["RunEvents.stop"].__self__._jobs  # type: ignore[attr-defined]
    name = f"{'ab' * 16}/1"
    stop = jobs.begin(Press.read(name, MINE.session_hash))
    for theirs in ("", "mine1/1", f"{'cd' * 16}/9", None):
        events["RunEvents.note"](OTHERS, theirs)
        events["RunEvents.stop"](OTHERS, theirs, None)
        assert not stop.is_set()
        back = list(events["RunEvents.come_back"](OTHERS, theirs or "", ""))
        assert not any(events["RunEvents.stop"].__self__._results.run_id in updates for updates in back)  # type: ignore[attr-defined]
    events["RunEvents.stop"](MINE, name, None)
    assert stop.is_set()


def test_runs_are_kept_under_names_that_nobody_guesses(events: Events) -> None:
    kept: Any = events["RunEvents.stop"].__self__._runner.runs  # type: ignore[attr-defined]
    names = {kept.keep(object()) for _ in range(8)}
    assert len(names) == 8
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


def test_an_upload_is_found_by_whoever_was_told_its_path_alone(page: gr.Blocks) -> None:
    """gradio's upload knows of no session; its paths are digests of the content and of a secret of the installation."""
    data = b"mine alone"
    with httpx.Client(base_url=page.local_url, timeout=60) as http:
        path = Path(http.post(f"{API}upload", files={"files": ("mine.txt", data)}).json()[0])
        assert http.get(f"{API}file={path}").content == data
        assert path.parent.name != sha256(data).hexdigest()
        for guess in (path.parent, path.parents[1], path.parents[1] / sha256(data).hexdigest() / path.name):
            answer = http.get(f"{API}file={guess}")
            assert answer.status_code in (403, 404)
            assert path.parent.name not in answer.text.replace(str(guess), "")


def test_a_sessions_values_are_given_to_nobody(page: gr.Blocks) -> None:
    """gradio writes what a session shows into a file for whoever names the session."""
    session = page.app.state_holder[MINE.session_hash]
    component = next(block for block in page.blocks.values() if isinstance(block, gr.Textbox))
    session._update_value_in_config(component._id, "a secret lake")
    session[component._id] = gr.Textbox("a secret lake", render=False)
    assert list(session.components) == []
    with httpx.Client(base_url=page.local_url, timeout=60) as http:
        link = http.get(f"{API}deep_link", params={"session_hash": MINE.session_hash})
        written = Path(page.app.uploaded_file_dir) / "deep_links" / link.json() / "state.json"
        assert written.read_text() == "[]"


def test_ten_thousand_calls_push_no_visitor_out(page: gr.Blocks) -> None:
    held = page.app.state_holder
    assert isinstance(held, Sessions)
    state = next(block for block in page.blocks.values() if isinstance(block, gr.State))
    held["visitor"][state._id] = "a run"
    for number in range(10_000):
        _ = held[f"call {number}"]
    assert len(held.session_data) <= held.capacity
    assert held["visitor"][state._id] == "a run"
    assert isinstance(held["call 9999"], Session)
    assert "call 0" not in held
    assert set(held.time_last_used) >= set(held.session_data)
    assert len(held.time_last_used) <= held.capacity + 1
