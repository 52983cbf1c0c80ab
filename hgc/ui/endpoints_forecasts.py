"""The endpoints that answer before a run: HGC's settings for a budget, the cost of a run, the budget for a target."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

import gradio as gr

from hgc.planning.methods import DEFAULT_METHOD
from hgc.planning.presets import by_budget
from hgc.planning.quality import Solution
from hgc.request import Recipe, RequestRefused
from hgc.results.forecast import Forecast
from hgc.ui.arguments import arguments
from hgc.ui.refusals import refusals
from hgc.ui.runner import Runner

WINDOW = ("control_scale", "control_start", "control_end")
RUN = ("steps", "guidance", *WINDOW, "loras")


def add_forecasts(runner: Runner) -> None:
    """Adds them to the page; none of them is seen on it."""
    _add_settings_for(runner)
    _add_forecast(runner)
    _add_budget_for(runner)


def _add_settings_for(runner: Runner) -> None:
    @arguments("preset", "budget", *RUN)
    def settings_for(fields: dict[str, Any], preset: str = "Paper", budget: float | None = None) -> dict[str, Any]:
        """HGC's settings for a preset, or for a budget, in a run like this.

        Args:
            preset: Exact, Quality, Balanced, Paper or Turbo; not read when a budget is given.
            budget: share of full compute that the cached arm may use, 0 to 1.
        """
        with refusals():
            studio = runner.loader.studio()
            asked = by_budget("hgc", preset if budget is None else budget)
            return asdict(studio.settings(Recipe.parse({"model": studio.model} | fields | asked)))

    gr.api(settings_for, concurrency_limit=4)


def _add_forecast(runner: Runner) -> None:
    @arguments(
        *("preset", "cache", "steps", "sampler", "guidance", "method", "budget", "control"),
        *WINDOW,
        *("verify", "plan", "at_least", "loras"),
    )
    def forecast(
        fields: dict[str, Any],
        preset: str = "Paper",
        cache: dict[str, Any] | None = None,
        method: str = DEFAULT_METHOD,
        budget: float | None = None,
        plan: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Forecast the cost of a run: MACs in both conventions, and milliseconds once this server has measured one.

        Args:
            preset: Exact, Quality, Balanced, Paper or Turbo; not read when cache settings are given.
            cache: cache settings as settings_for returns them.
            method: how work is saved, as methods lists them.
            budget: share of full compute, 0 to 1, instead of the preset's.
            plan: a plan of your own, as forecast and edit_plan return it, instead of a method's.
        """
        with refusals():
            studio = runner.loader.studio()
            asked = (
                {"plan": plan, "at_least": None}
                if plan is not None
                else asked_for(method, preset if budget is None else budget, cache, fields["at_least"])
            )
            return costs(studio.forecast(Recipe.parse({"model": studio.model} | fields | asked)))

    gr.api(forecast, concurrency_limit=4)


def _add_budget_for(runner: Runner) -> None:
    @arguments("at_least", "method", "control", "sampler", *RUN)
    def budget_for(fields: dict[str, Any], at_least: str, method: str = DEFAULT_METHOD) -> dict[str, Any]:
        """The cheapest budget that was measured to give a likeness to the full picture, and how surely it does.

        Args:
            at_least: 45 dB, or 99% of the full picture's control score.
            method: how work is saved, as methods lists them.
        """
        with refusals():
            studio = runner.loader.studio()
            asked = fields | {"model": studio.model, "method": method, "at_least": at_least}
            return figures_of(studio.solution(Recipe.parse(asked)))

    gr.api(budget_for, concurrency_limit=4)


def figures_of(solution: Solution) -> dict[str, Any]:
    """The budget for a target of quality as plain data; a mean that is not finite is none."""
    return {
        "budget": solution.budget,
        "share": solution.share,
        "mean": solution.mean if isfinite(solution.mean) else None,
        "confidence": solution.confidence,
        "pictures": solution.pictures,
        "carried_over": dict(solution.carried_over),
        "sentence": solution.sentence,
    }


def costs(forecast: Forecast) -> dict[str, Any]:
    """A forecast as plain data."""
    return {
        "macs_full": forecast.macs_full.paper,
        "macs_cached": forecast.macs.paper,
        "macs_ratio": forecast.share,
        "macs_with_attention_full": forecast.macs_full.full,
        "macs_with_attention_cached": forecast.macs.full,
        "latency_ms_full": forecast.latency_ms_full,
        "latency_ms_cached": forecast.latency_ms,
        "plan": forecast.plan.as_dict(),
    }


def asked_for(
    method: str, wanted: str | float, cache: dict[str, Any] | None, at_least: str | None = None
) -> dict[str, Any]:
    """The fields of a recipe for HGC's settings, or else for a method and a target of quality, a preset or a share.

    Raises PlanRefused, RequestRefused for a target beside a share.
    """
    if cache is not None:
        return {"cache": cache, "at_least": None}
    if not at_least:
        return by_budget(method, wanted) | {"at_least": None}
    if not isinstance(wanted, str):
        raise RequestRefused(f"at_least {at_least[:40]} and budget {wanted:g}: give one of them")
    return {"method": method, "at_least": at_least}
