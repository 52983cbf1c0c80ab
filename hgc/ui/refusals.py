"""Errors in the page's words: one sentence, for a visitor and for a program that calls."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from hgc.refused import Refused

log = logging.getLogger(__name__)


def in_one_sentence(error: Exception) -> str:
    """An error in the page's words: a refusal as it is, anything else without its insides."""
    if isinstance(error, Refused):
        return str(error)
    log.error("a run failed", exc_info=error)
    return f"Something unexpected happened ({type(error).__name__}); the server's log has the details, try again."


@contextmanager
def refusals() -> Iterator[None]:
    """Any error as one sentence for the caller, without a stack trace."""
    try:
        yield
    except Exception as error:
        raise gr.Error(in_one_sentence(error), print_exception=False) from error
