"""Endpoints that take a whole request, or a plan, as the shell does: run_request, facts, edit_plan, calibrate."""

from __future__ import annotations

import reprlib
from base64 import b64encode
from dataclasses import replace
from typing import Any

import gradio as gr

from hgc import limits
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.plan_edit import Ground, action_named, edited
from hgc.cache.rehearsal import check
from hgc.charts.plan_grid import PlanGrid
from hgc.history.archive import write_archive
from hgc.planning.calibrations import subject_of
from hgc.request import GUIDANCE, Recipe, Request, RequestRefused
from hgc.results.comparison import Comparison
from hgc.results.exports import result_of
from hgc.results.records import record_of
from hgc.spread.here import place_of
from hgc.ui.blocks import json_input
from hgc.ui.queueing import ENDPOINTS_QUEUE
from hgc.ui.refusals import refusals
from hgc.ui.runner import Runner


def build_request_endpoints(runner: Runner) -> None:
    """Adds them to the page; none of them is seen on it."""
    _add_run(runner)
    _add_facts(runner)
    _add_edit_plan(runner)
    _add_calibrate(runner)


def _add_run(runner: Runner) -> None:
    def run_request(
        request: dict[str, Any], with_trace: bool = False, with_recording: bool = False
    ) -> tuple[Any, Any, dict[str, Any], Any]:
        """Runs a request, the same JSON that the shell's `run` takes and `compare` writes.

        Gives the full and the cached picture, the result as the shell's --json prints it, and the rival's picture where
        the request names one.

        Args:
            request: everything that determines the pictures; result["request"] of an earlier run makes it again.
            with_trace: adds the trace, the table as executed, to the result.
            with_recording: adds all of the run as result["recording"], a zip in base64, which `hgc replay` shows.
        """
        with refusals():
            comparison = finished(runner, Request.parse(request))
            rival = None if comparison.rival is None else comparison.rival.image
            result = result_of(comparison, with_trace=with_trace)
            if with_recording:
                result |= {"recording": b64encode(write_archive([record_of(comparison)])).decode()}
            return comparison.full.image, comparison.cached.image, result, rival

    with gr.Column(visible=False):
        outputs = [
            gr.Image(format="png", label="full"),
            gr.Image(format="png", label="cached"),
            gr.JSON(label="result"),
            gr.Image(format="png", label="rival"),
        ]
        asked = [gr.Checkbox(False, label=label) for label in ("with_trace", "with_recording")]
        inputs = [json_input("request"), *asked]
        gr.Button(visible=False).click(run_request, inputs, outputs, api_name="run_request", **ENDPOINTS_QUEUE)


def _add_facts(runner: Runner) -> None:
    def facts() -> dict[str, Any]:
        """The page's version, model, weights and device, which others compare before they send it work."""
        with refusals():
            return replace(place_of(runner.loader.studio()).facts[0], where="").as_dict()

    gr.api(facts, concurrency_limit=4)


def _add_edit_plan(runner: Runner) -> None:
    def edit_plan(
        plan: dict[str, Any], cells: list[list[Any]], action: str | None = None, guidance: float = GUIDANCE
    ) -> dict[str, Any]:
        """A plan with some of its cells changed, what it then costs, and its table as it would be executed.

        A plan that could not be run so is refused, with the step and the reason.

        Args:
            plan: a plan as forecast returns it.
            cells: pairs of a row and a step counted from 0; a row is a site's name or a block's title, e.g.
                [["UNet up 4", 3]].
            action: C compute, R reuse, F forecast; none for the next one in turn that can be run.
            guidance: guidance scale of the run; 1 or less runs one branch.
        """
        with refusals():
            known, grid = Plan.from_dict(plan), PlanGrid(runner.loader.studio().anatomy())
            check(known, grid.anatomy, known.steps)
            if type(guidance) not in (int, float):
                raise RequestRefused(f"guidance: {reprlib.repr(guidance)} is not a number")
            ground = Ground(grid.anatomy, guidance=guidance > 1)
            places = [(grid.sites_of(row), _step(step, known)) for row, step in _pairs(cells)]
            changed = edited(known, ground, places, action_named(action))
            played, whole = ground.play(changed), ground.play(Plan(Origin("full"), known.steps, known.model))
            return {
                "plan": changed.as_dict(),
                "macs_cached": played.macs.paper,
                "macs_ratio": played.macs.paper / whole.macs.paper,
                "rows": {row["title"]: row["cells"] for row in grid.data(played)["rows"]},
            }

    gr.api(edit_plan, concurrency_limit=4)


def _add_calibrate(runner: Runner) -> None:
    def calibrate(
        control: str = "segmentation",
        steps: int = 20,
        sampler: str = "ddim",
        guidance: float = GUIDANCE,
        scenes: int = 8,
    ) -> dict[str, Any]:
        """How far every layer's output moves from step to step, over painted scenes; goes on where it was.

        Args:
            control: segmentation, edges, or another that the loaded model has.
            steps: denoising steps.
            sampler: ddim, dpmpp, unipc or euler.
            guidance: guidance scale.
            scenes: how many scenes in all, each a full run; at most 64.
        """
        with refusals():
            if type(scenes) is not int or not 1 <= scenes <= limits.SCENES:
                raise RequestRefused(f"scenes {str(scenes)[:40]}: choose 1 to {limits.SCENES}")
            studio = runner.loader.studio()
            asked = {"control": control, "steps": steps, "sampler": sampler, "guidance": guidance}
            recipe = Recipe.parse({"model": studio.model} | asked)
            studio.blueprint.check(recipe)
            subject = subject_of(recipe)
            for _ in studio.calibrate(subject, scenes):
                pass
            calibration = studio.calibration(subject)
            if calibration is None:
                raise RuntimeError("the calibration ended without a file")
            return calibration.curves.as_dict()

    gr.api(calibrate, **ENDPOINTS_QUEUE)


def _pairs(cells: Any) -> list[tuple[str, Any]]:
    """Raises RequestRefused for what is not a list of a row and a step each, or too many of them."""
    if not isinstance(cells, list) or not cells:
        raise RequestRefused("no cells to change; give pairs of a row and a step")
    if len(cells) > limits.EDITED_CELLS:
        raise RequestRefused(f"{len(cells):,} cells, at most {limits.EDITED_CELLS:,} are changed at once")
    for pair in cells:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise RequestRefused(f'a cell is a pair such as ["UNet up 4", 3], not {reprlib.repr(pair)}')
    return [(row, step) for row, step in cells]


def _step(step: Any, plan: Plan) -> int:
    """Raises RequestRefused for what is no step of the plan."""
    if type(step) is not int or not 0 <= step < plan.steps:
        raise RequestRefused(f"step {step!r} of a cell: choose 0 to {plan.steps - 1}")
    return step


def finished(runner: Runner, request: Request) -> Comparison:
    """The comparison alone, for a program that does not follow the progress. Raises Refused."""
    *_, last = runner.loader.studio().compare(request)
    if not isinstance(last, Comparison):
        raise RuntimeError("the run ended without a comparison")
    return last
