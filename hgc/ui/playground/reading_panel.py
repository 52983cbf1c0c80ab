"""How a photo is read: which part of it, how sharply the detector looks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.control.annotators import ANNOTATORS, AnnotatorSettings
from hgc.models.presets import presets
from hgc.ui.components.inputs import models_list
from hgc.ui.playground.reading_ways import annotator_choices, ways_to

FRAMINGS = [("Crop", "crop"), ("Fit: bare bars", "fit"), ("Fill: stretched", "fill")]
# Detectors that find other things at another size of the photo.
RESIZED = tuple(known.name for known in ANNOTATORS.values() if known.kind not in ("shuffle", "segmentation"))


@dataclass(frozen=True)
class ReadingPanel:
    """The components of a photo's reading."""

    annotator: gr.Dropdown
    framing: gr.Radio
    position: gr.Slider
    low: gr.Slider
    high: gr.Slider
    sigma: gr.Slider
    threshold: gr.Slider
    score: gr.Slider
    length: gr.Slider
    hands: gr.Checkbox
    resolution: gr.Slider

    @property
    def fields(self) -> list[Any]:
        """In the order of drawing.READING."""
        return [self.framing, *self.settings]

    @property
    def canny(self) -> list[gr.Slider]:
        """Canny's thresholds."""
        return [self.low, self.high]

    @property
    def settings(self) -> list[Any]:
        """Those of them that are set step by step."""
        lines = [self.sigma, self.threshold, self.score, self.length]
        return [self.position, *self.canny, *lines, self.hands, self.resolution]


def build_reading_panel(of: str = "", way: str = "canny") -> ReadingPanel:
    """Lays it out; Canny's thresholds stand where the embedded model's control was trained, until another is loaded.

    `of` begins the names of its components where a page has a second one, `way` is how a photo is read at first.
    """
    annotator = models_list(
        annotator_choices() if not of else ways_to("edges"),
        way,
        label="How to read it",
        info="What is looked for in the photo. A finished map is used as it is.",
        elem_id=f"{of}annotator",
    )
    framing = gr.Radio(
        FRAMINGS, value="crop", label="If it is not square", elem_id=f"{of}framing", elem_classes="segmented"
    )
    with gr.Accordion("Crop, resolution and thresholds", open=False, elem_id=f"{of}thresholds"):
        hint = "0 left or top, 1 right or bottom."
        position = _slider(f"{of}position", (0, 1, 0.05), 0.5, "Where the crop lies", hint)
        (low_start, high_start), defaults = presets()["landscapes"].canny, AnnotatorSettings()
        with gr.Column(visible=way == "canny", elem_id=f"{of}canny-thresholds") as canny:
            hint = "How far a line is followed. Lower makes lines longer and joins gaps."
            low = _slider(f"{of}low", (0, 500, 5), low_start, "Canny: a line goes on above", hint)
            hint = "How strong an edge must be to begin a line. Lower finds more lines."
            high = _slider(f"{of}high", (0, 500, 5), high_start, "Canny: a line starts above", hint)
        with gr.Column(visible=False, elem_id=f"{of}lineart-thresholds") as lineart:
            sigma = _slider(f"{of}sigma", (0.5, 32, 0.5), defaults.sigma_px, "Blur, pixels", "Lower finds finer lines.")
            hint = "How much darker than its surroundings a line must be. Lower finds more lines."
            threshold = _slider(
                f"{of}line-threshold", (0, 64, 1), defaults.line_threshold, "Least contrast, grey levels", hint
            )
        with gr.Column(visible=False, elem_id=f"{of}mlsd-thresholds") as mlsd:
            hint = "How sure a line must be. Lower finds more lines."
            score = _slider(f"{of}line-score", (0, 1, 0.01), defaults.line_score, "Least score", hint)
            hint = "In pixels of a photo half as large. Higher leaves out short lines."
            length = _slider(f"{of}line-length", (0, 20, 0.1), defaults.line_length, "Least length", hint)
        with gr.Column(visible=False, elem_id=f"{of}pose-parts") as pose:
            hands = gr.Checkbox(label="Hands and face", info="Drawn beside the body.", elem_id=f"{of}hands")
        with gr.Column(visible=way in RESIZED, elem_id=f"{of}detector-resolution") as sized:
            hint = (
                "The shorter side of the photo as the detector sees it. Lower finds coarser things; 0 is the map's own."
            )
            resolution = _slider(f"{of}resolution", (0, 1536, 64), 0, "Resolution, pixels", hint)
    _wire(annotator, [canny, lineart, mlsd, pose, sized], framing, position)
    return ReadingPanel(annotator, framing, position, low, high, sigma, threshold, score, length, hands, resolution)


def _wire(annotator: gr.Dropdown, parts: Sequence[gr.Column], framing: gr.Radio, position: gr.Slider) -> None:
    """Only what the chosen way to read a photo goes by is seen."""
    shown_for = [("canny",), ("lineart_standard",), ("mlsd",), ("openpose",), RESIZED]
    visible = f"{json.dumps(shown_for)}.map((names) => ({{__type__: 'update', visible: names.includes(chosen)}}))"
    annotator.change(None, annotator, [*parts], js=f"(chosen) => {visible}", api_visibility="private")
    only_crop = "(chosen) => ({__type__: 'update', visible: chosen === 'crop'})"
    framing.change(None, framing, position, js=only_crop, api_visibility="private")


def _slider(name: str, reach: tuple[float, float, float], start: float, label: str, hint: str) -> gr.Slider:
    low, high, step = reach
    return gr.Slider(low, high, start, step=step, label=label, info=hint, elem_id=name, buttons=[])
