"""What goes wrong inside diffusers and transformers, as one sentence; none of their progress bars and remarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable

LIBRARIES = (diffusers_logging, transformers_logging)


@contextmanager
def told(fault: str, remedy: str, *also: type[Exception]) -> Iterator[None]:
    """Runs what loads weights. Raises ModelUnavailable: the fault, the library's own reason, the remedy.

    `also` are errors that mean damaged weights here, beside those that always do.
    """
    damaged: tuple[type[Exception], ...] = (OSError, ValueError, SafetensorError, *also)
    before = [logging.get_verbosity() for logging in LIBRARIES]
    for logging in LIBRARIES:
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    try:
        yield
    except ModelUnavailable:
        raise
    except damaged as error:
        reason = str(error).strip().split("\n")[0][:160]
        raise ModelUnavailable(f"{fault} ({reason}); {remedy}") from error
    finally:
        for logging, level in zip(LIBRARIES, before, strict=True):
            logging.set_verbosity(level)


def incomplete(preset: ModelPreset) -> tuple[str, str]:
    """Fault and remedy of a model whose weights cannot be read."""
    remedy = "clone again, or make them with `hgc train`" if preset.name == "landscapes" else "fetch them again"
    return f"{preset.title}: the weights are not complete", remedy
