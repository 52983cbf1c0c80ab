"""Searches plans on the page: the cost is shown first, and a stopped search continues, here or in the shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.calibration.subject import Subject
from hgc.request import RequestRefused
from hgc.results.comparison import Cancelled
from hgc.ui.playground.titles import subject_words
from hgc.ui.playground.wanted import control_of
from hgc.ui.pressing import Jobs, Press, Pressing, PressStep, Updates, build_press, wire_start, wire_stop
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import aside, notes_list
from hgc.ui.schedules.progress import progress
from hgc.ui.schedules.rungs import rungs_table, shares_of
from hgc.ui.schedules.searching import Searching
from hgc.ui.schedules.shared import build_shared
from hgc.ui.whereabouts import at_this_machine

if TYPE_CHECKING:
    from hgc.spread.plan_search import Search
    from hgc.studio.studio import Studio
    from hgc.ui.playground.tab import Playground

SEARCH_QUEUE: dict[str, Any] = {"concurrency_id": "search", "concurrency_limit": 1}
INTRO = (
    "<h2>Search for plans</h2><p class='aside'>The search tries many plans for each budget on painted scenes and on "
    "drawings made by a program, and keeps the one closest to the full run. The method Optimised uses it. Model, "
    "control, steps, sampler and guidance are the Playground's. If you stop it, it continues from there next time.</p>"
)
STOPPED = "Stopped. All runs are kept: Search goes on from there."
ELSEWHERE = (
    "Plans are searched only from a browser on the machine that serves this page, because Optimised uses them for "
    "everybody: search with `hgc optimize` on a machine of yours."
)


@dataclass(frozen=True)
class SearchCard:
    """The components of the card."""

    budgets: gr.Textbox
    tries: gr.Slider
    scenes: gr.Slider
    side: gr.Slider
    pressing: Pressing
    cost: gr.HTML
    told: gr.HTML

    @property
    def asked(self) -> list[Any]:
        """The components that say what to search, without the Playground's settings."""
        return [self.budgets, self.tries, self.scenes, self.side]


def build_search(playground: Playground, tab: gr.Tab) -> None:
    """Lays the card out and wires it."""
    with gr.Column(elem_classes="card", elem_id="search-card"):
        gr.HTML(INTRO)
        with gr.Row(equal_height=False, elem_id="search-row"):
            budgets = gr.Textbox(
                "20, 36.8, 50, 65",
                label="Budgets, % of full compute",
                info="A plan is searched for each; commas between them.",
                elem_id="search-budgets",
                min_width=220,
            )
            tries = gr.Slider(
                5, 80, 40, step=1, label="Plans tried for each", info="More may find a better one.", elem_id="tries"
            )
            scenes = gr.Slider(
                2, 8, 4, step=1, label="Scenes", info="More are surer, but slower.", elem_id="search-scenes"
            )
            side = gr.Slider(
                64,
                512,
                128,
                step=64,
                label="Cut-out, pixels",
                info="The middle of each scene. Smaller is faster.",
                elem_id="search-side",
            )
        cost = gr.HTML("", elem_id="search-cost")
        with gr.Row(equal_height=True, elem_id="search-buttons"):
            press = build_press()
            run = gr.Button("Search", size="md", elem_id="search", scale=0, min_width=110)
            stop = gr.Button("Stop", size="md", interactive=False, elem_id="search-stop", scale=0, min_width=70)
        told = gr.HTML("", elem_id="search-told")
        build_shared()
    _wire(SearchCard(budgets, tries, scenes, side, Pressing(press, (run,), stop), cost, told), playground, tab)


class SearchEvents:
    """The answers to the card; Search and Stop go by the number of the press, as Run and Stop do."""

    def __init__(self, card: SearchCard, playground: Playground) -> None:
        self._card, self._loader, self._jobs = card, playground.runner.loader, Jobs()

    def price(self, *values: Any) -> str:
        """The cost of the search, before it starts."""
        from hgc.spread.plan_cost import cost_of, cost_words

        try:
            studio = self._loader.studio()
            search = self._asked(studio, values)
            words = escape(cost_words(search, cost_of(search, studio)))
            what = f"For <b>{escape(search.subject.model)}</b>, {escape(subject_words(search.subject))}"
            return f'<p class="lead">{what}: {words}</p>'
        except Exception as error:
            return notes_list([in_one_sentence(error)], "error")

    def note(self, page: gr.Request, name: str) -> str:
        """The note until the search begins."""
        self._jobs.note(Press.read(name, page.session_hash))
        return progress("Waiting for its turn.", 0, "Search")

    def run(self, page: gr.Request, name: str, *values: Any) -> Iterator[Updates]:
        """The search as it goes, and what it has found."""
        stop = self._jobs.begin(Press.read(name, page.session_hash))
        if stop is None:
            yield self._ended(aside(STOPPED))
            return
        try:
            if not at_this_machine(page):
                raise RequestRefused(ELSEWHERE)
            studio = self._loader.studio()
            yield from self._news(Searching(self._asked(studio, values), studio, stop))
        except Cancelled:
            yield self._ended(aside(STOPPED))
        except Exception as error:
            yield self._ended(notes_list([in_one_sentence(error)], "error"))
        finally:
            stop.set()  # a visitor who leaves closes this generator: the model is to stop as well

    def stop(self, page: gr.Request, name: str) -> None:
        """Ends it at the next step, or before its first."""
        self._jobs.stop(Press.read(name, page.session_hash))

    def _news(self, going: Searching) -> Iterator[Updates]:
        for now in going.news():
            yield {self._card.told: progress(now.words, now.share, "Search") + rungs_table(going.found)}
        yield self._ended(aside("Found; Optimised goes by these plans from now on.") + rungs_table(going.found))

    def _ended(self, message: str) -> Updates:
        return {self._card.told: message} | self._card.pressing.ready

    def _asked(self, studio: Studio, values: tuple[Any, ...]) -> Search:
        """Raises RequestRefused."""
        from hgc.spread.plan_search import Search

        budgets, tries, scenes, side, source, annotator, which, steps, sampler, guidance = values
        control = control_of(source, annotator, which, studio.controls, studio.world.painted)
        subject = Subject(studio.model, control, sampler, int(steps), float(guidance))
        search = Search(subject, shares_of(budgets), int(tries), int(scenes), int(side))
        search.check()
        return search


def _wire(card: SearchCard, p: Playground, tab: gr.Tab) -> None:
    events = SearchEvents(card, p)
    asked = [*card.asked, *p.control.map, p.picture.steps, p.picture.sampler, p.picture.guidance]
    shown = [tab.select, card.budgets.change, card.tries.change, card.scenes.change, card.side.change]
    gr.on(shown, events.price, asked, card.cost, trigger_mode="always_last", **QUIET)
    run = PressStep(events.run, asked, [card.told, *card.pressing.buttons])
    wire_start(
        card.pressing, card.pressing.starts[0], PressStep(events.note, outputs=[card.told]), run, queue=SEARCH_QUEUE
    )
    wire_stop(card.pressing, PressStep(events.stop))
