"""History: the runs that are kept; found, looked at, compared, tagged, exported, deleted, opened again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from hgc.ui.components.viewer import build_viewer
from hgc.ui.history import views as views
from hgc.ui.runner import Runner

# A click on a run ticks it; what is ticked is told to the server, all of it. A box that gradio reuses for another run
# would keep the tick of the run before.
GRID_JS = """watch('value', () => {
  for (const box of element.querySelectorAll('input[type=checkbox]')) box.checked = box.defaultChecked;
});
element.addEventListener('change', (event) => {
  if (!event.target.matches('input[type=checkbox]')) return;
  trigger('input', {ids: [...element.querySelectorAll('input:checked')].map((box) => box.value)});
});"""


@dataclass(frozen=True)
class HistoryTab:
    """The components of the tab; `chosen` holds the ids of the ticked runs in the order of ticking."""

    search: gr.Textbox
    count: gr.HTML
    grid: gr.HTML
    more: gr.Button
    shown: gr.State
    chosen: gr.State
    empty: gr.HTML
    panel: gr.Column
    head: gr.HTML
    arm: gr.Radio
    viewer: gr.HTML
    facts: gr.HTML
    reopen: gr.Button
    tags: gr.Textbox
    save_tags: gr.Button
    export: gr.Button
    exported: gr.DownloadButton
    delete: gr.Button
    sure: gr.Row
    question: gr.HTML
    delete_now: gr.Button
    keep: gr.Button

    @property
    def listed(self) -> list[Any]:
        return [self.grid, self.count, self.more]

    @property
    def looked_at(self) -> list[Any]:
        return [
            self.empty,
            self.panel,
            self.head,
            self.arm,
            self.viewer,
            self.facts,
            self.reopen,
            self.tags,
            self.sure,
        ]


def build_history(runner: Runner) -> HistoryTab:
    """Lays the tab out."""
    with gr.Row(elem_id="history", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_classes="card", elem_id="runs-card"):
            listed = _list(runner)
        with gr.Column(scale=7, min_width=330, elem_classes="card", elem_id="run-card"):
            opened = _opened()
    return HistoryTab(**listed, **opened)


def _list(runner: Runner) -> dict[str, Any]:
    gr.HTML(f'<h2>Runs</h2><p class="aside">{runner.place.words}</p>')
    keeps = runner.place.history is not None
    search = gr.Textbox(
        "",
        label="Search",
        info="Words of the prompt, the method or a tag. Only runs with all of them are listed.",
        max_lines=1,
        visible=keeps,
        elem_id="history-search",
    )
    return {
        "search": search,
        "count": gr.HTML("", elem_id="history-count"),
        "grid": gr.HTML(views.EMPTY if keeps else views.SWITCHED_OFF, js_on_load=GRID_JS, elem_id="history-grid"),
        "more": gr.Button("Show more", visible=False, size="md", elem_id="history-more"),
        "shown": gr.State(None),
        "chosen": gr.State(None),
    }


def _opened() -> dict[str, Any]:
    empty = gr.HTML(views.CHOOSE, elem_id="history-choose")
    with gr.Column(visible=False, elem_id="history-run") as panel:
        head = gr.HTML("", elem_id="history-head")
        arm = gr.Radio(
            [("Cached pictures", "cached"), ("Full pictures", "full")],
            value="cached",
            show_label=False,
            label="Which pictures to compare",
            visible=False,
            elem_id="history-arm",
            elem_classes="segmented",
        )
        viewer = build_viewer(name="history-viewer")
        actions = _actions()
        facts = gr.HTML("", elem_id="history-facts")
    return {"empty": empty, "panel": panel, "head": head, "arm": arm, "viewer": viewer, "facts": facts, **actions}


def _actions() -> dict[str, Any]:
    with gr.Row(elem_id="history-actions"):
        reopen = gr.Button("Open in Playground", variant="primary", size="md", elem_id="reopen", min_width=170, scale=0)
        export = gr.Button("Export zip", size="md", elem_id="export", min_width=104, scale=0)
        delete = gr.Button("Delete", size="md", elem_id="delete", min_width=84, scale=0)
    with gr.Row(visible=False, elem_id="sure") as sure:
        asked = gr.HTML("", elem_id="sure-question")
        delete_now = gr.Button(
            "Delete for good", variant="stop", size="md", elem_id="delete-now", min_width=130, scale=0
        )
        keep = gr.Button("Keep", size="md", elem_id="keep", min_width=76, scale=0)
    with gr.Row(elem_id="tag-row", equal_height=False):
        tags = gr.Textbox(
            "", label="Tags", info="Separated by commas. Tagged runs are kept.", max_lines=1, elem_id="tags"
        )
        save_tags = gr.Button("Save tags", size="md", elem_id="save-tags", min_width=104, scale=0)
    return {
        "tags": tags,
        "save_tags": save_tags,
        "reopen": reopen,
        "export": export,
        "exported": gr.DownloadButton("Exported", visible="hidden", elem_id="exported"),
        "delete": delete,
        "sure": sure,
        "question": asked,
        "delete_now": delete_now,
        "keep": keep,
    }
