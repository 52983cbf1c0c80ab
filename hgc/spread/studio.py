"""A studio whose runs are done by workers elsewhere; its own model plans, and reads drawings."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from hgc.calibration.files import Calibration
from hgc.calibration.subject import Subject
from hgc.models.loaded import Loaded
from hgc.models.loading import load
from hgc.request import Request
from hgc.results.comparison import Comparison, Progress
from hgc.results.forecast import Forecast
from hgc.spread.compare import Compare, Inspect
from hgc.spread.facts import Facts, check_alike
from hgc.spread.measure import scenes_at
from hgc.spread.pool import Pool
from hgc.spread.work import GivenTask, Waiting
from hgc.studio.arm_cache import ArmCache
from hgc.studio.calibrating import LONGEST, ScenesMeasured, calibrating, place_of
from hgc.studio.inspection import Inspection, Look
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio
from hgc.studio.worker import on_worker


class SpreadStudio(Studio):
    """Runs wait in the pool's line, several at once; `place` is where a sweep goes."""

    def __init__(self, loaded: Loaded, judge: Judge, pool: Pool) -> None:
        super().__init__(loaded, judge)
        self.place = pool

    @classmethod
    def beside(cls, pool: Pool, model: str) -> SpreadStudio:
        """The same model as the pool's workers have, on the CPU, as their devices are theirs. Raises WorkersDiffer."""
        first = pool.facts[0]
        studio = cls._here(pool, model, first.dtype)
        check_alike(Facts.of(studio), first)
        studio.device = first.device
        return studio

    @classmethod
    @on_worker
    def _here(cls, pool: Pool, model: str, dtype: str) -> SpreadStudio:
        loaded = load(model, device="cpu", dtype=dtype)
        return cls(loaded, Judge.of(loaded.preset), pool)

    def compare(  # type: ignore[override]  # what it tells on top is for those who know of a line
        self,
        request: Request,
        *,
        cancel: threading.Event | None = None,
        drawn: ArmCache | None = None,
        forecast: Forecast | None = None,
    ) -> Iterator[Waiting | GivenTask | Progress | Comparison]:
        """As a studio's, by the first worker that is free, and begun anew by another where that one is lost."""
        self.accept(request)
        task = Compare(request.model_dump_json(), forecast or self.forecast(request))
        return self._compared(task, cancel or threading.Event())

    def _compared(self, task: Compare, stop: threading.Event) -> Iterator[Waiting | GivenTask | Progress | Comparison]:
        for news in self.place.run(task, stop):
            if isinstance(news, Comparison):
                self.note_timing(news.request, news.full, news.cached)
            yield news

    def inspect(self, comparison: Comparison, *, cancel: threading.Event | None = None) -> Iterator[Look | Inspection]:
        """As a studio's."""
        self.accept(comparison.request)
        news = self.place.run(Inspect(comparison), cancel or threading.Event())
        return (each for each in news if isinstance(each, Look | Inspection))

    def calibrate(
        self, subject: Subject, scenes: int, *, cancel: threading.Event | None = None
    ) -> Iterator[ScenesMeasured | Calibration]:
        """As a studio's, many scenes at once."""
        stop = cancel or threading.Event()
        each = scenes_at(self.place, subject, LONGEST, stop)
        return calibrating(self, subject, scenes, place_of(self, subject), cancel=stop, each=each)
