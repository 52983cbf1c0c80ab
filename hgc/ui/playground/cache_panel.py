"""The two caches: presets and a budget write their settings, and each can be set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.cache import schedules
from hgc.planning.methods import DEFAULT_METHOD, METHODS
from hgc.ui.components.inputs import chosen
from hgc.ui.playground import hgc_settings
from hgc.ui.playground.calibrating_panel import MissedCalibration, build_missed_calibration
from hgc.ui.playground.hgc_ladder import ladder
from hgc.ui.playground.method_card import method_card
from hgc.ui.playground.settling import answer_field
from hgc.ui.playground.titles import NO_RIVAL, RIVALS
from hgc.ui.playground.wanted import HGC

PRESET_NAMES = ("Exact", "Quality", "Balanced", "Paper", "Turbo")
FIRST_PRESET = "Paper"
CUSTOM_REASON = "Your own settings."
ALWAYS = 100  # percent, from which on no forecast is verified
ONLY_HGC_JS = f"(method) => ({{__type__: 'update', visible: method === '{HGC}'}})"


@dataclass(frozen=True)
class CachePanel:
    """The components of the panel."""

    method: gr.Dropdown
    method_chosen: Any
    method_reason: gr.HTML
    preset: gr.Radio
    reason: gr.HTML
    missed: MissedCalibration
    budget: gr.Slider
    at_least: gr.Textbox
    target: gr.Textbox
    answer: gr.Textbox
    at_least_told: gr.HTML
    hand: gr.Checkbox
    coarse: gr.Checkbox
    fine: gr.Checkbox
    similarity: gr.Checkbox
    key_share: gr.Slider
    layer_share: gr.Slider
    order: gr.Radio
    adaptive: gr.Checkbox
    threshold: gr.Slider
    release: gr.Slider
    most: gr.Slider
    gate: gr.Slider
    attention_every: gr.Slider
    fusion: gr.Radio
    verify: gr.Slider
    rival: gr.Dropdown

    @property
    def by_hand(self) -> list[Any]:
        """The events by which a person says how the second picture saves work."""
        return [*self.asking, *self.setting]

    @property
    def asking(self) -> list[Any]:
        """Those that ask for a method and a budget."""
        return [self.method_chosen, self.preset.input, self.budget.input]

    @property
    def setting(self) -> list[Any]:
        """Those that write one of the settings."""
        return [component.input for component in self.settings]

    @property
    def wanted(self) -> list[Any]:
        """The inputs of `Wanted`, in its order."""
        return [self.method, self.preset, self.budget, self.hand]

    @property
    def settings(self) -> list[Any]:
        """The inputs of `read_settings`, and the outputs of `write_settings`."""
        return [
            self.coarse,
            self.fine,
            self.similarity,
            self.key_share,
            self.layer_share,
            self.order,
            self.adaptive,
            self.threshold,
            self.release,
            self.most,
            self.gate,
            self.attention_every,
            self.fusion,
        ]


def build_cache_panel() -> CachePanel:
    """Lays the panel out, with the settings' own defaults until the model can say what a preset means."""
    now = schedules.HGC()
    with gr.Column(elem_classes="card", elem_id="cache-card"):
        gr.HTML('<h2>Caches</h2><p class="aside">How the second picture saves work.</p>')
        parts = _method() | _budget()
        parts |= hgc_settings.switches(METHODS[DEFAULT_METHOD])
        with gr.Column(elem_id="hgc-settings", visible=DEFAULT_METHOD == HGC) as of_hgc:
            gr.HTML(ladder())
            with gr.Accordion("Coarse settings", open=False, elem_id="coarse-settings"):
                parts |= hgc_settings.coarse(now)
            with gr.Accordion("Fine settings", open=False, elem_id="fine-settings"):
                parts |= hgc_settings.fine(now)
        method = parts["method"]
        method.change(None, method, of_hgc, js=ONLY_HGC_JS, api_visibility="private")
        parts |= _beside()
    return CachePanel(**parts, method_chosen=chosen(method), answer=answer_field())


