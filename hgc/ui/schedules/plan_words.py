"""What is said of a plan on the grid: its cost, what the grid cannot show, and why an edit was refused."""

from __future__ import annotations

import re
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from hgc.cache.anatomy import State
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import Unfounded
from hgc.charts.plan_grid import PlanGrid
from hgc.charts.quantity import giga, seconds
from hgc.ui.refusals import in_one_sentence

if TYPE_CHECKING:
    from hgc.results.forecast import Forecast

SITE_NAME = re.compile(r"(?:unet|controlnet|guidance)\.[\w.]*\w")


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
