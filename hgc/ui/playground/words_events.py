"""The prompt as it is written: the words that the model will not understand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.ui.queueing import QUIET
from hgc.ui.remarks import notes_list

if TYPE_CHECKING:
    from hgc.ui.loader import Loader
    from hgc.ui.playground.tab import Playground


def unknown_words(loader: Loader, prompt: str) -> Any:
    """The words of a prompt that the model will not understand."""
    notes = loader.studio().check_prompt(prompt) if loader.ready else ()
    return gr.update(value=notes_list(notes), visible=bool(notes))


def wire_words(p: Playground) -> None:
    """Every change of the prompt is read; the answer to the last one stays."""
    loader, prompt = p.runner.loader, p.words.prompt
    prompt.change(
        lambda words: unknown_words(loader, words),
        prompt,
        p.words.notes,
        trigger_mode="always_last",
        queue=False,
        **QUIET,
    )
