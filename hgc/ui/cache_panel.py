"""The two caches: presets and a budget write their settings, and each can be set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.request import CacheSettings
from hgc.ui.titles import NO_RIVAL, RIVALS

PRESET_NAMES = ("Exact", "Quality", "Balanced", "Paper", "Turbo")
FIRST_PRESET = "Paper"
CUSTOM_REASON = "Your own settings."


@dataclass(frozen=True)
class CachePanel:
    """The components of the panel."""

    preset: gr.Radio
    reason: gr.HTML
    budget: gr.Slider
    coarse: gr.Checkbox
    fine: gr.Checkbox
    key_share: gr.Slider
    layer_share: gr.Slider
    order: gr.Radio
    adaptive: gr.Checkbox
    threshold: gr.Slider
    gate: gr.Slider
    attention_every: gr.Slider
    fusion: gr.Radio
    rival: gr.Dropdown

    @property
    def by_hand(self) -> list[Any]:
        """What a person changes to say how the second picture saves work."""
        return [self.preset, self.budget, *self.settings]

    @property
    def settings(self) -> list[Any]:
        """The inputs of `read_settings`, and the outputs of `write_settings`."""
        return [
            self.coarse,
            self.fine,
            self.key_share,
            self.layer_share,
            self.order,
            self.adaptive,
            self.threshold,
            self.gate,
            self.attention_every,
            self.fusion,
        ]


def build_cache_panel() -> CachePanel:
    """Lays the panel out, with the settings' own defaults until the model can say what a preset means."""
    now = CacheSettings()
    with gr.Column(elem_classes="card", elem_id="cache-card"):
        gr.HTML('<h2>Caches</h2><p class="aside">How the second picture saves work.</p>')
        preset = gr.Radio(
            list(PRESET_NAMES),
            value=FIRST_PRESET,
            show_label=False,
            label="Preset",
            elem_id="preset",
            elem_classes="segmented",
        )
        reason = gr.HTML("", elem_id="preset-reason")
        budget = gr.Slider(
            15,
            100,
            37,
            step=1,
            label="Budget, % of full compute",
            info="Picks the settings below that stay within it.",
            elem_id="budget",
        )
        switches = _switches(now)
        with gr.Accordion("Coarse settings", open=False, elem_id="coarse-settings"):
            coarse = _coarse(now)
        with gr.Accordion("Fine settings", open=False, elem_id="fine-settings"):
            fine = _fine(now)
        rival = gr.Dropdown(
            RIVALS,
            value=NO_RIVAL,
            label="Compare also with",
            info="A third picture on the same noise, by another method at the same cost.",
            elem_id="rival-choice",
        )
    return CachePanel(preset=preset, reason=reason, budget=budget, rival=rival, **switches, **coarse, **fine)


def _switches(now: CacheSettings) -> dict[str, Any]:
    with gr.Row(elem_id="cache-switches"):
        return {
            "coarse": gr.Checkbox(
                now.coarse,
                label="Coarse cache",
                info="Keeps whole blocks between key steps.",
                elem_id="coarse",
                elem_classes="switch",
            ),
            "fine": gr.Checkbox(
                now.fine,
                label="Fine cache",
                info="Keeps attention maps, then one guidance branch.",
                elem_id="fine",
                elem_classes="switch",
            ),
        }


def _coarse(now: CacheSettings) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "key_share": gr.Slider(
            0.05,
            1,
            now.lambda_inter,
            step=0.01,
            label="Key steps (λ inter)",
            info="Share of the steps that compute everything.",
            elem_id="key-share",
        ),
        "layer_share": gr.Slider(
            0,
            1,
            now.lambda_intra,
            step=0.01,
            label="Refreshed layers (λ intra)",
            info="Share of the decoder's layers that the steps in between still compute.",
            elem_id="layer-share",
        ),
        "order": gr.Radio(
            [("Repeat", 0), ("Follow a line", 1), ("Follow a curve", 2)],
            value=now.order,
            label="Kept values",
            info="Repeat the last one, or continue the trend of the last two or three.",
            elem_id="order",
            elem_classes="segmented",
        ),
    }
    with gr.Row():
        return fields | _at_run_time()


def _at_run_time() -> dict[str, Any]:
    return {
        "adaptive": gr.Checkbox(
            False,
            label="Decide while running",
            info="Refresh where a block is expected to have changed.",
            elem_id="adaptive",
            elem_classes="switch",
        ),
        "threshold": gr.Slider(
            0.02,
            0.6,
            0.15,
            step=0.01,
            label="Threshold",
            info="Expected change, lower refreshes more often.",
            elem_id="threshold",
        ),
    }


def _fine(now: CacheSettings) -> dict[str, Any]:
    return {
        "gate": gr.Slider(
            0.05,
            1,
            now.gate,
            step=0.01,
            label="Gate",
            info="From this share of the steps on, one guidance branch instead of two. 1 keeps both.",
            elem_id="gate",
        ),
        "attention_every": gr.Slider(
            1,
            10,
            now.attention_every,
            step=1,
            label="Attention at every n-th key step",
            info="1 computes it at each of them.",
            elem_id="attention-every",
        ),
        "fusion": gr.Radio(
            [("Keep the last difference", "difference"), ("Drop guidance", "drop")],
            value=now.fusion,
            label="After the gate",
            info="What stands in for the branch that is left out.",
            elem_id="fusion",
            elem_classes="segmented",
        ),
    }


def read_settings(values: Sequence[Any]) -> dict[str, Any]:
    """The panel's values as fields of CacheSettings."""
    coarse, fine, key_share, layer_share, order, adaptive, threshold, gate, attention_every, fusion = values
    return {
        "coarse": coarse,
        "fine": fine,
        "lambda_inter": key_share,
        "lambda_intra": layer_share,
        "order": order,
        "threshold": threshold if adaptive else None,
        "gate": gate,
        "attention_every": attention_every,
        "fusion": fusion,
    }


def write_settings(settings: CacheSettings) -> list[Any]:
    """Settings as the panel's values; shares as short as the sliders show them would change the plan, so they stay."""
    return [
        settings.coarse,
        settings.fine,
        settings.lambda_inter,
        settings.lambda_intra,
        settings.order,
        settings.threshold is not None,
        gr.skip() if settings.threshold is None else settings.threshold,
        settings.gate,
        settings.attention_every,
        settings.fusion,
    ]
