"""The events of the Schedules tab: a plan is taken, edited cell by cell, saved, opened and used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.cache.plan import Plan
from hgc.cache.plan_edit import Draft, action_named, edited
from hgc.planning.presets import by_budget
from hgc.request import Recipe, RequestRefused
from hgc.ui.playground.form import read_recipe
from hgc.ui.playground.own_plan import adopted
from hgc.ui.playground.wanted import control_of
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import notes_list
from hgc.ui.schedules.desk import PlanDesk, lay, lay_at_least
from hgc.ui.schedules.plan_file import read_plan
from hgc.ui.schedules.plan_words import headline, in_the_grids_words, remarks
from hgc.ui.sessions import RecentItems

if TYPE_CHECKING:
    from hgc.studio.studio import Studio
    from hgc.ui.playground.tab import Playground

DESKS_KEPT = 64
NO_DESK = "This plan is no longer open: open one again."
Answer = list[Any]


class ScheduleEvents:
    """Each method answers with what `Schedules.shown` lists: the desk's id, the grid, its headline, notes, buttons."""

    def __init__(self, playground: Playground) -> None:
        self._page, self._runner = playground, playground.runner
        self._desks: RecentItems[PlanDesk] = RecentItems(DESKS_KEPT)

    def open(self, desk: str | None, *form: Any) -> Answer:
        """When the tab is opened for the first time: the Playground's plan."""
        return [gr.skip()] * 7 if self._desks.find(desk) else self.take(desk, *form)

    def take(self, desk: str | None, *form: Any) -> Answer:
        """The plan that the Playground would run now: where the method costs more than the budget, at its least."""

        def taken() -> tuple[str, PlanDesk]:
            laid = lay_at_least(self._studio, self._recipe(form))
            return self._desks.keep(laid, desk), laid

        return self._answered(desk, taken)

    def make(self, desk: str | None, method: str, percent: float, *form: Any) -> Answer:
        """The plan that a method makes within a budget."""
        asked = by_budget(method, percent / 100) | {"plan": None}
        return self._answered(desk, lambda: self._laid(desk, self._recipe(form).but(**asked)))

    def read(self, desk: str | None, file: str | None, *form: Any) -> Answer:
        """The plan of a file."""
        return self._answered(desk, lambda: self._laid(desk, self._recipe(form), read_plan(file)))

    def edit(self, desk: str | None, brush: str, event: gr.EventData) -> Answer:
        """Cells that were pressed, with the action of the key or of the brush."""
        letter = event.action or (None if brush == "next" else brush)

        def change(desk: PlanDesk) -> Draft:
            plan, cells = desk.draft.plan, [(desk.grid.sites_of(key), int(step)) for key, step in event.cells]
            changed = edited(plan, desk.ground, cells, action_named(letter))
            return desk.draft if changed == plan else desk.draft.put(changed)

        return self._changed(desk, change)

    def undo(self, desk: str | None) -> Answer:
        """One edit back."""
        return self._changed(desk, lambda desk: desk.draft.undo())

    def redo(self, desk: str | None) -> Answer:
        """One undone edit forward."""
        return self._changed(desk, lambda desk: desk.draft.redo())

    def use(self, desk: str | None) -> dict[Any, Any]:
        """Puts the plan in force in the Playground."""
        desk_now = self._desks.find(desk)
        return {self._page.own.name: gr.update()} if desk_now is None else adopted(self._page, desk_now.draft.plan)

    @property
    def _studio(self) -> Studio:
        return self._runner.loader.studio()

    def _recipe(self, form: Sequence[Any]) -> Recipe:
        """The Playground's form."""
        source, annotator, which, *values = form
        studio = self._studio
        control = control_of(source, annotator, which, studio.controls, studio.world.painted)
        return read_recipe(self._page, control, values)

    def _laid(self, desk: str | None, recipe: Recipe, plan: Plan | None = None) -> tuple[str, PlanDesk]:
        laid = lay(self._studio, recipe, plan)
        return self._desks.keep(laid, desk), laid

    def _changed(self, desk: str | None, change: Callable[[PlanDesk], Draft]) -> Answer:
        def changed() -> tuple[str, PlanDesk]:
            before = self._desks.find(desk)
            if before is None or desk is None:
                raise RequestRefused(NO_DESK)
            return desk, self._kept(desk, replace(before, draft=change(before)))

        return self._answered(desk, changed)

    def _kept(self, name: str, desk: PlanDesk) -> PlanDesk:
        self._desks.keep(desk, name)
        return desk

    def _answered(self, desk: str | None, change: Callable[[], tuple[str, PlanDesk]]) -> Answer:
        """The answer to a change; after a refusal the plan that was there, and why."""
        try:
            name, now = change()
            words = headline(now.draft.plan, self._studio.forecast(now.planned))
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
