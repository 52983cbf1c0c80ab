"""The forecast beside Run: whatever changes the cost is priced anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgc.cache.plan import PlanRefused
from hgc.planning.methods import BelowLeast, arm_titles
from hgc.request import Recipe
from hgc.ui.playground.asked import cost_inputs, read_asked, recipe_of
from hgc.ui.playground.cache_panel import read_settings
from hgc.ui.playground.forecast_line import forecast_line, forecast_waiting
from hgc.ui.playground.own_plan import own_plan
from hgc.ui.playground.titles import rival_of
from hgc.ui.queueing import answer_last
from hgc.ui.refusals import in_one_sentence

if TYPE_CHECKING:
    from hgc.results.forecast import Forecast
    from hgc.ui.playground.tab import Playground

NOT_AS_SET = "This cannot be run as it is set: see under Method why."


class ForecastEvents:
    """The answers to changes of the form."""

    def __init__(self, playground: Playground) -> None:
        self._runner, self._loader = playground.runner, playground.runner.loader

    def price(self, *values: Any) -> str:
        """The forecast cost of the second picture with these settings, and of the third."""
        wanted, fields, rest = read_asked(self._loader, values)
        rival, *settings, own = rest
        try:
            plan = own_plan(self._runner, own)
            fields |= wanted.fields(read_settings(settings)) if plan is None else {"plan": plan.as_dict()}
            return self._price(recipe_of(self._loader, fields | {"rival": rival_of(rival)}))
        except PlanRefused:
            return forecast_waiting(NOT_AS_SET)
        except Exception as error:
            return forecast_waiting(in_one_sentence(error))

    def _price(self, recipe: Recipe) -> str:
        titles, note = arm_titles(recipe), ""
        try:
            forecast = self._forecast(recipe)
        except PlanRefused as error:
            if recipe.rival is None:
                raise
            note, forecast = str(error), self._forecast(recipe.but(rival=None))
        if forecast.share_rival is not None:
            note = f"{titles['rival']}: {forecast.share_rival:.1%}"
        return forecast_line(forecast, titles["cached"], note)

    def _forecast(self, recipe: Recipe) -> Forecast:
        """The forecast of Run, which takes a method's least where the budget is below that."""
        studio = self._loader.studio()
        try:
            return studio.forecast(recipe)
        except BelowLeast as error:
            return studio.forecast(error.at_least(recipe))


def priced_of(p: Playground) -> list[Any]:
    """The inputs of `ForecastEvents.price`."""
    return [*cost_inputs(p), p.own.name]


def wire_price(p: Playground) -> None:
    """Whatever changes the cost is priced anew, by whomever it is written: a person, a preset, a run brought back."""
    priced = priced_of(p)
    changed = [component.change for component in (*priced, p.cache.answer, p.results.run_id)]
    answer_last(changed, ForecastEvents(p).price, priced, p.forecast)
