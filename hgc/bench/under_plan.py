"""A pytest plugin for diffusers' own tests: `python -m pytest -p hgc.bench.under_plan …`.

With HGC_UNDER_PLAN naming a file, every loop of a pipeline with a ControlNet runs under a plan of computing everything,
and the file says how many there were. The one tokenizer that the tests fetch is made here, plan or none.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from diffusers import DiffusionPipeline
from transformers import CLIPTokenizer

from hgc.cache import schedules
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.running.engine import cached
from hgc.landscapes.tokenizer import build_tokenizer

REPORT = "HGC_UNDER_PLAN"
FETCHED, TOKENS = "hf-internal-testing/tiny-random-clip", 77


class Loop:
    """A pipeline's progress bar, whose block is its loop over the steps: entered, and left, together with a plan."""

    def __init__(self, pipe: Any, bar: Any, call: FrameType, counts: dict[str, int]) -> None:
        self._pipe, self._bar, self._call, self._counts = pipe, bar, call, counts
        self._under = ExitStack()

    def __enter__(self) -> Any:
        values = self._call.f_locals
        height, width = values["latents"].shape[-2:]
        tokens = values["prompt_embeds"].shape[1]
        anatomy = measure(Networks.of(self._pipe), (height, width), tokens)
        steps = len(values["timesteps"])
        self._under.enter_context(cached(self._pipe, schedules.full(anatomy, steps)))
        self._counts["loops"] += 1
        self._counts["steps"] += steps
        return self._under.enter_context(self._bar)

    def __exit__(self, *error: Any) -> Any:
        return self._under.__exit__(*error)


def _progress_bar(counts: dict[str, int], original: Any) -> Any:
    def progress_bar(self: Any, iterable: Any = None, total: int | None = None) -> Any:
        bar, call = original(self, iterable, total), sys._getframe(1)
        with_control = {"unet", "controlnet"} <= self.components.keys() and "timesteps" in call.f_locals
        return Loop(self, bar, call, counts) if with_control and iterable is None else bar

    return progress_bar


def _tokenizer(original: Any) -> Any:
    def from_pretrained(_: type, name: Any, *args: Any, **kwargs: Any) -> Any:
        if name != FETCHED:
            return original(name, *args, **kwargs)
        made = build_tokenizer()
        made.model_max_length = TOKENS
        return made

    return from_pretrained


def pytest_configure(config: Any) -> None:
    """Puts both in place for the whole process."""
    tokenizers: Any = CLIPTokenizer
    tokenizers.from_pretrained = classmethod(_tokenizer(CLIPTokenizer.from_pretrained))
    if REPORT in os.environ:
        counts = {"loops": 0, "steps": 0}
        pipelines: Any = DiffusionPipeline
        pipelines.progress_bar = _progress_bar(counts, DiffusionPipeline.progress_bar)
        config.add_cleanup(lambda: _report(counts))


def _report(counts: dict[str, int]) -> None:
    Path(os.environ[REPORT]).write_text(json.dumps(counts), encoding="utf-8")
