"""Loads the model while the page already serves: importing torch and diffusers takes longer than anyone waits."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from hgc.refused import Refused

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

log = logging.getLogger(__name__)
PATIENCE_S = 180.0
# Hugging Face sets it on ZeroGPU Spaces.
ZERO_GPU = "SPACES_ZERO_GPU"


class ModelNotReady(Refused, RuntimeError):
    """The model did not load, or not in time; one sentence says why."""


def load_landscapes() -> Studio:
    """The embedded model, on the best device there is."""
    from hgc.studio.studio import Studio

    return Studio.load()


def load_lent() -> Studio:
    """The same where an accelerator is borrowed for each run."""
    from hgc.studio.lent import LentStudio

    return LentStudio.load()


class Loader:
    """A model on its way. `studio` waits for it; `ready` and `failure` say how it stands without waiting."""

    def __init__(self, load: Callable[[], Studio] = load_landscapes) -> None:
        self._load = load
        self._done = threading.Event()
        self._studio: Studio | None = None
        self.failure = ""

    def start(self) -> Loader:
        threading.Thread(target=self._work, name="load model", daemon=True).start()
        return self

    def load(self) -> Loader:
        """Loads before anything is served, in this thread."""
        self._work()
        return self

    def _work(self) -> None:
        try:
            self._studio = self._load()
        # Whatever goes wrong while loading is told on the page; the log has the rest.
        except Exception as error:
            log.exception("the model did not load")
            self.failure = f"The model could not be loaded: {_one_sentence(error)}"
        finally:
            self._done.set()

    @property
    def ready(self) -> bool:
        return self._studio is not None

    @property
    def settled(self) -> bool:
        """Loaded or failed."""
        return self._done.is_set()

    def studio(self, patience_s: float = PATIENCE_S) -> Studio:
        """Waits for the model. Raises ModelNotReady."""
        if not self._done.wait(patience_s):
            raise ModelNotReady("The model is still loading: wait a little and press Run again.")
        if self._studio is None:
            raise ModelNotReady(self.failure)
        return self._studio


def loader_here() -> Loader:
    """The embedded model: while the page already serves or, on a ZeroGPU Space, before, by the main thread."""
    on_zero_gpu = os.environ.get(ZERO_GPU, "").lower() in ("1", "t", "true")
    return Loader(load_lent).load() if on_zero_gpu else Loader().start()


def _one_sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else text[:297] + "…"
