"""The events of the History tab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from hgc.history import Record
from hgc.history.differences import settings_of
from hgc.metrics import psnr, ssim
from hgc.results.again import Original, unlike
from hgc.results.records import comparison_of
from hgc.ui.components.viewer import ViewerPicture, scene, scene_of
from hgc.ui.history import views as history_views
from hgc.ui.history.tab import HistoryTab
from hgc.ui.playground import figures
from hgc.ui.playground.restored_card import told_text
from hgc.ui.playground.restoring import Restoring, beyond
from hgc.ui.playground.session import wire_brought_back
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import notes_list
from hgc.ui.runner import Runner

if TYPE_CHECKING:
    from hgc.ui.playground.tab import Playground


# So many runs are shown at first, and with every "Show more".
PAGE = 48
Updates = dict[Any, Any]
DOWNLOAD_JS = """() => setTimeout(() => {
  const found = document.getElementById('exported');
  (found?.matches('button, a') ? found : found?.querySelector('button, a'))?.click();
}, 100)"""


class HistoryEvents:
    """The answers to the tab's inputs. Ids come from the page: the history gives nobody another visitor's runs."""

    def __init__(self, tab: HistoryTab, runner: Runner, restoring: Restoring) -> None:
        self._tab, self._runner, self._restoring = tab, runner, restoring

    def enlist(self, page: gr.Request, search: str, shown: int | None, chosen: list[str] | None) -> Updates:
        """The runs that match, newest first."""
        tab, owner, limit = self._tab, self._owner(page), shown or PAGE
        if self._runner.place.history is None:
            return {tab.grid: history_views.SWITCHED_OFF}
        try:
            history = self._runner.history
            entries, total = history.entries(search, owner, limit), history.count(search, owner)
            kept_bytes = history.size_bytes()
        except Exception as error:
            return {tab.grid: notes_list([in_one_sentence(error)], "error")}
        return {
            tab.grid: history_views.runs_grid(entries, chosen or (), bool(search.strip())),
            tab.count: history_views.count_line(len(entries), total, kept_bytes),
            tab.more: gr.update(visible=total > len(entries)),
        }

    def widen(self, shown: int | None) -> int:
        return (shown or PAGE) + PAGE

    def choose(self, chosen: list[str] | None, event: gr.EventData) -> list[str]:
        """The ticked runs in the order of ticking."""
        ticked = [name for name in event.ids if isinstance(name, str)]
        before = [name for name in chosen or () if name in ticked]
        return before + [name for name in ticked if name not in before]

    def look(self, page: gr.Request, chosen: list[str] | None, arm: str) -> Updates:
        """The panel for what is ticked: nothing, one run, two to compare, or many."""
        tab, names, owner = self._tab, chosen or [], self._owner(page)
        frame = {
            tab.empty: gr.update(visible=not names),
            tab.panel: gr.update(visible=bool(names)),
            tab.sure: gr.update(visible=False),
            tab.arm: gr.update(visible=len(names) == 2),
            tab.viewer: gr.update(visible=0 < len(names) < 3),
            tab.reopen: gr.update(visible=len(names) == 1),
            tab.head: history_views.many(len(names)),
            tab.facts: "",
        }
        if not names:
            return frame
        try:
            frame[tab.tags] = ", ".join(_shared(self._runner.history.tags(names, owner)))
            records = [self._runner.history.load(name, owner) for name in names if len(names) < 3]
            shown = self._one(*records) if len(records) == 1 else self._two(arm, *records) if records else {}
        except Exception as error:
            shown = {tab.facts: notes_list([in_one_sentence(error)], "error")}
        return frame | shown

    def _one(self, record: Record) -> Updates:

        comparison, tab = comparison_of(record), self._tab
        return {
            tab.head: history_views.run_head(record.request.prompt or "Without words", record.made),
            tab.viewer: gr.update(value=scene(comparison), visible=True),
            tab.facts: figures.figures_row(comparison.figures())
            + history_views.settings_list(settings_of(record.request)),
        }

    def _two(self, arm: str, left: Record, right: Record) -> Updates:

        apart = unlike(left.request, right.request) | left.made.unlike(right.made)
        lines = history_views.told_apart(apart) or (history_views.run_line(left), history_views.run_line(right))
        tab, shown = self._tab, [_shown(left, arm, "left", lines[0]), _shown(right, arm, "right", lines[1])]
        pictures, maps = [one.pixels for one in shown], (left.request.control_png, right.request.control_png)
        if pictures[0].shape != pictures[1].shape:
            words, viewer = history_views.UNEQUAL_SIZES, gr.update(visible=False)
        else:
            words = history_views.likeness_line(psnr(*pictures), ssim(*pictures))
            viewer = gr.update(value=scene_of(shown, left.request), visible=True)
        return {
            tab.head: history_views.TWO,
            tab.viewer: viewer,
            tab.facts: words + history_views.differences_table(apart, "Left", "Right", maps),
        }

    def reopen(self, page: gr.Request, chosen: list[str] | None) -> Updates:
        """The run on the Playground: its pictures and figures as they were, its settings on the form."""

        with refused():
            record = self._runner.history.load((chosen or [""])[0], self._owner(page))
            text = told_text("Opened from the history", record.made.words, beyond(self._restoring.page, record.request))
            updates = self._restoring.restored(Original.of_record(record), text)
            run = self._runner.runs.keep(comparison_of(record))
        return updates | {self._restoring.run_id: run}

    def save_tags(self, page: gr.Request, chosen: list[str] | None, tags: str) -> str:
        """Gives the ticked runs these tags, and shows them as they were kept."""
        names, owner = chosen or [], self._owner(page)
        with refused():
            self._runner.history.tag(names, tags, owner)
            return ", ".join(_shared(self._runner.history.tags(names, owner)))

    def export(self, page: gr.Request, chosen: list[str] | None) -> str:
        """A zip of the ticked runs, as a file of the page, which deletes it in time."""
        with refused():
            data = self._runner.history.export(chosen or [], self._owner(page))
        return save_bytes_to_cache(data, "hgc-runs.zip", self._tab.exported.GRADIO_CACHE)

    def ask(self, chosen: list[str] | None) -> tuple[Any, str]:
        """Asks before anything is deleted."""
        return gr.update(visible=True), history_views.question(len(chosen or ()))

    def delete(self, page: gr.Request, chosen: list[str] | None) -> None:
        """Deletes the ticked runs; nothing is ticked afterwards."""
        with refused():
            self._runner.history.delete(chosen or [], self._owner(page))

    def _owner(self, page: gr.Request) -> str:
        return self._runner.place.owner(page.session_hash)


@contextmanager
def refused() -> Iterator[None]:
    """Any error as one sentence that the page shows for a while."""
    try:
        yield
    except Exception as error:
        raise gr.Error(in_one_sentence(error), print_exception=False) from error


def _shared(tags: list[tuple[str, ...]]) -> list[str]:
    """The tags that all of these runs have."""
    return [tag for tag in tags[0] if all(tag in other for other in tags)] if tags else []


def _shown(record: Record, arm: str, name: str, line: str) -> ViewerPicture:
    stored = record.arm(arm)
    return ViewerPicture(
        name, name.capitalize(), line, record.request.prompt or "without words", stored.pixels, stored.png
    )


def wire_history(tab: HistoryTab, opened: gr.Tab, runner: Runner, restoring: Restoring, p: Playground) -> None:
    """The list fills itself whenever the tab is opened and a run is finished."""
    events = HistoryEvents(tab, runner, restoring)
    asked = [tab.search, tab.shown, tab.chosen]
    listing: dict[str, Any] = {"fn": events.enlist, "inputs": asked, "outputs": tab.listed, **QUIET}
    looking: dict[str, Any] = {
        "fn": events.look, "inputs": [tab.chosen, tab.arm], "outputs": tab.looked_at, **QUIET
    }  # fmt: skip
    gr.on([opened.select, p.results.run_id.change, tab.search.change], **listing, trigger_mode="always_last")
    tab.more.click(events.widen, tab.shown, tab.shown, **QUIET).then(**listing)
    tab.grid.input(events.choose, tab.chosen, tab.chosen, trigger_mode="multiple", **QUIET).then(**looking)
    tab.arm.input(**looking)
    reopened = tab.reopen.click(events.reopen, tab.chosen, [*restoring.outputs, restoring.run_id], **QUIET)
    wire_brought_back(p, reopened)
    tab.save_tags.click(events.save_tags, [tab.chosen, tab.tags], tab.tags, **QUIET).then(**listing)
    tab.export.click(events.export, tab.chosen, tab.exported, **QUIET).success(
        None, None, None, js=DOWNLOAD_JS, api_visibility="private"
    )
    tab.delete.click(events.ask, tab.chosen, [tab.sure, tab.question], **QUIET)
    tab.keep.click(lambda: gr.update(visible=False), None, tab.sure, **QUIET)
    gone = tab.delete_now.click(events.delete, tab.chosen, None, **QUIET)
    gone.success(lambda: None, None, tab.chosen, **QUIET).then(**looking).then(**listing)
