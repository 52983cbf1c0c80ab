"""Brings searched plans from a repository of the Hub's, as `hgc plans pull` does."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.planning import optimised
from hgc.refused import Refused
from hgc.ui.playground.titles import subject_words
from hgc.ui.queueing import QUIET
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import aside, notes_list
from hgc.ui.whereabouts import at_this_machine

if TYPE_CHECKING:
    from hgc.optimise.shelf import Shelf

INTRO = (
    "<h3>Plans that others share</h3><p class='aside'>From a model or data set repository on the "
    "Hub. Plans are checked before they are kept, and they replace those for the same settings here.</p>"
)
ELSEWHERE = (
    "Plans are brought only from a browser on the machine that serves this page, because Optimised uses them for "
    "everybody: have them brought there with `hgc plans pull`."
)
WORKING = aside("Asking for the plans.").replace("<p", '<p role="status"', 1)


def build_shared() -> None:
    """Lays it out and wires it."""
    with gr.Column(elem_id="shared-plans"):
        gr.HTML(INTRO)
        with gr.Row(equal_height=False, elem_id="shared-row"):
            repository = gr.Textbox(
                label="Repository",
                placeholder="someone/plans, or datasets/someone/plans",
                elem_id="plans-from",
                min_width=240,
            )
            bring = gr.Button("Bring the plans", size="md", elem_id="plans-pull", scale=0, min_width=140)
        told = gr.HTML("", elem_id="plans-told")
    asked: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 1, **QUIET}
    for begun in (bring.click, repository.submit):
        begun(None, None, told, js=f"() => {json.dumps(WORKING)}", api_visibility="private")
        begun(pull_plans, repository, told, **asked)


def pull_plans(repository: str, page: gr.Request) -> str:
    """The plans that were fetched, or why there are none."""
    from hgc.optimise.shared import SharedPlace, pull

    if not at_this_machine(page):
        return notes_list([ELSEWHERE], "error")
    try:
        shelves = pull(SharedPlace.named(repository.strip()), Path(optimised.OWN))
    except Refused as error:
        return notes_list([in_one_sentence(error)], "error")
    finally:
        optimised.shelves.cache_clear()
    return "".join(f'<p class="lead">{escape(shelf_words(shelf))}</p>' for shelf in shelves)


def shelf_words(shelf: Shelf) -> str:
    """Plans that are here now, and what they are for."""
    budgets = ", ".join(f"{rung.budget:.0%}" for rung in shelf.rungs)
    subject = shelf.table.subject
    return f"Here now, for {subject.model}, {subject_words(subject)}: plans for budgets of {budgets}."
