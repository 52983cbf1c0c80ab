"""What goes wrong inside diffusers and transformers, as one sentence; none of their progress bars and remarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable


@contextmanager
def told(preset: ModelPreset) -> Iterator[None]:
    """The libraries' errors as one sentence; none of their progress bars and remarks."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0][:160]
        remedy = "clone again, or make them with `hgc train`" if preset.name == "landscapes" else "fetch them again"
        raise ModelUnavailable(f"{preset.title}: the weights are not complete ({reason}); {remedy}") from error
    finally:
        diffusers_logging.set_verbosity(before)
