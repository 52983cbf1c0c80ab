"""Everything about the picture but its control and its caches: its words; seed, sampler and guidance."""

from __future__ import annotations

from dataclasses import dataclass
from random import SystemRandom
from typing import Any

import gradio as gr

from hgc.landscapes import examples
from hgc.models.presets import GUIDANCE, SAMPLER_NAMES
from hgc.ui.playground.titles import SAMPLER_TITLES
from hgc.ui.queueing import QUIET

SEEDS = 2**32


@dataclass(frozen=True)
class Words:
    """The prompt, and what the model will not understand of it."""

    prompt: gr.Textbox
    notes: gr.HTML


@dataclass(frozen=True)
class PicturePanel:
    """The components of the panel."""

    negative: gr.Textbox
    seed: gr.Number
    lock: gr.Checkbox
    sampler: gr.Dropdown
    steps: gr.Slider
    guidance: gr.Slider
    scale: gr.Slider
    start: gr.Slider
    end: gr.Slider

    @property
    def fields(self) -> dict[str, Any]:
        """The components by the Request's field names."""
        return {
            "negative_prompt": self.negative,
            "seed": self.seed,
            "sampler": self.sampler,
            "steps": self.steps,
            "guidance": self.guidance,
            "control_scale": self.scale,
            "control_start": self.start,
            "control_end": self.end,
        }


def new_seed() -> int:
    return SystemRandom().randrange(SEEDS)


def build_words() -> Words:
    """The prompt's box, with the first example's words."""
    prompt = gr.Textbox(
        examples.gallery()[0].prompt,
        label="Prompt",
        lines=2,
        max_lines=4,
        placeholder="a winter landscape at night with mountains and a house",
        elem_id="prompt",
    )
    return Words(prompt, gr.HTML("", elem_id="prompt-notes", visible=False))


def build_picture_panel() -> PicturePanel:
    """Lays the panel out."""
    with gr.Column(elem_classes="card", elem_id="picture-card"):
        gr.HTML('<h2>Picture</h2><p class="aside">All pictures share this.</p>')
        with gr.Row(elem_id="seed-row", equal_height=True):
            seed = gr.Number(
                examples.gallery()[0].seed, label="Seed", precision=0, minimum=0, maximum=SEEDS - 1, elem_id="seed"
            )
            dice = gr.Button("New seed", size="md", elem_id="dice", min_width=96, scale=0)
            lock = gr.Checkbox(True, label="Keep between runs", elem_id="lock", elem_classes="switch", min_width=150)
        with gr.Accordion("More settings", open=False, elem_id="picture-settings"):
            negative = gr.Textbox(
                "",
                label="Negative prompt",
                info="Words for things that should not be in the picture.",
                elem_id="negative",
                lines=1,
            )
            with gr.Row():
                sampler = gr.Dropdown(
                    [(SAMPLER_TITLES[name], name) for name in SAMPLER_NAMES],
                    value="ddim",
                    label="Sampler",
                    info="The method that turns noise into a picture.",
                    filterable=False,
                    elem_id="sampler",
                )
                steps = gr.Slider(4, 50, 20, step=1, label="Steps", info="More are finer, but slower.", elem_id="steps")
            guidance, scale = _strengths()
            start, end = _window()
    dice.click(new_seed, None, seed, queue=False, **QUIET)
    return PicturePanel(negative, seed, lock, sampler, steps, guidance, scale, start, end)


def _strengths() -> tuple[gr.Slider, gr.Slider]:
    """How strictly the picture follows its words, and its map."""
    with gr.Row():
        guidance = gr.Slider(
            1,
            12,
            GUIDANCE,
            step=0.5,
            label="Guidance",
            info="How strictly the picture follows the words. Higher is stricter; 1 switches it off.",
            elem_id="guidance",
        )
        scale = gr.Slider(
            0,
            2,
            1,
            step=0.05,
            label="Control strength",
            info="How strictly the picture follows the map. Higher is stricter; 0 ignores it.",
            elem_id="scale",
        )
    return guidance, scale


def _window() -> tuple[gr.Slider, gr.Slider]:
    """From which share of the steps to which the map counts."""
    before, after = (
        "The share of the steps at the beginning that ignore the map.",
        "The share of the steps after which the map is ignored.",
    )
    with gr.Row():
        start = gr.Slider(0, 1, 0, step=0.05, label="Control from", info=before, elem_id="from")
        end = gr.Slider(0, 1, 1, step=0.05, label="Control until", info=after, elem_id="until")
    return start, end
