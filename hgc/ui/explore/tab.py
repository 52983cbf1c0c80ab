"""Explore: two settings run over values; the pictures in a grid, cost against likeness in a chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.charts.pareto import Cost, Fidelity
from hgc.sweep import MOST_RUNS, SETTINGS
from hgc.ui.components.inputs import chosen
from hgc.ui.explore.grid import PICK_JS
from hgc.ui.pressing import Pressing, build_press

NOTHING = "nothing"
FIRST_X, FIRST_Y = "budget", "seed"
EMPTY = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>Your pictures, side by side</h3>'
    "<p>One for every pair of values named above; each full picture is computed once. Press Run sweep.</p></div>"
)
COSTS: list[tuple[str, Cost]] = [("Share of full", "share"), ("MACs", "macs"), ("Time", "latency_ms")]
FIDELITIES: list[tuple[str, Fidelity]] = [
    ("PSNR", "psnr"),
    ("SSIM", "ssim"),
    ("Perceptual", "perceptual"),
    ("Control", "control_score"),
]
# A setting that is chosen brings values of its own.
EXAMPLES_JS = "(name) => (" + str({name: known.example for name, known in SETTINGS.items()}) + ")[name] ?? ''"


@dataclass(frozen=True)
class Explore:
    """The components of the tab."""

    x: gr.Dropdown
    x_values: gr.Textbox
    y: gr.Dropdown
    y_values: gr.Textbox
    seeds: gr.Textbox
    rival: gr.Checkbox
    forecast: gr.HTML
    kind: gr.Textbox
    pressing: Pressing
    progress: gr.HTML
    grid: gr.HTML
    charted: gr.Column
    cost: gr.Radio
    fidelity: gr.Radio
    chart: gr.Plot
    csv: gr.DownloadButton
    parquet: gr.DownloadButton
    sweep_id: gr.State

    @property
    def run(self) -> gr.Button:
        return self.pressing.starts[0]

    @property
    def form(self) -> list[Any]:
        """The inputs that define a sweep, in the order of `ExploreEvents.sweep_of`."""
        return [self.x, self.x_values, self.y, self.y_values, self.seeds, self.rival]


def build_explore() -> Explore:
    """Lays the tab out, with an example sweep filled in."""
    with gr.Column(elem_id="explore"):
        with gr.Column(elem_classes="card", elem_id="explore-form"):
            gr.HTML(
                '<h2>Sweep</h2><p class="aside">The same picture for many values of two settings. '
                f"Everything else is as in the Playground. At most {MOST_RUNS} runs.</p>"
            )
            axes = _axes()
            seeds, rival = _more()
            bar = _bar()
        with gr.Column(elem_classes="card", elem_id="explore-grid-card"):
            progress = gr.HTML("", elem_id="sweep-progress", visible=False)
            grid = gr.HTML(EMPTY, elem_id="sweep-grid", js_on_load=PICK_JS)
        with gr.Column(elem_classes="card", elem_id="explore-chart", visible=False) as charted:
            gr.HTML(
                '<h2>Cost against likeness</h2><p class="aside">Up and to the left is better. Bands run over seeds; a '
                "star is the full picture bit for bit. Click a dot to open its run.</p>"
            )
            with gr.Row(elem_id="pareto-choices"):
                cost, fidelity = _choice("Cost", COSTS), _choice("Likeness", FIDELITIES)
            chart = gr.Plot(show_label=False, container=False, elem_id="chart-pareto", elem_classes="chart")
            with gr.Row(elem_id="sweep-files"):
                csv = gr.DownloadButton("Download CSV", size="md", elem_id="sweep-csv", scale=0, min_width=150)
                parquet = gr.DownloadButton(
                    "Download Parquet", size="md", elem_id="sweep-parquet", scale=0, min_width=180
                )
    return Explore(
        *axes,
        seeds,
        rival,
        *bar,
        progress=progress,
        grid=grid,
        charted=charted,
        cost=cost,
        fidelity=fidelity,
        chart=chart,
        csv=csv,
        parquet=parquet,
        sweep_id=gr.State(None),
    )


def _axes() -> tuple[gr.Dropdown, gr.Textbox, gr.Dropdown, gr.Textbox]:
    with gr.Row(elem_id="sweep-axes"):
        x, x_values = _axis("Columns", "x", FIRST_X, none=False)
        y, y_values = _axis("Rows", "y", FIRST_Y, none=True)
    return x, x_values, y, y_values


def _axis(title: str, name: str, first: str, *, none: bool) -> tuple[gr.Dropdown, gr.Textbox]:
    choices = [(f"{known.title}: {known.hint}", known.name) for known in SETTINGS.values()]
    with gr.Column(min_width=280):
        setting = gr.Dropdown(
            [*choices, *([("Nothing: one row", NOTHING)] if none else [])],
            value=first,
            label=title,
            info="The setting that changes.",
            filterable=False,
            elem_id=f"sweep-{name}",
        )
        values = gr.Textbox(
            SETTINGS[first].example,
            label=f"Values of the {title.lower()}",
            info="With commas, or a range: 0..4, or 0.2..0.6 by 0.1.",
            elem_id=f"sweep-{name}-values",
            lines=1,
        )
    chosen(setting)(None, setting, values, js=EXAMPLES_JS, api_visibility="private")
    return setting, values


def _more() -> tuple[gr.Textbox, gr.Checkbox]:
    with gr.Row(elem_id="sweep-more"):
        seeds = gr.Textbox(
            "",
            label="Several seeds",
            info="Every cell is drawn with each of them, which gives the chart a band. Empty: the Playground's seed.",
            placeholder="0..2",
            elem_id="sweep-seeds",
            lines=1,
            min_width=280,
        )
        rival = gr.Checkbox(
            False,
            label="Also fewer steps at the same cost",
            info="For each cell, also the picture without a cache in fewer steps, from the same noise.",
            elem_id="sweep-rival",
            elem_classes="switch",
            min_width=280,
        )
    return seeds, rival


def _bar() -> tuple[gr.HTML, gr.Textbox, Pressing]:
    with gr.Row(elem_id="sweep-bar"):
        forecast = gr.HTML("", elem_id="sweep-forecast", min_width=200, scale=1)
        press = build_press()
        kind = gr.Textbox("sweep", visible=False)
        ladder = gr.Button("Ladder: off, coarse, fine, both", elem_id="sweep-ladder", min_width=120, scale=0)
        run = gr.Button("Run sweep", variant="primary", elem_id="sweep-run", min_width=110, scale=0)
        stop = gr.Button("Stop", interactive=False, elem_id="sweep-stop", min_width=64, scale=0)
    return forecast, kind, Pressing(press, (run, ladder), stop)


def _choice(label: str, choices: list[Any]) -> gr.Radio:
    """The first of them is chosen."""
    return gr.Radio(
        choices,
        value=choices[0][1],
        label=label,
        elem_id=f"pareto-{label.lower()}",
        elem_classes="segmented",
        min_width=200,
    )
