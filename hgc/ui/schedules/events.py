"""The events of the Schedules tab: a plan is taken, edited cell by cell, saved, opened and used."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc import limits
from hgc.cache.anatomy import State
from hgc.cache.plan import Plan
from hgc.cache.plan_edit import Draft, Ground, action_named, edited
from hgc.cache.rehearsal import Unfounded, check
from hgc.cache.rules import PlanRefused
from hgc.charts.plan_grid import PlanGrid
from hgc.charts.quantity import giga, seconds
from hgc.planning.methods import BelowLeast
from hgc.planning.presets import by_budget
from hgc.planning.task import control_off
from hgc.request import Recipe, RequestRefused
from hgc.ui.playground.form import read_recipe
from hgc.ui.playground.own_plan import adopted
from hgc.ui.playground.wanted import control_of
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import notes_list
from hgc.ui.sessions import Kept

if TYPE_CHECKING:
    from hgc.results.forecast import Forecast
    from hgc.ui.playground.tab import Playground

DESKS_KEPT = 64
SITE_NAME = re.compile(r"(?:unet|controlnet|guidance)\.[\w.]*\w")
LARGEST_PLAN_BYTES = limits.PLAN_BYTES
NO_DESK = "This plan is no longer open: open one again."
Shown = list[Any]


@dataclass(frozen=True)
class Desk:
    """A plan under the pen and the recipe that it is for."""

    draft: Draft
    recipe: Recipe
    grid: PlanGrid

    @property
    def ground(self) -> Ground:
        off = tuple(control_off(self.recipe, self.grid.anatomy))
        return Ground(self.grid.anatomy, guidance=self.recipe.guidance > 1, off=off)

    @property
    def planned(self) -> Recipe:
        return self.recipe.model_copy(update={"plan": self.draft.plan.as_dict()})


class ScheduleEvents:
    """Each method answers with what `Schedules.shown` lists: the desk's id, the grid, its headline, notes, buttons."""

    def __init__(self, playground: Playground) -> None:
        self._page, self._runner = playground, playground.runner
        self._desks: Kept[Desk] = Kept(DESKS_KEPT)

    def open(self, desk: str | None, *form: Any) -> Shown:
        """When the tab is opened for the first time: the Playground's plan."""
        return [gr.skip()] * 7 if self._desks.find(desk) else self.take(desk, *form)

    def take(self, desk: str | None, *form: Any) -> Shown:
        """The plan that the Playground would run now: where the method costs more than the budget, at its least."""

        def taken() -> tuple[str, Desk]:
            recipe = self._recipe(form)
            try:
                return self._laid(desk, recipe)
            except BelowLeast as error:
                return self._laid(desk, error.at_least(recipe))

        return self._answered(desk, taken)

    def make(self, desk: str | None, method: str, percent: float, *form: Any) -> Shown:
        """The plan that a method makes within a budget."""
        asked = by_budget(method, percent / 100) | {"plan": None}
        return self._answered(desk, lambda: self._laid(desk, self._recipe(form).but(**asked)))

    def read(self, desk: str | None, file: str | None, *form: Any) -> Shown:
        """The plan of a file."""
        return self._answered(desk, lambda: self._laid(desk, self._recipe(form), read_plan(file)))

    def edit(self, desk: str | None, brush: str, event: gr.EventData) -> Shown:
        """Cells that were pressed, with the action of the key or of the brush."""
        letter = event.action or (None if brush == "next" else brush)

        def change(desk: Desk) -> Draft:
            plan, cells = desk.draft.plan, [(sites_of(desk.grid, key), int(step)) for key, step in event.cells]
            changed = edited(plan, desk.ground, cells, action_named(letter))
            return desk.draft if changed == plan else desk.draft.put(changed)

        return self._changed(desk, change)

    def undo(self, desk: str | None) -> Shown:
        """One edit back."""
        return self._changed(desk, lambda desk: desk.draft.undo())

    def redo(self, desk: str | None) -> Shown:
        """One undone edit forward."""
        return self._changed(desk, lambda desk: desk.draft.redo())

    def use(self, desk: str | None) -> dict[Any, Any]:
        """Puts the plan in force in the Playground."""
        desk_now = self._desks.find(desk)
        return {self._page.own.name: gr.update()} if desk_now is None else adopted(self._page, desk_now.draft.plan)

    def _recipe(self, form: Sequence[Any]) -> Recipe:
        """The Playground's form."""
        source, annotator, which, *values = form
        return read_recipe(
            self._page, control_of(source, annotator, which, self._runner.loader.studio().controls), values
        )

    def _laid(self, desk: str | None, recipe: Recipe, plan: Plan | None = None) -> tuple[str, Desk]:
        """A desk with the recipe's plan, or with one of its own number of steps. Raises PlanRefused."""
        studio = self._runner.loader.studio()
        plan = plan or studio.plan(recipe)
        bare = recipe.model_copy(
            update={"plan": None, "method": "hgc", "budget": None, "at_least": None, "steps": plan.steps}
        )
        laid = Desk(Draft(plan), bare, PlanGrid(studio.anatomy()))
        check(plan, laid.grid.anatomy, plan.steps)
        laid.ground.play(plan)
        return self._desks.keep(laid, desk), laid

    def _changed(self, desk: str | None, change: Callable[[Desk], Draft]) -> Shown:
        def changed() -> tuple[str, Desk]:
            before = self._desks.find(desk)
            if before is None or desk is None:
                raise RequestRefused(NO_DESK)
            return desk, self._kept(desk, replace(before, draft=change(before)))

        return self._answered(desk, changed)

    def _kept(self, name: str, desk: Desk) -> Desk:
        self._desks.keep(desk, name)
        return desk

    def _answered(self, desk: str | None, change: Callable[[], tuple[str, Desk]]) -> Shown:
        """The answer to a change; after a refusal the plan that was there, and why."""
        try:
            name, now = change()
            words = headline(now.draft.plan, self._runner.loader.studio().forecast(now.planned))
        except Exception as error:
            return [desk, gr.skip(), gr.skip(), notes_list([self._why(desk, error)], "error"), *[gr.skip()] * 3]
        draft = now.draft
        return [
            name,
            now.grid.data(now.ground.play(draft.plan)),
            words,
            notes_list(remarks(draft.plan)),
            gr.update(interactive=bool(draft.past)),
            gr.update(interactive=bool(draft.future)),
            gr.update(interactive=True),
        ]

    def _why(self, desk: str | None, error: Exception) -> str:
        """A refusal in the words of the grid: titles instead of names, steps counted from 1."""
        now = self._desks.find(desk)
        return in_one_sentence(error) if now is None else in_the_grids_words(now.grid, error)


