"""Searches plans on the page: what it costs is said before; stopped, it goes on where it was, here or in the shell."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.calibration.subject import Subject
from hgc.charts.quantity import duration, giga
from hgc.planning import optimised
from hgc.request import RequestRefused
from hgc.results.comparison import Cancelled
from hgc.ui.playground.figures import aside, notes_list
from hgc.ui.playground.titles import subject_words
from hgc.ui.playground.wanted import control_of
from hgc.ui.pressing import Jobs, Press, Pressing, Step, Updates, build_press, wire_start, wire_stop
from hgc.ui.queueing import QUIET
from hgc.ui.runner import in_one_sentence
from hgc.ui.schedules.shared import build_shared

if TYPE_CHECKING:
    from hgc.optimise.shelf import Rung, Shelf
    from hgc.spread.plan_search import Cost, Search
    from hgc.studio.studio import Studio
    from hgc.ui.playground.tab import Playground

LOOK_S = 0.5
SEARCH_QUEUE: dict[str, Any] = {"concurrency_id": "search", "concurrency_limit": 1}
INTRO = (
    "<h2>Search for plans</h2><p class='aside'>The search tries many plans for each budget on painted scenes and keeps "
    "the one closest to the full run. The method Optimised uses it. Model, control, steps, sampler and guidance are "
    "the Playground's. If you stop it, it continues from there next time.</p>"
)
STOPPED = "Stopped. All runs are kept: Search goes on from there."
LENT = "Here an accelerator is lent for each run, not for a search: search with `hgc optimize` on a machine of yours."


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
        from hgc.spread.plan_search import cost_of

        try:
            studio = self._loader.studio()
            search = self._asked(studio, values)
            return cost_words(search, cost_of(search, studio))
        except Exception as error:
            return notes_list([in_one_sentence(error)], "error")

    def note(self, page: gr.Request, name: str) -> str:
        """The note until the search begins."""
        self._jobs.note(Press.read(name, page.session_hash))
        return progress("Waiting for its turn.", 0)

    def run(self, page: gr.Request, name: str, *values: Any) -> Iterator[Updates]:
        """The search as it goes, and what it has found."""
        stop = self._jobs.begin(Press.read(name, page.session_hash))
        if stop is None:
            yield self._ended(aside(STOPPED))
            return
        try:
            studio = self._loader.studio()
            yield from self._news(_Going(self._asked(studio, values), studio, stop))
        except Cancelled:
            yield self._ended(aside(STOPPED))
        except Exception as error:
            yield self._ended(notes_list([in_one_sentence(error)], "error"))
        finally:
            stop.set()  # a visitor who leaves closes this generator: the model is to stop as well

    def stop(self, page: gr.Request, name: str) -> None:
        """Ends it at the next step, or before its first."""
        self._jobs.stop(Press.read(name, page.session_hash))

    def _news(self, going: _Going) -> Iterator[Updates]:
        for now in going.news():
            yield {self._card.told: progress(now.words, now.share) + rungs_table(going.found)}
        yield self._ended(aside("Found; Optimised goes by these plans from now on.") + rungs_table(going.found))

    def _ended(self, told: str) -> Updates:
        return {self._card.told: told} | self._card.pressing.ready

    def _asked(self, studio: Studio, values: tuple[Any, ...]) -> Search:
        """Raises RequestRefused."""
        from hgc.spread.plan_search import Search

        budgets, tries, scenes, side, source, annotator, which, steps, sampler, guidance = values
        control = control_of(source, annotator, which, studio.controls)
        subject = Subject(studio.model, control, sampler, int(steps), float(guidance))
        search = Search(subject, shares_of(budgets), int(tries), int(scenes), int(side))
        search.check()
        return search


@dataclass(frozen=True)
class _Now:
    words: str
    share: float


@dataclass
class _Going:
    """A search under way in a thread of its own; each run waits for the model, so that others' are made between."""

    search: Search
    studio: Studio
    stop: threading.Event
    found: list[Rung] = field(default_factory=list)

    def news(self) -> Iterator[_Now]:
        """How far it is, now and then; what was found is kept before it is told. Raises Cancelled."""
        if self.studio.lent:
            raise RequestRefused(LENT)
        told: SimpleQueue[Any] = SimpleQueue()
        worker = threading.Thread(target=self._work, args=(told,), name="search plans", daemon=True)
        begun, first = perf_counter(), None
        worker.start()
        yield _Now("Looking at what is kept.", 0)
        while True:
            try:
                news = told.get(timeout=LOOK_S)
            except Empty:
                continue
            if news is None:
                return
            if isinstance(news, Exception):
                raise news
            made, most = news
            first = made if first is None else first
            left = (perf_counter() - begun) / (made - first) * (most - made) if made > first else None
            yield _Now(_words(made, most, left), made / most)

    def _work(self, told: SimpleQueue[Any]) -> None:
        from hgc.spread.plan_search import SearchAt

        try:
            at = SearchAt(self.search, self.studio, at=lambda made, most: told.put((made, most)), stop=self.stop)
            out = Path(optimised.OWN) / f"{self.search.subject.name}.json"
            for shelf, rung in at.shelves(self._before(out, at), self._beside()):
                shelf.write(out)
                optimised.shelves.cache_clear()
                self.found.append(rung)
            told.put(None)
        except Exception as error:
            told.put(error)

    def _before(self, out: Path, at: Any) -> Shelf | None:
        """The plans made here for these settings, on whichever weights; else those that come with Studio."""
        from hgc.optimise.shelf import Shelf

        if out.exists():
            shelf = Shelf.read(out)
            measured = replace(shelf.table.subject, guidance=self.search.subject.guidance)
            return shelf if measured == self.search.subject else None
        return next((shelf for shelf in optimised.shelves(optimised.PLANS) if at.knows(shelf)), None)

    def _beside(self) -> tuple[Rung, ...]:
        """Plans of the same number of steps kept for what is most alike, to start from as well."""
        subject = self.search.subject
        kept = [*optimised.shelves(Path(optimised.OWN).absolute()), *optimised.shelves(optimised.PLANS)]
        alike = min(kept, key=lambda shelf: optimised.distance(shelf.table.subject, subject), default=None)
        return () if alike is None or alike.table.subject.steps != subject.steps else alike.rungs


