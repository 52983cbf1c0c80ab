"""What happens in the History tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from hgc.history import History, Record
from hgc.history.differences import settings_of
from hgc.ui import figures, history_views
from hgc.ui.downloads import picture_name
from hgc.ui.queueing import QUIET
from hgc.ui.runner import Runner, in_one_sentence
from hgc.ui.titles import ARM_NAMES

if TYPE_CHECKING:
    from hgc.ui.history import HistoryTab
    from hgc.ui.playground import Playground

# So many runs are shown at first, and with every "Show more".
PAGE = 48
Updates = dict[Any, Any]
DOWNLOAD_JS = """() => setTimeout(() => {
  const found = document.getElementById('exported');
  (found?.matches('button, a') ? found : found?.querySelector('button, a'))?.click();
}, 50)"""


class HistoryEvents:
    """What the tab's inputs do. Ids come from the page; the history gives nobody another visitor's runs."""

    def __init__(self, tab: HistoryTab, runner: Runner) -> None:
        self._tab, self._runner, self._place = tab, runner, runner.place

    def list(self, page: gr.Request, search: str, shown: int | None, chosen: list[str] | None) -> Updates:
        """The runs that match, newest first."""
        tab, history = self._tab, self._place.history
        if history is None:
            return {tab.grid: history_views.SWITCHED_OFF}
        limit, owner = shown or PAGE, self._owner(page)
        try:
            entries, total = history.entries(search, owner, limit), history.count(search, owner)
            kept_bytes = history.size_bytes()
        except Exception as error:
            return {tab.grid: figures.notes_list([in_one_sentence(error)], "error")}
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
        tab, names = self._tab, chosen or []
        closed = {tab.empty: gr.update(visible=not names), tab.panel: gr.update(visible=bool(names))}
        asked = {tab.sure: gr.update(visible=False)}
        if not names:
            return closed | asked
        try:
            records = [self._history.load(name, self._owner(page)) for name in names[:2]]
            shown = self._one(records[0]) if len(names) == 1 else self._two(records[0], records[1], arm)
            if len(names) > 2:
                shown = _many(tab, len(names))
            tags = self._tags(names, page)
        except Exception as error:
            shown, tags = _many(tab, len(names)) | {tab.facts: _refused(error)}, ""
        return closed | asked | shown | {tab.tags: tags}

    def _one(self, record: Record) -> Updates:
        from hgc.service.records import comparison_of
        from hgc.ui.titles import captions

        found, tab = comparison_of(record), self._tab
        titles = captions(found)
        full, cached = (record.arm(name) for name in ARM_NAMES[:2])
        facts = figures.figures_row(found.figures()) + history_views.settings_list(settings_of(record.request))
        return {
            tab.head: history_views.run_head(record.request.prompt or "Without words", record.made),
            tab.arm: gr.update(visible=False),
            tab.slider: gr.update(value=(full.pixels, cached.pixels), visible=True),
            tab.left: gr.update(value=self._file(record, "full"), visible=True),
            tab.right: gr.update(value=self._file(record, "cached"), visible=True),
            tab.ends: history_views.ends(titles["full"], titles["cached"]),
            tab.facts: facts,
            tab.reopen: gr.update(visible=True),
        }

    def _two(self, left: Record, right: Record, arm: str) -> Updates:
        from hgc.metrics import psnr, ssim
        from hgc.service.originals import unlike

        tab, pictures = self._tab, (left.arm(arm).pixels, right.arm(arm).pixels)
        titles = [f"{record.method}, seed {record.request.seed}" for record in (left, right)]
        apart = unlike(left.request, right.request) | left.made.unlike(right.made)
        if pictures[0].shape == pictures[1].shape:
            alike = history_views.likeness_line(psnr(*pictures), ssim(*pictures))
        else:
            alike = '<p class="lead">The pictures differ in size, so their likeness cannot be measured.</p>'
        return {
            tab.head: '<h2>Two runs compared</h2><p class="aside">The one ticked first is on the left.</p>',
            tab.arm: gr.update(visible=True),
            tab.slider: gr.update(value=pictures, visible=True),
            tab.left: gr.update(value=self._file(left, arm), visible=True),
            tab.right: gr.update(value=self._file(right, arm), visible=True),
            tab.ends: history_views.ends(*titles),
            tab.facts: alike + history_views.differences_table(apart, "Left", "Right"),
            tab.reopen: gr.update(visible=False),
        }

    def _file(self, record: Record, arm: str) -> str:
        """The signed picture as a file of the page, which deletes it in time."""
        name = picture_name(record.request, arm)
        return save_bytes_to_cache(record.arm(arm).png, name, self._tab.left.GRADIO_CACHE)

    def _tags(self, names: list[str], page: gr.Request) -> str:
        """The tags that all of these runs have."""
        found = self._history.tags(names, self._owner(page))
        return ", ".join(tag for tag in found[0] if all(tag in other for other in found)) if found else ""

    def save_tags(self, page: gr.Request, chosen: list[str] | None, tags: str) -> str:
        """Gives the ticked runs these tags, and shows them as they were kept."""
        with told():
            self._history.tag(chosen or [], tags, self._owner(page))
        return self._tags(chosen or [], page)

    def export(self, page: gr.Request, chosen: list[str] | None) -> str:
        """A zip of the ticked runs, as a file of the page."""
        with told():
            data = self._history.export(chosen or [], self._owner(page))
        return save_bytes_to_cache(data, "hgc-runs.zip", self._tab.exported.GRADIO_CACHE)

    def ask(self, chosen: list[str] | None) -> tuple[Any, str]:
        return gr.update(visible=True), history_views.question(len(chosen or ()))

    def delete(self, page: gr.Request, chosen: list[str] | None) -> None:
        """Deletes the ticked runs; there is nothing ticked afterwards."""
        with told():
            self._history.delete(chosen or [], self._owner(page))

    def _owner(self, page: gr.Request) -> str:
        return self._place.owner(page.session_hash)

    @property
    def _history(self) -> History:
        return self._runner.history
