"""Running a sweep and stopping it: what is there stays. Every press has a number, as in the Playground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.charts.pareto import pareto_chart
from hgc.judges import is_error
from hgc.refused import Refused
from hgc.spread.here import place_of
from hgc.sweep import LADDER_AXIS, Axis, Sweep, base_of, parse_seeds
from hgc.sweep.table import points, records
from hgc.ui.explore.grid import grid, price_line, progress_bar, told, waiting
from hgc.ui.explore.swept import Swept, as_files
from hgc.ui.explore.tab import NOTHING
from hgc.ui.playground.drawing import ControlMap, drawn, fitted, prepare
from hgc.ui.playground.form import form_outputs, read_recipe, write_form
from hgc.ui.playground.wanted import HGC, control_of, within_reach
from hgc.ui.pressing import Jobs, Press, PressStep, Updates, wire_start, wire_stop
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence
from hgc.ui.sessions import RecentItems

if TYPE_CHECKING:
    from hgc.request import Recipe
    from hgc.ui.explore.tab import Explore
    from hgc.ui.playground.tab import Playground

SWEEPS_KEPT = 3
FORGOTTEN = "This run is no longer kept: run the sweep again, then open it."


class ExploreEvents:
    """The answers to presses. Each method gives updates of the page, none for a press that was replaced."""

    def __init__(self, playground: Playground, explore: Explore, tabs: gr.Tabs) -> None:
        self._page, self._tab, self._tabs, self._runner = playground, explore, tabs, playground.runner
        self._jobs, self._kept = Jobs(), RecentItems[Swept](SWEEPS_KEPT)
        self._pressing = explore.pressing

    def note(self, page: gr.Request, name: str) -> Any:
        """The note in the pictures' place until the sweep begins."""
        press = Press.read(name, page.session_hash)
        self._jobs.note(press)
        loading = not self._runner.loader.settled
        return gr.update(value=waiting(loading), visible=True) if self._jobs.stands(press) else gr.update()

    def take_up(self, page: gr.Request, name: str, *drawing: Any) -> Updates:
        """Makes the control map, apart from the run, which waits for the model."""
        press = Press.read(name, page.session_hash)
        try:
            given, studio = drawn(*drawing), self._runner.loader.studio()
            given = fitted(given, studio)
            prepared, _ = prepare(studio, given)
        except Exception as error:
            return self._failed(press, error)
        self._runner.sheets.keep(ControlMap(prepared.png, given.control), _sheet_name(press))
        return self._pressing.unchanged

    def run(self, page: gr.Request, name: str, kind: str, *values: Any) -> Iterator[Updates]:
        """Every run of the sweep; whatever is there when it is stopped stays."""
        press = Press.read(name, page.session_hash)
        sheet = self._runner.sheets.find(_sheet_name(press))
        stop = self._jobs.begin(press) if sheet is not None else None
        if sheet is None or stop is None:
            yield self._ended(press) | self._never_begun(press)
            return
        try:
            swept = Swept(self._sweep(sheet.control, kind, list(values)).on_map(sheet.png))
            for updates in self._news(swept, stop):
                yield updates if self._jobs.stands(press) else self._pressing.unchanged
            swept.stopped = len(swept.outcomes) < len(swept.sweep.cells)
            yield self._finished(swept) if self._latest(press) else self._pressing.unchanged
        except Exception as error:
            yield self._failed(press, error)
        finally:
            # A visitor who leaves closes this generator: the model is to stop as well.
            stop.set()

    def stop(self, page: gr.Request, name: str) -> Updates:
        """Ends the visitor's sweep at the next step of its run, or before its first."""
        press = Press.read(name, page.session_hash)
        self._jobs.stop(press)
        return self._ended(press)

    def price(self, source: str, annotator: str, which: str, *values: Any) -> str:
        """How many runs there will be and how long they take; or in one sentence why not."""
        from hgc.sweep.pricing import jobs

        try:
            studio = self._runner.loader.studio()
            control = control_of(source, annotator, which, studio.controls, studio.world.painted)
            sweep = self._sweep(control, "sweep", list(values))
            return price_line(sweep, jobs(studio, sweep.cells), place_of(studio).size)
        except Exception as error:
            return told(in_one_sentence(error), "error")

    def chart(self, sweep_id: str | None, cost: Any, fidelity: Any) -> Any:
        """Cost against likeness of what there is of a sweep."""

        swept = self._kept.find(sweep_id)
        if swept is None:
            return gr.skip()
        rows = records(swept.sweep, swept.outcomes.values())
        if fidelity == "control_score" and any(is_error(row.get("control_score_name") or "") for row in rows.values()):
            fidelity = "control_error"
        return pareto_chart(points(swept.sweep, rows), cost, fidelity)

    def open(self, event: gr.EventData, sweep_id: str | None, *drawing: Any) -> Updates:
        """The Playground with a run of the sweep: its settings in the form, its pictures on the stage."""
        swept = self._kept.find(sweep_id)
        out = None if swept is None else swept.outcomes.get(str(event.run))
        if out is None or out.comparison is None:
            return {self._tab.progress: gr.update(value=told(FORGOTTEN, "error"), visible=True)}
        shown = {self._page.results.run_id: self._runner.runs.keep(out.comparison)}
        plan = out.comparison.cached.trace.plan
        filled = write_form(self._page, out.cell.request, plan, self._map_of(drawing))
        return shown | filled | {self._tabs: gr.Tabs(selected="playground")}

    def _map_of(self, drawing: tuple[Any, ...]) -> bytes | None:
        """The control map of what is on the canvas now, None where there is none."""
        try:
            return prepare(self._runner.loader.studio(), drawn(*drawing))[0].png
        except Refused:
            return None

    def _sweep(self, control: str, kind: str, values: list[Any]) -> Sweep[Recipe]:
        """The sweep that the form asks for, the tab's own values first. Raises RequestRefused, PlanRefused."""
        (x, x_values, y, y_values, seeds, rival, percent), rest = values[:7], values[7:]
        base = read_recipe(self._page, control, rest).but(rival="fewer_steps" if rival else None)
        if kind == "ladder":
            return Sweep.ladder(self._base(base, [LADDER_AXIS]))
        first, second = Axis.parse(x, x_values), None if y == NOTHING else Axis.parse(y, y_values)
        if "method" in (x, y):
            base = base.but(budget=percent / 100, plan=None)
        axes = [axis for axis in (first, second) if axis is not None]
        return Sweep(self._base(base, axes), first, second, parse_seeds(seeds))

    def _base(self, recipe: Recipe, axes: Sequence[Axis]) -> Recipe:
        """The base of the axes: the method's least where no axis decides what it costs and the budget is lower."""
        studio = self._runner.loader.studio()
        if any(axis.setting.of_hgc for axis in axes):
            recipe = recipe.but(method=HGC, plan=None)
        if not any(axis.name in ("budget", "method") for axis in axes):
            recipe = within_reach(studio, recipe).recipe
        return base_of(recipe, axes, studio.blueprint)

    def _news(self, swept: Swept, stop: Any) -> Iterator[Updates]:
        from hgc.sweep.run import Outcome, run_cells

        tab, sweep, outcomes = self._tab, swept.sweep, swept.outcomes
        name = self._kept.keep(swept)
        order = [cell.key for cell in sweep.cells]
        yield {tab.sweep_id: name, tab.grid: grid(sweep, outcomes, order[0]), tab.charted: gr.update(visible=False)}
        for news in run_cells(self._runner.loader.studio(), sweep.cells, cancel=stop):
            if isinstance(news, Outcome):
                outcomes[news.cell.key] = news
                running = next((key for key in order if key not in outcomes), "")
                yield {tab.grid: grid(sweep, outcomes, running)}
            else:
                yield {tab.progress: gr.update(value=progress_bar(sweep, news), visible=True)}

    def _finished(self, swept: Swept) -> Updates:
        tab, there = self._tab, [out for out in swept.outcomes.values() if out.comparison is not None]
        updates = self._pressing.ready | {
            tab.progress: gr.update(value=told(swept.summary), visible=True),
            tab.grid: grid(swept.sweep, swept.outcomes, stopped=swept.stopped),
            tab.charted: gr.update(visible=bool(there)),
        }
        return updates | as_files(tab, swept.sweep, swept.outcomes.values()) if there else updates

    def _latest(self, press: Press) -> bool:
        """Whether no later press has taken its place; it may have been stopped."""
        return self._jobs.stands(press) or self._jobs.stopped(press)

    def _ended(self, press: Press) -> Updates:
        """Ready for the next press, if the visitor's latest one was stopped."""
        return self._pressing.ready if self._jobs.stopped(press) else self._pressing.unchanged

    def _never_begun(self, press: Press) -> Updates:
        """The note on a sweep that was stopped while it waited."""
        before = told("Stopped before its first run.")
        return {self._tab.progress: gr.update(value=before, visible=True)} if self._jobs.stopped(press) else {}

    def _failed(self, press: Press, error: Exception) -> Updates:
        sentence = in_one_sentence(error)
        if not self._jobs.stands(press):
            return self._ended(press)
        return self._pressing.ready | {self._tab.progress: gr.update(value=told(sentence, "error"), visible=True)}


