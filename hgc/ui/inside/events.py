"""The events that fill the Inside tab: a finished run, the tab's own choices, a closer look, files to take away."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.charts import attention_chart, drift_chart, latency_chart, macs_chart, state_chart
from hgc.planning.methods import arm_titles
from hgc.ui.components.stepper import pictures, stepper
from hgc.ui.inside.attention import NO_WORDS, TOGETHER, attention_view, layer_choices
from hgc.ui.playground.figures import notes_list
from hgc.ui.runner import Runner, in_one_sentence

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison
    from hgc.studio.inspection import Look

EMPTY = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>Nothing to open up yet</h3>'
    "<p>Run something in the Playground; what each step computed and reused will stand here.</p></div>"
)
FORGOTTEN = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>This run is no longer kept</h3>'
    "<p>Only the latest runs are. Run it again to open it up.</p></div>"
)
UNSEEN = (
    '<p class="aside">Not looked at yet. It takes both pictures once more, apart from the comparison, so that the '
    "times above stay fair: one press fills in the attention maps, the drift of every cell and how fast blocks "
    "change.</p>"
)
LOOKING = '<p class="aside" role="status">Looking: waiting for the model.</p>'
NOT_KEPT = "This run is no longer kept: run it again, then look."
MIME = {"json": "application/json", "csv": "text/csv", "html": "text/html"}


class InsideEvents:
    """Answers with updates in the order of the tab's `filled`, `seen` and `look_news`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def open_up(self, run: str | None, detail: str, convention: str) -> list[Any]:
        """Everything that the traces say of a run."""
        comparison = self._runner.runs.find(run)
        if comparison is None:
            closed = [gr.update(value=FORGOTTEN if run else EMPTY, visible=True), gr.update(visible=False)]
            return [*closed, *[gr.skip()] * 8]
        full, cached = comparison.full.trace, comparison.cached.trace
        return [
            gr.update(visible=False),
            gr.update(visible=True),
            summary(comparison),
            stepper(comparison),
            state_chart(cached, detail),  # type: ignore[arg-type]
            pictures(comparison),
            totals(comparison),
            attention_chart(cached),
            macs_chart(full, cached, convention),  # type: ignore[arg-type]
            latency_chart(full, cached),
        ]

    def states_of(self, run: str | None, detail: str) -> Any:
        """The table as executed, at this detail."""
        comparison = self._runner.runs.find(run)
        return gr.skip() if comparison is None else state_chart(comparison.cached.trace, detail)  # type: ignore[arg-type]

    def macs_of(self, run: str | None, convention: str) -> Any:
        """MACs of every step, in this convention."""
        comparison = self._runner.runs.find(run)
        if comparison is None:
            return gr.skip()
        return macs_chart(comparison.full.trace, comparison.cached.trace, convention)  # type: ignore[arg-type]

    def look(self, run: str | None) -> Iterator[list[Any]]:
        """Both pictures once more, watched; what is seen is kept beside the run."""
        from hgc.studio.inspection import Inspection

        refusal = ""
        try:
            for news in self._runner.look(run):
                if not isinstance(news, Inspection):
                    yield [_under_way(news), gr.skip()]
            if self._runner.inspections.find(run) is None:
                refusal = NOT_KEPT
        except Exception as error:
            refusal = in_one_sentence(error)
        yield [notes_list([refusal], "error") if refusal else UNSEEN, gr.update(interactive=True)]

    def show_seen(self, run: str | None, detail: str) -> list[Any]:
        """The result of a closer look at the run now open, or that there was none yet."""
        comparison, seen = self._runner.runs.find(run), self._runner.inspections.find(run)
        if comparison is None or seen is None:
            unseen = [gr.update(value=UNSEEN, visible=True), gr.update(interactive=True, visible=True)]
            return [*unseen, gr.update(visible=False), *[gr.skip()] * 5, gr.update(visible=False), gr.skip()]
        words = [(word.title, number) for number, word in enumerate(seen.words)]
        return [
            gr.update(visible=False),
            gr.update(visible=False),
            gr.update(visible=True),
            gr.update(visible=bool(words)),
            gr.update(choices=words, value=_telling(words)),
            gr.update(choices=layer_choices(seen), value=TOGETHER),
            attention_view(seen, _telling(words), TOGETHER) if words else NO_WORDS,
            state_chart(comparison.cached.trace, detail),  # type: ignore[arg-type]
            gr.update(visible=True),
            drift_chart(comparison.full.trace),
        ]

    def attention_of(self, run: str | None, word: int | None, layer: str) -> Any:
        """One word in one layer."""
        seen = self._runner.inspections.find(run)
        return gr.skip() if seen is None or word is None else attention_view(seen, word, layer)

    def export(self, name: str, run: str | None) -> dict[str, str] | None:
        """A file of the run for the browser to save."""
        from hgc.results.exports import EXPORTS

        comparison = self._runner.runs.find(run)
        if comparison is None:
            gr.Warning("This run is no longer kept: run it again, then export.")
            return None
        stem = f"hgc-{comparison.cached.trace.digest}"
        return {"name": f"{stem}-{name}", "type": MIME[name.rpartition(".")[2]], "text": EXPORTS[name](comparison)}


def summary(comparison: Comparison) -> str:
    trace, request = comparison.cached.trace, comparison.request
    saved = 1 - trace.macs.paper / comparison.full.trace.macs.paper
    return (
        f'<p class="lead"><b>{saved:.1%}</b> of the work was left out in {trace.steps} steps by '
        f"<b>{escape(arm_titles(request)['cached'])}</b>, plan “{escape(trace.plan.name)}”, seed {request.seed}. "
        f"Trace <code>{trace.digest}</code></p>"
    )


def totals(comparison: Comparison) -> str:
    hits, misses = comparison.cached.trace.attention_hits, comparison.cached.trace.attention_misses
    share = hits / (hits + misses) if hits + misses else 0.0
    halved = sum(count == 1 for count in comparison.cached.trace.branches)
    return (
        f'<p class="lead"><b>{hits}</b> hits, <b>{misses}</b> misses: {share:.0%} of the answers came from the cache. '
        f"{halved} of {comparison.cached.trace.steps} steps ran one guidance branch.</p>"
    )


def _under_way(look: Look) -> str:
    done = look.step + (look.steps if look.arm == "cached" else 0)
    return (
        f'<p class="aside" role="status">Looking: the {look.arm} arm, step {look.step} of {look.steps}.</p>'
        f'<progress class="look" max="{2 * look.steps}" value="{done}" aria-label="Looking"></progress>'
    )


def _telling(words: list[tuple[str, int]]) -> int:
    """The word that is shown first: the longest is seldom an article."""
    return max(words, key=lambda word: len(word[0]))[1] if words else 0