def _method() -> dict[str, Any]:
    """Which rule decides, and why one would take it."""
    method = gr.Dropdown(
        [(method.title, name) for name, method in METHODS.items()],
        value=DEFAULT_METHOD,
        label="Method",
        info="The rule that decides what is kept. Each finds its own settings for the budget below.",
        filterable=False,
        elem_id="method",
    )
    return {"method": method, "method_reason": gr.HTML(method_card(METHODS[DEFAULT_METHOD]), elem_id="method-reason")}


def _budget() -> dict[str, Any]:
    """How much the second picture may compute: by a preset, as a share, or by a target of quality."""
    preset = gr.Radio(
        list(PRESET_NAMES),
        value=FIRST_PRESET,
        show_label=False,
        label="Preset",
        elem_id="preset",
        elem_classes="segmented",
    )
    reason = gr.HTML("", elem_id="preset-reason")
    missed = build_missed_calibration()
    budget = gr.Slider(
        5,
        100,
        37,
        step=1,
        label="Budget, % of full compute",
        info="The most that the second picture may compute. More is closer to the full picture, and slower.",
        elem_id="budget",
    )
    at_least = gr.Textbox(
        "",
        label="Or at least, or at most",
        info="How similar to the full picture (45 dB, 99% of its control score), or how long (2 s). Sets the budget.",
        placeholder="45 dB",
        max_length=40,
        elem_id="at-least",
    )
    return {
        "preset": preset,
        "reason": reason,
        "missed": missed,
        "budget": budget,
        "at_least": at_least,
        "target": gr.Textbox("", visible="hidden", label="target that was asked for", elem_id="target"),
        "at_least_told": gr.HTML("", elem_id="at-least-told"),
        "hand": gr.Checkbox(False, visible="hidden", label="settings by hand", elem_id="by-hand"),
    }


def _beside() -> dict[str, Any]:
    """The doubt in forecasts, and the third picture."""
    verify = gr.Slider(
        0,
        ALWAYS,
        ALWAYS,
        step=1,
        label="Largest error of a forecast, %",
        info="After a worse forecast the next step is computed. Higher computes less; 100 never checks.",
        elem_id="verify",
    )
    rival = gr.Dropdown(
        RIVALS,
        value=NO_RIVAL,
        filterable=False,
        label="Compare also with",
        info="A third picture on the same noise, by another method at the same cost.",
        elem_id="rival-choice",
    )
    return {"verify": verify, "rival": rival}


def verify_of(percent: float) -> float | None:
    """The request's `verify` for the slider's value."""
    return None if percent >= ALWAYS else percent / 100


def trust_in(verify: float | None) -> float:
    """The slider's value for the request's `verify`."""
    return ALWAYS if verify is None else round(100 * verify, 6)


def read_settings(values: Sequence[Any]) -> dict[str, Any]:
    """The panel's values as fields of HGC's settings."""
    coarse, fine, similarity, key_share, layer_share, order, *at_run_time, gate, attention_every, fusion = values
    adaptive, threshold, release, most = at_run_time
    dynamic = {"threshold": threshold, "release": min(release, threshold), "most": most or None} if adaptive else {}
    return {
        "coarse": coarse,
        "fine": fine,
        "similarity": similarity,
        "lambda_inter": key_share,
        "lambda_intra": layer_share,
        "order": order,
        "gate": gate,
        "attention_every": attention_every,
        "fusion": fusion,
    } | dynamic


def write_settings(settings: schedules.HGC) -> list[Any]:
    """Settings as the panel's values; shares as short as the sliders show them would change the plan, so they stay."""
    return [
        settings.coarse,
        settings.fine,
        settings.similarity,
        settings.lambda_inter,
        settings.lambda_intra,
        settings.order,
        settings.threshold is not None,
        *_written_rule(settings),
        settings.gate,
        settings.attention_every,
        settings.fusion,
    ]


def _written_rule(settings: schedules.HGC) -> list[Any]:
    """Threshold, release and the most refreshed steps; what is not in use stays as it stands."""
    if settings.threshold is None:
        return [gr.skip()] * 3
    release = settings.threshold / 2 if settings.release is None else settings.release
    return [settings.threshold, release, settings.most or 0]