def in_the_grids_words(grid: PlanGrid, error: Exception) -> str:
    """A refusal with titles instead of names; steps, where it is about one, counted from 1 as the grid does."""
    if not isinstance(error, Unfounded):
        return SITE_NAME.sub(lambda name: grid.title_of(name[0]), in_one_sentence(error))
    there = "is none" if error.found == 0 else "is only 1" if error.found == 1 else f"are only {error.found}"
    asked = "reusing" if error.state is State.REUSED else "a forecast"
    values = "a value" if error.needed == 1 else f"{error.needed} values"
    return (
        f"{grid.title_of(error.site)}, step {error.step + 1}: {asked} needs {values} computed before, and there {there}"
    )


def sites_of(grid: PlanGrid, key: str) -> Sequence[str]:
    """Raises PlanRefused for a row that the grid does not have."""
    sites = grid.sites_of(key)
    if sites is None:
        raise PlanRefused(f"this model has no row '{key[:40]}'; open the plan again")
    return sites


def read_plan(file: str | None) -> Plan:
    """The plan of an exported file. Raises PlanRefused."""
    if file is None:
        raise PlanRefused("no file was given; choose a plan's JSON")
    path = Path(file)
    if path.stat().st_size > LARGEST_PLAN_BYTES:
        raise PlanRefused(
            f"the file has {path.stat().st_size} bytes, a plan at most {LARGEST_PLAN_BYTES}; choose a plan's JSON"
        )
    try:
        return Plan.from_json(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise PlanRefused("the file is not text; choose a plan's JSON") from error
    except PlanRefused as error:
        raise PlanRefused(f"the file is not a plan that can be read: {error}") from error


def headline(plan: Plan, forecast: Forecast) -> str:
    """The cost of the plan, and the plan as a file."""
    clock = "time is known after the first run"
    if forecast.latency_ms is not None and forecast.latency_ms_full is not None:
        clock = f"about <b>{seconds(forecast.latency_ms)}</b> instead of {seconds(forecast.latency_ms_full)}"
    data = b64encode(plan.to_json().encode()).decode()
    return (
        f'<div class="forecast"><div class="meter" aria-hidden="true"><i style="width:{min(forecast.share, 1):.1%}">'
        f'</i></div><div class="plan-line"><span><b class="plan-share">{forecast.share:.1%}</b> of full compute: '
        f"<b>{giga(forecast.macs.paper)}</b> of {giga(forecast.macs_full.paper)} MACs, {clock}</span>"
        f'<a class="quiet" download="plan.json" href="data:application/json;base64,{data}">Save as JSON</a></div>'
        f'<p class="aside">“{escape(plan.name)}”, {plan.steps} steps, <code>{plan.digest}</code></p></div>'
    )


def remarks(plan: Plan) -> list[str]:
    """The remarks on a plan that the grid cannot show."""
    if plan.gate is None and plan.verification is None:
        return []
    return ["This plan decides while running as well: the grid shows what it computes at least."]
