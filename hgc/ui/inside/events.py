"""The events that fill the Inside tab: a finished run, the tab's own choices, a closer look, files to take away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from hgc.charts import attention_chart, drift_chart, latency_chart, macs_chart, state_chart
from hgc.results.exports import EXPORTS
from hgc.ui.components.stepper import pictures, stepper
from hgc.ui.inside.attention import NO_WORDS, TOGETHER, attention_view, layer_choices, totals
from hgc.ui.inside.summary import EMPTY, FORGOTTEN, UNSEEN, summary, under_way
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import notes_list
from hgc.ui.runner import Runner

NOT_KEPT = "This run is no longer kept: run it again, then look."
MIME = {"json": "application/json", "csv": "text/csv", "html": "text/html"}


class InsideEvents:
    """Answers with updates in the order of the tab's `filled`, `seen` and `look_news`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def open_up(self, run: str | None, arm: str, detail: str, convention: str) -> list[Any]:
        """Everything that the traces say of an arm of a run."""
        opened = self._runner.opened(run, arm)
        if opened is None:
            closed = [gr.update(value=FORGOTTEN if run else EMPTY, visible=True), gr.update(visible=False)]
            return [*closed, *[gr.skip()] * 9]
        return [
            gr.update(visible=False),
            gr.update(visible=True),
            gr.update(choices=[(title, name) for name, title in opened.titles.items()], value=opened.name),
            summary(opened),
            stepper(opened),
            state_chart(opened.trace, detail),  # type: ignore[arg-type]
            pictures(opened),
            totals(opened.trace),
            attention_chart(opened.trace),
            macs_chart(opened.traces, opened.titles, convention),  # type: ignore[arg-type]
            latency_chart(opened.traces, opened.titles),
        ]

    def states_of(self, run: str | None, arm: str, detail: str) -> Any:
        """The table as executed, at this detail."""
        opened = self._runner.opened(run, arm)
        return gr.skip() if opened is None else state_chart(opened.trace, detail)  # type: ignore[arg-type]

    def macs_of(self, run: str | None, arm: str, convention: str) -> Any:
        """MACs of every step, in this convention."""
        opened = self._runner.opened(run, arm)
        if opened is None:
            return gr.skip()
        return macs_chart(opened.traces, opened.titles, convention)  # type: ignore[arg-type]

    def look(self, run: str | None) -> Iterator[list[Any]]:
        """Every picture once more, watched; what is seen is kept beside the run."""
        from hgc.studio.inspection import Inspection

        refusal = ""
        try:
            for news in self._runner.look(run):
                if not isinstance(news, Inspection):
                    yield [under_way(news, self._runner.opened(run, news.arm)), gr.skip()]
            if self._runner.inspections.find(run) is None:
                refusal = NOT_KEPT
        except Exception as error:
            refusal = in_one_sentence(error)
        yield [notes_list([refusal], "error") if refusal else UNSEEN, gr.update(interactive=True)]

    def show_seen(self, run: str | None, arm: str, detail: str) -> list[Any]:
        """The result of a closer look at the run now open, or that there was none yet."""
        opened, seen = self._runner.opened(run, arm), self._runner.inspections.find(run)
        if opened is None or seen is None:
            unseen = [gr.update(value=UNSEEN, visible=True), gr.update(interactive=True, visible=True)]
            return [*unseen, gr.update(visible=False), *[gr.skip()] * 5, gr.update(visible=False), gr.skip()]
        words = [(word.title, number) for number, word in enumerate(seen.words)]
        view = attention_view(seen, opened.name, opened.title, _telling(words), TOGETHER) if words else NO_WORDS
        return [
            gr.update(visible=False),
            gr.update(visible=False),
            gr.update(visible=True),
            gr.update(visible=bool(words)),
            gr.update(choices=words, value=_telling(words)),
            gr.update(choices=layer_choices(seen), value=TOGETHER),
            view,
            state_chart(opened.trace, detail),  # type: ignore[arg-type]
            gr.update(visible=True),
            drift_chart(opened.full),
        ]

    def attention_of(self, run: str | None, arm: str, word: int | None, layer: str) -> Any:
        """One word in one layer."""
        opened, seen = self._runner.opened(run, arm), self._runner.inspections.find(run)
        if opened is None or seen is None or word is None:
            return gr.skip()
        return attention_view(seen, opened.name, opened.title, word, layer)

    def export(self, name: str, run: str | None, arm: str) -> dict[str, str] | None:
        """A file of the arm for the browser to save."""

        opened = self._runner.opened(run, arm)
        if opened is None:
            gr.Warning("This run is no longer kept: run it again, then export.")
            return None
        stem = f"hgc-{opened.trace.digest}"
        return {"name": f"{stem}-{name}", "type": MIME[name.rpartition(".")[2]], "text": EXPORTS[name](opened)}


def _telling(words: list[tuple[str, int]]) -> int:
    """The word that is shown first: the longest is seldom an article."""
    return max(words, key=lambda word: len(word[0]))[1] if words else 0
