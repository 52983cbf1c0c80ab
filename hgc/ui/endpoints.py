"""The page's actions as named API endpoints: typed, documented, refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from hgc.cache.trace import Trace
from hgc.models.presets import CONTROLS
from hgc.planning.methods import DEFAULT_METHOD, METHODS
from hgc.planning.presets import PRESETS
from hgc.request import RequestRefused
from hgc.results.exports import result_of, to_csv, to_perfetto
from hgc.ui.arguments import arguments, inputs_of, made
from hgc.ui.blocks import json_input
from hgc.ui.components.inputs import photo_input
from hgc.ui.endpoints_forecasts import WINDOW, add_forecasts, asked_for
from hgc.ui.endpoints_requests import finished
from hgc.ui.playground.drawing import AS_LABELS, AS_LINES, AS_MAP, ControlInput, prepare, read_photo
from hgc.ui.queueing import ENDPOINTS_QUEUE
from hgc.ui.refusals import refusals
from hgc.ui.runner import Runner

WORDS = ("prompt", "negative_prompt", "seed", "steps", "sampler", "guidance")
CACHES = ("preset", "cache", "with_trace", "rival", "method", "budget", "verify", "reading", "at_least", "loras")
COMPARE = ("picture", "control", "annotator", *WORDS, *WINDOW, *CACHES)


def build_endpoints(runner: Runner) -> None:
    """Adds the endpoints to the page; none of them is seen on it."""
    _add_names(runner)
    add_forecasts(runner)
    _add_export()
    _add_control_map(runner)
    _add_compare(runner)


def _add_names(runner: Runner) -> None:
    def palette() -> dict[str, list[int]]:
        """The classes of a segmentation map and their RGB colours, in label order."""
        with refusals():
            return {name: list(colour) for name, colour in runner.loader.studio().palette().items()}

    def presets() -> list[dict[str, Any]]:
        """The presets of the caches: name, share of full compute (null: only exact savings), and why."""
        with refusals():
            return [
                {"name": preset.name, "budget": preset.budget, "reason": preset.reason} for preset in PRESETS.values()
            ]

    def methods() -> list[dict[str, str]]:
        """The methods of saving work: name, title, and why one would take it."""
        return [{"name": known.name, "title": known.title, "reason": known.reason} for known in METHODS.values()]

    for endpoint in (palette, presets, methods):
        gr.api(endpoint, concurrency_limit=4)


def _add_export() -> None:
    def export_trace(trace: dict[str, Any], form: str = "csv") -> str:
        """A trace in the form that another program reads.

        Args:
            trace: as compare returns it with_trace.
            form: csv, a row for every site and step; perfetto, for ui.perfetto.dev or chrome://tracing.
        """
        with refusals():
            return exported(trace, form)

    gr.api(export_trace, concurrency_limit=4)


def exported(trace: Any, form: str) -> str:
    """A trace given as plain data, in another form. Raises RequestRefused."""
    if form not in ("csv", "perfetto"):
        raise RequestRefused(f"unknown form '{str(form)[:40]}' of a trace; known are csv and perfetto")
    try:
        parsed = Trace.from_json(json.dumps(trace))
    except ValueError as error:
        raise RequestRefused(str(error)) from error
    return to_csv(parsed) if form == "csv" else to_perfetto({"cached": parsed})


def _add_control_map(runner: Runner) -> None:
    def control_map(
        picture: str,
        control: str = "segmentation",
        annotator: str | None = None,
        reading: dict[str, Any] | None = None,
    ) -> tuple[Any, list[str]]:
        """The control map as the model will see it, and in plain words what was done to make it.

        Args:
            picture: a drawing or a photo.
            control: segmentation, edges, or another that the loaded model has: depth, pose …
            annotator: how to read a photo, e.g. canny; none for a drawing or a finished map.
            reading: framing (crop, fit or fill), position of the crop 0 to 1, low_threshold and high_threshold of
                canny, sigma_px and line_threshold of lineart_standard, line_score and line_length of mlsd, hands of
                openpose, resolution_px of any; what is left out is as without it.
        """
        with refusals():
            prepared, notes = prepare(runner.loader.studio(), given_file(picture, control, annotator, reading))
            return prepared.map, list(notes)

    with gr.Column(visible=False):
        inputs = [*drawing_inputs(), json_input("reading")]
        outputs = [gr.Image(format="png", label="control map"), gr.JSON(label="notes")]
        gr.Button(visible=False).click(control_map, inputs, outputs, api_name="control_map", concurrency_limit=4)


def _add_compare(runner: Runner) -> None:
    @arguments(*COMPARE)
    def compare(
        fields: dict[str, Any],
        picture: str,
        control: str = "segmentation",
        annotator: str | None = None,
        preset: str = "Paper",
        cache: dict[str, Any] | None = None,
        with_trace: bool = False,
        method: str = DEFAULT_METHOD,
        budget: float | None = None,
        reading: dict[str, Any] | None = None,
    ) -> tuple[Any, Any, dict[str, Any], Any]:
        """The same picture in full and from the cache, on the same noise, and every figure of both.

        Last comes the picture of the rival, where one was asked for.

        Args:
            picture: a drawing or a photo.
            control: segmentation, edges, or another that the loaded model has: depth, pose …
            annotator: how to read a photo, e.g. canny; none for a drawing or a finished map.
            preset: Exact, Quality, Balanced, Paper or Turbo; not read when cache settings are given.
            cache: cache settings as settings_for returns them.
            with_trace: adds the trace, the table as executed, to the figures.
            method: how the cached picture saves work, as methods lists them.
            budget: share of full compute that the cached picture may use, 0 to 1, instead of the preset's.
            reading: of the picture, as control_map takes it.
        """
        with refusals():
            studio = runner.loader.studio()
            given = given_file(picture, control, annotator, reading)
            prepared, notes = prepare(studio, given)
            asked = fields | {"control": given.control, "rival": fields["rival"] or None}
            asked |= asked_for(method, preset if budget is None else budget, cache, fields["at_least"])
            comparison = finished(runner, made(prepared.png, asked, {}, studio.model))
            figures, third = result_of(comparison, notes, with_trace), comparison.rival
            return comparison.full.image, comparison.cached.image, figures, None if third is None else third.image

    with gr.Column(visible=False):
        inputs = [*drawing_inputs(), *inputs_of(compare, COMPARE[3:])]
        images = [gr.Image(format="png", label=name) for name in ("full", "cached", "rival")]
        outputs = [*images[:2], gr.JSON(label="figures"), images[2]]
        gr.Button(visible=False).click(compare, inputs, outputs, api_name="compare", **ENDPOINTS_QUEUE)


def drawing_inputs() -> list[Any]:
    """A caller's inputs in place of the drawing board, in the order of `given_file`."""
    return [
        photo_input(label="picture"),
        gr.Dropdown(list(CONTROLS), value="segmentation", label="control"),
        gr.Textbox(None, label="annotator"),
    ]


def given_file(
    picture: str | None, control: str, annotator: str | None, reading: Mapping[str, Any] | None = None
) -> ControlInput:
    """A caller's file for this control: read by the annotator, or a finished map without one. Raises ImageRefused."""
    ready = {"segmentation": AS_LABELS, "edges": AS_LINES}.get(control, AS_MAP)
    return replace(read_photo(picture, annotator or ready, reading), control=control)
