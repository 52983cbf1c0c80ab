"""The most of everything that is taken from outside: one limit a quantity, checked at the door, before any planning.

Page, endpoints, MCP tools, shell and every file that is read go by these.
"""

from __future__ import annotations

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
