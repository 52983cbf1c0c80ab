"""The card that says which picture was brought back, and what came of running it again."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.ui.playground.stage import preview_url
from hgc.ui.remarks import notes_list

if TYPE_CHECKING:
    from hgc.evidence import Signed
    from hgc.results.again import Again

ARMS = {"full": "full", "cached": "cached", "rival": "third"}


@dataclass(frozen=True)
class RestoredCard:
    """The components; `original` holds the id of what was brought back."""

    card: gr.Column
    words: gr.HTML
    verdict: gr.HTML
    again: gr.Button
    close: gr.Button
    original: gr.State
    upload: gr.UploadButton
    link: gr.Button
    start_over: gr.Button
    linked: gr.HTML

    @property
    def filled(self) -> list[Any]:
        return [self.card, self.words, self.verdict, self.again, self.original]


def build_restored_card() -> dict[str, Any]:
    """The card itself; it stands there only when there is something to say."""
    with gr.Column(visible=False, elem_classes="card", elem_id="restored") as card:
        with gr.Row(equal_height=True, elem_id="restored-row"):
            words = gr.HTML("", elem_id="restored-words")
            again = gr.Button("Run again", variant="primary", size="md", elem_id="again", min_width=104, scale=0)
            close = gr.Button("Close", size="md", elem_id="close-restored", min_width=72, scale=0)
        verdict = gr.HTML("", elem_id="again-verdict")
    return {
        "card": card,
        "words": words,
        "verdict": verdict,
        "again": again,
        "close": close,
        "original": gr.State(None),
    }


def build_take_along() -> dict[str, Any]:
    """Bringing a picture back, and handing the settings on."""
    with gr.Row(elem_id="take-along"):
        link = gr.Button("Copy link", size="sm", elem_id="copy-link", min_width=84, scale=0)
        upload = gr.UploadButton(
            "Restore from a picture",
            file_types=[".png"],
            type="filepath",
            size="sm",
            elem_id="restore",
            min_width=150,
            scale=0,
        )
        start_over = gr.Button("Start over", size="sm", elem_id="start-over", min_width=84, scale=0)
        linked = gr.HTML(
            '<p class="aside">Or drop a picture saved here anywhere on the page.</p>', elem_id="linked", min_width=120
        )
    return {"link": link, "upload": upload, "start_over": start_over, "linked": linked}


def restored_text(signed: Signed, beyond: list[str]) -> str:
    """The restored settings in words, with the picture itself."""
    evidence = signed.evidence
    notes = list(beyond)
    if signed.altered:
        notes.append("its pixels were changed after it was saved; Run again makes the one that was saved")
    return told_text(
        f"Restored from the {ARMS.get(evidence.arm, evidence.arm)} picture", evidence.made.words, notes, signed
    )


def told_text(title: str, words: str, notes: list[str], signed: Signed | None = None) -> str:
    picture = ""
    if signed is not None:
        picture = f'<img alt="The picture that was brought back" src="{preview_url(signed.pixels)}">'
    whole = "Settings that the form does not have are listed below." if notes else "All settings are on the form."
    return (
        f'<div class="restored" role="status">{picture}<div><h3>{escape(title)}</h3>'
        f'<p class="aside">Made {escape(words)}. <span class="as-restored">{whole}</span>'
        '<span class="changed">You changed the form since then; Run again still makes this picture.</span></p>'
        f"{notes_list(notes)}</div></div>"
    )


def linked_text(notes: list[str]) -> str:
    """The parts that a link does not carry, or that are not here."""
    return f'<div class="restored" role="status"><div><h3>Restored from a link</h3>{notes_list(notes)}</div></div>'


def refused_text(sentence: str) -> str:
    return f'<div class="restored" role="alert"><div><h3>Not restored</h3>{notes_list([sentence], "error")}</div></div>'


def verdict_text(again: Again) -> str:
    """Identical, or what differs."""
    kind = "good" if again.identical else "warn"
    first, stop, rest = again.words.partition(":")
    return f'<div class="verdict {kind}" role="status"><b>{escape(first)}{stop}</b>{escape(rest)}</div>'
