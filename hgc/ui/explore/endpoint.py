"""A sweep as a named API endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.request import RequestRefused
from hgc.sweep import Axis, Sweep, base_of, parse_seeds
from hgc.ui.arguments import made
from hgc.ui.endpoints import drawing_inputs, given_file
from hgc.ui.playground.drawing import prepare
from hgc.ui.queueing import ENDPOINTS_QUEUE
from hgc.ui.refusals import refusals
from hgc.ui.runner import Runner

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


def build_sweep_endpoint(runner: Runner) -> None:
    """Adds the endpoint to the page; it is not seen there."""

    def sweep(
        picture: str,
        control: str = "segmentation",
        annotator: str | None = None,
        settings: dict[str, Any] | None = None,
        x: str | None = "budget=0.2, 0.37, 0.5, 0.65",
        y: str | None = "",
        seeds: str | None = "",
    ) -> tuple[list[dict[str, Any]], Any]:
        """One picture over the values of one or two settings: a row of figures for each run, and all pictures as one.

        Args:
            picture: a drawing or a photo.
            control: segmentation, edges, or another that the loaded model has: depth, pose …
            annotator: how to read a photo, e.g. canny; none for a drawing or a finished map.
            settings: fields of the request by name, e.g. prompt, seed, steps, method, budget, cache, rival.
            x: the setting of the columns and its values, e.g. "gate=0.4, 0.8" or "steps=10..30 by 10".
            y: the same for the rows; empty for one row.
            seeds: draws every place under each of these, e.g. "0..2"; empty for the request's own.
        """
        with refusals():
            studio, given = runner.loader.studio(), given_file(picture, control, annotator)
            if settings is not None and not isinstance(settings, dict):
                raise RequestRefused(f"settings are fields of the request by name, not a {type(settings).__name__}")
            fields = {**(settings or {}), "control": given.control}
            base = made(prepare(studio, given)[0].png, fields, fields.pop("cache", {}), studio.model)
            first, second = Axis.read(x or ""), Axis.read(y) if y and y.strip() else None
            base = base_of(base, [axis for axis in (first, second) if axis is not None], studio.blueprint)
            return _swept(studio, Sweep(base, first, second, parse_seeds(seeds or "")))

    with gr.Column(visible=False):
        inputs = [
            *drawing_inputs(),
            gr.JSON(None, label="settings"),
            gr.Textbox("budget=0.2, 0.37, 0.5, 0.65", label="x"),
            gr.Textbox("", label="y"),
            gr.Textbox("", label="seeds"),
        ]
        outputs = [gr.JSON(label="runs"), gr.Image(format="png", label="pictures")]
        gr.Button(visible=False).click(sweep, inputs, outputs, api_name="sweep", **ENDPOINTS_QUEUE)


def _swept(studio: Studio, asked: Sweep) -> tuple[list[dict[str, Any]], Any]:
    """The figures of every run, and the sheet of all pictures."""
    from hgc.sweep.folder import sheet
    from hgc.sweep.run import Outcome, run_cells
    from hgc.sweep.table import records

    outcomes = [news for news in run_cells(studio, asked.cells) if isinstance(news, Outcome)]
    pictures = {out.cell.key: out.comparison.cached.image for out in outcomes if out.comparison is not None}
    return list(records(asked, outcomes).values()), sheet(asked, pictures)
