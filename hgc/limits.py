"""The most of everything that is taken from outside: one limit a quantity, checked at the door, before any planning.

Page, endpoints, MCP tools, shell and every file that is read go by these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time
from typing import Any

from hgc.refused import Refused

STEPS = 200
GUIDANCE = 30.0
PROMPT_CHARS = 2_000  # CLIP reads 77 tokens
SEARCH_CHARS = 200
SEARCH_WORDS = 12
PLAN_CELLS = 200_000  # steps x sites: a thousand sites in as many steps as there may be
PLAN_BYTES = 4_000_000  # of its JSON
TABLE_BYTES = 16_000_000  # of the error table beside searched plans, packed
TABLE_UNPACKED_BYTES = 64 * 2**20
TRIES = 1_000  # of plans for each budget of a search
RUNGS = 64  # budgets of one file of searched plans
SHELVES = 64  # such files of one repository
EDITED_CELLS = 20_000  # of one edit
CHOSEN_RUNS = 1_000  # ticked at once in the history
SWEEP_RUNS = 100
AXIS_CHARS = 2_000
SCENES = 64
CONTROL_PNG_CHARS = 2_000_000  # base64: what fits into a picture's own text, twice
PICTURE_CHARS = 990_000  # base64 of a picture to start from: it has a text of its own inside the PNGs made from it
SIZE_STEP_PX = 64  # of a picture's sides: every family's networks halve it so often
LEAST_SIDE_PX = 64
MOST_SIDE_PX = 2048
SCHEDULE_STEPS = 1_000  # noise levels of Stable Diffusion's training
LORAS = 8
WORKERS = 1_000  # of one place of work
LORA_CHARS = 200
REQUEST_BYTES = 16 * 2**20  # of its JSON, map and plan included
BODY_BYTES = 64 * 2**20  # of one request to the page that is no upload
TRACE_CHARS = 64 * 2**20  # of its JSON
NAME_CHARS = 80
TITLE_CHARS = 400  # of a plan, which says what it was made from

# Names that become part of a path: of models, controls, samplers.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
# Twelve hex digits that name a content.
DIGEST = r"^[0-9a-f]{12}$"
ARM = r"^[a-z_]{1,24}$"

PLANNING_S = 30.0  # of one core; the slowest plan within these limits, Optimised in 200 steps, takes 19


def parsed(text: str) -> Any:
    """JSON as plain data. Raises ValueError in one sentence, for hostile nesting and endless numbers as well."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"invalid JSON at line {error.lineno}") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


class TooLong(Refused, ValueError):
    """Planning that took longer than it may."""


_deadline: ContextVar[float | None] = ContextVar("planning ends at", default=None)


@contextmanager
def planning(limit_s: float = PLANNING_S) -> Iterator[None]:
    """Everything that is planned inside has so much time in all; the outermost of several counts. Raises TooLong."""
    if _deadline.get() is not None:
        yield
        return
    mark = _deadline.set(thread_time() + limit_s)
    try:
        yield
    finally:
        _deadline.reset(mark)


def check_time() -> None:
    """Called by what planning does over and over. Raises TooLong."""
    deadline = _deadline.get()
    if deadline is not None and thread_time() > deadline:
        raise TooLong("planning took longer than is allowed here: ask for fewer steps or another method")
