"""Loads the model while the page already serves: importing torch and diffusers takes longer than anyone waits."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hgc.refused import Refused

if TYPE_CHECKING:
    from hgc.models.presets import ModelPreset
    from hgc.spread.on import On
    from hgc.studio.studio import Studio

log = logging.getLogger(__name__)
PATIENCE_S = 180.0
# Hugging Face sets it on ZeroGPU Spaces.
ZERO_GPU = "SPACES_ZERO_GPU"
SPACE = "SPACE_ID"  # on every Space
PACKAGES = "HGC_PACKAGES"  # steps compiled ahead of time


class ModelNotReady(Refused, RuntimeError):
    """The model did not load, or not in time; one sentence says why."""


def load_landscapes() -> Studio:
    """The embedded model, on the best device there is."""
    from hgc.studio.studio import Studio

    return Studio.load()


def load_lent() -> Studio:
    """The same where an accelerator is borrowed for each run; with steps compiled ahead, where a folder is named."""
    from hgc.studio.lent import LentStudio

    studio = LentStudio.load()
    if folder := os.environ.get(PACKAGES):
        studio.record_steps(packages=Path(folder))
    return studio


def load_spread(on: On, graphs: bool) -> Studio:
    """The embedded model at workers elsewhere, who are there until this process ends. Raises Refused."""
    staying = ExitStack()
    atexit.register(staying.close)
    return staying.enter_context(on.studio("landscapes", graphs=graphs))


def load_named(model: str) -> Studio:
    """Any other model that is on this machine. Raises ModelUnavailable."""
    from hgc.studio.studio import Studio

    return Studio.load(model)


class Loader:
    """A model on its way. `studio` waits for it; `ready` and `failure` say how it stands without waiting.

    `load_other` loads another by its name in its place; without it there is no choice. With `several` workers runs wait
    in their line instead of one after the other.
    """

    def __init__(
        self,
        load: Callable[[], Studio] = load_landscapes,
        load_other: Callable[[str], Studio] | None = None,
        several: bool = False,
    ) -> None:
        self._load, self._load_other, self.several = load, load_other, several
        self._turn = threading.Lock()
        self.changed = False
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
    def choice(self) -> bool:
        """Whether another model may be chosen here."""
        return self._load_other is not None

    def change(self, model: str, preset: ModelPreset | None = None, anew: bool = False) -> Studio:
        """Loads another model in this one's place, which stays where that fails; the same one where its preset is
        another now, or `anew`. Raises ModelUnavailable.
        """
        if self._load_other is None:
            raise ModelNotReady("This page keeps to its model: open one of your own with `python app.py`.")
        with self._turn:
            studio = self.studio()
            if anew or studio.model != model or (preset is not None and studio.loaded.preset != preset):
                studio = self._studio = self._load_other(model)
                self.changed = True
        return studio

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


def loader_here(graphs: bool = False, on: On | None = None) -> Loader:
    """The embedded model: while the page already serves or, on a ZeroGPU Space, before, by the main thread.

    With `graphs` every model that is chosen records steps that are alike (`Studio.record_steps`). `on` is where runs
    are done, by default here.
    """
    on_zero_gpu = os.environ.get(ZERO_GPU, "").lower() in ("1", "t", "true")
    if on_zero_gpu:
        return Loader(load_lent).load()
    if on is not None and on.elsewhere:
        return Loader(partial(load_spread, on, graphs), several=True).start()
    # On a Space everybody shares one model, and nobody is to fill its disk.
    first = recording(load_landscapes) if graphs else load_landscapes
    other = recording(load_named) if graphs else load_named
    return Loader(first, None if SPACE in os.environ else other).start()


def recording(load: Callable[..., Studio]) -> Callable[..., Studio]:
    """The same model, whose steps are recorded."""

    def loaded(*model: str) -> Studio:
        studio = load(*model)
        studio.record_steps()
        return studio

    return loaded


def _one_sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else text[:297] + "…"