def _sheet_name(press: Press) -> str:
    return f"sweep {press.name}"


def wire_explore(playground: Playground, explore: Explore, tabs: gr.Tabs, tab: gr.Tab) -> None:
    """Both buttons start a sweep, Stop ends it; a picture or a dot opens its run in the Playground."""
    events = ExploreEvents(playground, explore, tabs)
    p, form = playground, [*explore.form, playground.cache.budget, *playground.run_inputs]
    pressing, kinds = explore.pressing, dict(zip(explore.pressing.starts, ("sweep", "ladder"), strict=True))
    said = [explore.progress, *pressing.buttons]
    shown = [explore.sweep_id, explore.grid, explore.charted, explore.csv, explore.parquet, *said]
    note, take_up = (
        PressStep(events.note, outputs=[explore.progress]),
        PressStep(events.take_up, p.control.drawing, said),
    )
    run = PressStep(events.run, [explore.kind, *form], shown)
    charted = {"inputs": [explore.sweep_id, explore.cost, explore.fidelity], "outputs": explore.chart}
    for button, kind in kinds.items():
        ran = wire_start(pressing, button, note, run, take_up, also={explore.kind: kind})
        ran.then(events.chart, **charted, **QUIET)
    wire_stop(pressing, PressStep(events.stop, outputs=said))

    choices = [explore.cost.input, explore.fidelity.input]
    gr.on(choices, events.chart, **charted, **QUIET)
    edited = [tab.select, *(component.change for component in explore.form)]
    priced = [*p.control.map, *form]
    gr.on(edited, events.price, priced, explore.forecast, trigger_mode="always_last", **QUIET)
    opened = [tabs, explore.progress, p.results.run_id, *form_outputs(p)]
    # In the queue: without it a change of the run's id would tell nobody.
    explore.grid.click(events.open, [explore.sweep_id, *p.control.drawing], opened, **QUIET)
