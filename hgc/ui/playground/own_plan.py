"""A plan of one's own in the Playground: it takes the place of preset, budget and settings until one goes back."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.cache.plan import Plan
from hgc.request import RequestRefused
from hgc.ui.queueing import answer_last

if TYPE_CHECKING:
    from hgc.ui.playground.tab import Playground
    from hgc.ui.runner import Runner

FORGOTTEN = "This plan is no longer kept: take it over from Schedules again, or go back to the settings."
BACK_JS = "() => ''"


@dataclass(frozen=True)
class OwnPlan:
    """`name` holds the id of the plan in `Runner.plans`, or nothing."""

    name: gr.Textbox
    shown: gr.Column
    told: gr.HTML
    back: gr.Button


def build_own_plan() -> OwnPlan:
    """Says that a plan of one's own is in force, with a way back; unseen without one."""
    name = gr.Textbox("", visible="hidden", label="own plan", elem_id="own-plan-name")
    with gr.Column(visible=False, elem_id="own-plan", elem_classes="verdict good") as shown:
        text = gr.HTML("", elem_id="own-plan-told")
        back = gr.Button("Back to the settings", size="md", elem_id="own-plan-back")
    return OwnPlan(name, shown, text, back)


def own_plan(runner: Runner, name: str | None) -> Plan | None:
    """The plan in force, None without one. Raises RequestRefused when it is forgotten."""
    if not name:
        return None
    plan = runner.plans.find(name)
    if plan is None:
        raise RequestRefused(FORGOTTEN)
    return plan


def adopted(p: Playground, plan: Plan) -> dict[Any, Any]:
    """The updates that put a plan in force; it brings its own number of steps."""
    return {p.own.name: p.runner.plans.keep(plan), p.picture.steps: plan.steps}


def wire_own_plan(p: Playground) -> None:
    """Every setting of the caches by hand takes the place of the plan."""

    def show(name: str) -> list[Any]:
        """Which plan is in force."""
        plan = p.runner.plans.find(name)
        words = "" if plan is None else _told(plan)
        return [gr.update(visible=plan is not None), words]

    answer_last([p.own.name.change], show, [p.own.name], [p.own.shown, p.own.told])
    by_hand = [p.own.back.click, *p.cache.by_hand]
    gr.on(by_hand, None, None, p.own.name, js=BACK_JS, api_visibility="private")


def _told(plan: Plan) -> str:
    return (
        f"<b>The second picture follows your own plan</b> “{escape(plan.name)}”, {plan.steps} steps. It is replaced "
        "when you change a setting of the caches."
    )