def shares_of(budgets: str) -> tuple[float, ...]:
    """Shares of full compute from percentages with commas between. Raises RequestRefused."""
    words = [word.strip().removesuffix("%").strip() for word in re.split(r"[,;]", budgets) if word.strip()]
    try:
        return tuple(sorted({round(float(word) / 100, 6) for word in words}))
    except ValueError as error:
        raise RequestRefused(f"'{budgets[:40]}' are not budgets: write percentages such as 20, 36.8, 50.") from error


def cost_words(search: Search, cost: Cost) -> str:
    """The most that a search takes, as HTML."""
    unknown = "how long that takes is known after a first run in the Playground"
    time = unknown if cost.time_ms is None else f"about {duration(cost.time_ms / 1000)} here"
    return (
        f'<p class="lead">For <b>{escape(search.subject.model)}</b>, {escape(subject_words(search.subject))}: at most '
        f"{cost.runs} runs, {cost.table} of them to measure errors once, each of {search.scenes} scenes at "
        f"{search.side} × {search.side} pixels. All together {giga(cost.macs)} MACs, as much as {cost.pictures:.0f} "
        f"full pictures: {time}.</p>"
    )


def rungs_table(rungs: list[Rung]) -> str:
    """The plan for each budget, as HTML."""
    if not rungs:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{rung.budget:.1%}</th><td>{rung.fidelity_db:.1f} ± {rung.error_bar_db:.1f} dB</td>"
        f"<td>{rung.fewer_steps_db:.1f} dB</td><td>{rung.tried}</td></tr>"
        for rung in rungs
    )
    heads = "".join(f"<th scope='col'>{title}</th>" for title in ("Budget", "Found", "Fewer steps", "Tried"))
    return f'<table class="found"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def progress(words: str, share: float) -> str:
    """How far a search is, as HTML."""
    return (
        f'<div class="calibrating" role="status"><progress max="1" value="{share:.3f}" aria-label="Search">'
        f"</progress><span>{escape(words)}</span></div>"
    )


def _words(made: int, most: int, left_s: float | None) -> str:
    words = f"{made} of at most {most} runs"
    return words if not left_s else f"{words}, about {duration(left_s)} left"


def _wire(card: SearchCard, p: Playground, tab: gr.Tab) -> None:
    events = SearchEvents(card, p)
    asked = [*card.asked, *p.control.map, p.picture.steps, p.picture.sampler, p.picture.guidance]
    shown = [tab.select, card.budgets.change, card.tries.change, card.scenes.change, card.side.change]
    gr.on(shown, events.price, asked, card.cost, trigger_mode="always_last", **QUIET)
    run = Step(events.run, asked, [card.told, *card.pressing.buttons])
    wire_start(card.pressing, card.pressing.starts[0], Step(events.note, outputs=[card.told]), run, queue=SEARCH_QUEUE)
    wire_stop(card.pressing, Step(events.stop))
