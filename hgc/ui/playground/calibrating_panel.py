"""The offer to calibrate, under Method."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from hgc.ui.pressing import Pressing, build_press


@dataclass(frozen=True)
class MissedCalibration:
    """The offer to calibrate; `row` stands there only where that is missed. Its curves are drawn in Schedules."""

    row: gr.Column
    told: gr.HTML
    pressing: Pressing
    chart: None = None


def build_missed_calibration() -> MissedCalibration:
    with gr.Column(visible=False, elem_id="missed-calibration") as row:
        text = gr.HTML("", elem_id="missed-told")
        with gr.Row():
            press = build_press()
            run = gr.Button("Calibrate", size="md", elem_id="calibrate-here", scale=0, min_width=110)
            stop = gr.Button("Stop", size="md", interactive=False, elem_id="calibrate-here-stop", scale=0, min_width=70)
    return MissedCalibration(row, text, Pressing(press, (run,), stop))
