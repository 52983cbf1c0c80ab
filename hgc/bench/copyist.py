"""Draws an exhibit by several plans, from the map that its annotation makes, and judges the results, on any worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from hgc.bench.drawn import DatasetPicture
from hgc.bench.examiner import Examiner, coco_labels
from hgc.bench.gallery import Exhibit, Pixels
from hgc.bench.setup import BenchRefused
from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.running.engine import cached
from hgc.control import ade20k
from hgc.judges.labels import Labels
from hgc.request import Request
from hgc.results.comparison import Cancelled
from hgc.studio.comparing import pixels_of
from hgc.studio.control_map import Prepared
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio
from hgc.studio.worker import WORKER

if TYPE_CHECKING:
    from hgc.request import Recipe
    from hgc.spread.desk import Desk

WARM_STEPS = 2


@dataclass(frozen=True)
class Panel:
    """Who judges: `name`, and the figures that cannot be told. Pictures of different panels are in no one table."""

    name: str
    beside: tuple[str, ...]


@dataclass(frozen=True)
class Copied:
    """A picture, the time of the pipeline's whole call, and the MACs executed, None where nobody counted."""

    image: Pixels
    latency_ms: float
    macs_paper: int | None


class Copyist:
    """Draws and judges exhibits of one task on a loaded model."""

    def __init__(self, studio: Studio, task: str, coco: bool) -> None:
        self._studio, self.task, self._coco = studio, task, coco
        preset = studio.loaded.preset
        self.examiner = Examiner(task, studio.loaded.device, preset.canny, coco)
        judge = Judge.of(preset, networks=False)
        self.judge = judge if judge.own(task) else None
        self._warm: set[str] = set()

    @property
    def panel(self) -> Panel:
        own = "" if self.judge is None else self.judge.own(self.task)
        name = own or ("" if self.examiner.missing else self.examiner.name)
        return Panel(name, tuple(sorted(self.examiner.missing_beside)))

    def control(self, exhibit: Exhibit, picture: Pixels) -> tuple[Pixels, Labels | None]:
        """The map as the ControlNet reads it, and of a label map the numbers that it is judged by, if known.

        Raises BenchRefused, ImageRefused.
        """
        size = picture.shape[0]
        if self.task == "edges":
            return self.examiner.edges(picture), None
        numbers, colours = exhibit.numbers(size), exhibit.colours(size)
        if self.task == "depth":
            return (self.examiner.depth(picture) if colours is None else colours), None
        if colours is None:
            raise BenchRefused(f"{exhibit.name}: no label map of that name; put it into annotations/ or conditions/")
        if numbers is None:
            return colours, None
        if self._coco:
            if exhibit.condition is None:
                raise BenchRefused(
                    f"{exhibit.name}: COCO-Stuff's numbers do not say in which colours a ControlNet reads them; put "
                    "the coloured maps, by the same names, into conditions/"
                )
            return colours, coco_labels(numbers)
        labels = numbers.astype(np.int64) - 1  # 0 is unlabelled
        if labels.max() >= len(ade20k.NAMES):
            raise BenchRefused(f"{exhibit.name}: class {labels.max() + 1} of ADE20K's {len(ade20k.NAMES)}")
        painted = np.array([*ade20k.LABELS.palette.values(), (0, 0, 0)], np.uint8)[labels]
        return (painted if exhibit.condition is None else colours), labels

    def run(self, request: Request, call: Mapping[str, Any], plan: Plan) -> Copied:
        """The picture with what it took; what keeps nothing is the plain pipeline."""
        studio = self._studio
        pipe, adjustment = studio.loaded.pipeline(request.controls, request.sampler), None
        if plan.fitted:
            adjustment = studio.adjustment(plan, request)
        begun = perf_counter()
        with cached(pipe, plan, adjustment=adjustment) if plan.table else nullcontext() as run:
            image = pixels_of(pipe(**{**call, "num_inference_steps": plan.steps}).images)  # waits for the device
        latency_ms = (perf_counter() - begun) * 1e3
        return Copied(image, latency_ms, None if run is None else run.trace.macs.paper)

    def call(self, request: Request, after_step: Any) -> Mapping[str, Any]:
        """The arguments of the pipeline's call; the first one of a sampler warms up."""
        call = self._studio.call(request) | {"callback_on_step_end": after_step}
        if request.sampler not in self._warm:
            self.run(request, call, schedules.full(self._studio.anatomy(request), WARM_STEPS))
            self._warm.add(request.sampler)
        return call

    def judged(self, words: str, copied: Copied, control: Pixels, labels: Labels | None) -> DatasetPicture:
        """The scores of a picture."""
        image = copied.image
        if self.judge is not None:
            score = self.judge.score(image, control, self.task)
            shared = self.judge.overlaps(image, control, self.task)
        else:
            score, shared = self.examiner.score(image, control, labels)
        clip = self.examiner.clip(image, words)
        return DatasetPicture(score if isfinite(score) else None, shared, clip, copied.latency_ms, copied.macs_paper)


@dataclass(frozen=True)
class Copy:
    """The picture by a plan, judged; the features that FID compares by, [2048], None where its network is not here.

    `key` is the plan's. That of the exhibit's own picture has no `drawn`.
    """

    key: str
    drawn: DatasetPicture | None
    features: np.ndarray | None


@dataclass(frozen=True)
class Copies:
    """An exhibit drawn by `plans`, by their keys, for a `panel`; `real` is the key of its own picture's features.

    `real` is empty where they are known.
    """

    exhibit: Exhibit
    recipe: Recipe
    coco: bool
    plans: Mapping[str, Plan]
    panel: Panel
    real: str

    def do(self, desk: Desk, stop: threading.Event) -> Iterator[Copy]:
        """The pictures of each plan. Raises BenchRefused for a worker with other judges."""
        task = self.recipe.control
        copyist = desk.shared(("copyist", task, self.coco), lambda: Copyist(desk.studio, task, self.coco))
        if copyist.panel != self.panel:
            raise BenchRefused(
                f"workers differ: {desk.facts().where} judges by {_told(copyist.panel)}, where the work is given out "
                f"by {_told(self.panel)}; fetch the same networks on all machines"
            )
        yield from WORKER.each(self._drawn(copyist, stop))

    def _drawn(self, copyist: Copyist, stop: threading.Event) -> Iterator[Copy]:
        def after_step(_pipe: Any, step: int, _time: Any, _state: Mapping[str, Any]) -> dict[str, Any]:
            if stop.is_set():
                raise Cancelled(f"stopped in step {step + 1}; the pictures before are kept")
            return {}

        assert self.recipe.size is not None
        picture = self.exhibit.pixels(self.recipe.size[0])
        control, labels = copyist.control(self.exhibit, picture)
        request = self.recipe.with_map(Prepared(control).png)
        call = copyist.call(request, after_step)
        if self.real:
            yield Copy(self.real, None, copyist.examiner.features(picture))
        for key, plan in self.plans.items():
            copied = copyist.run(request, call, plan)
            drawn = copyist.judged(self.exhibit.words, copied, control, labels)
            yield Copy(key, drawn, copyist.examiner.features(copied.image))


def _told(panel: Panel) -> str:
    without = f" without {' and '.join(panel.beside)}" if panel.beside else ""
    return f"{panel.name or 'nobody'}{without}"
