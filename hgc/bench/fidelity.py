"""The paper's table on a data set of one's own: MACs, time, and how well pictures keep to their control.

python -m hgc bench fidelity --data ADEChallengeData2016 --task segmentation --model sd15     # resumes
python -m hgc bench fidelity --data coco --task segmentation --shard 1/4                      # of four devices

ControlNet++'s protocol (arXiv 2404.07987, sec. 4.1): 512 x 512, 20 steps, guidance 7.5; the control is read back from
every picture. Each is a line of a ledger in the output folder; the shard that ends last prints the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from hgc import limits
from hgc.bench.drawn import FULL, Drawn, Ledger, Row, columns, fid, row
from hgc.bench.examiner import Examiner, coco_labels
from hgc.bench.gallery import Exhibit, Pixels, exhibits, is_coco
from hgc.bench.machine import Machine, machine_now
from hgc.bench.setup import BenchRefused
from hgc.bench.table import text_table
from hgc.cache import schedules
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.control import ade20k
from hgc.judges.labels import Labels
from hgc.planning import Task
from hgc.planning.methods import METHODS, BelowLeast, method_of
from hgc.request import Recipe, Request
from hgc.studio.control_map import Prepared
from hgc.studio.judge import OWN, Judge
from hgc.studio.studio import Studio, pixels_of
from hgc.studio.worker import on_worker
from hgc.whole import check_place

Tell = Callable[[str], None]

TASKS = ("segmentation", "depth", "edges")  # as controls are called
COMPARED = ("hgc", "optimised", "deepcache", "tgate", "spectrum", "fewer_steps")
SAMPLERS = ("unipc", "ddim")
WARM_STEPS = 2


@dataclass(frozen=True)
class Setting:
    """How pictures are drawn; `shard` is which of how many parts of the data, from 1; `limit` the most pictures."""

    data: Path
    task: str
    out: Path
    model: str = "sd15"
    methods: tuple[str, ...] = COMPARED
    samplers: tuple[str, ...] = SAMPLERS
    budget: float = 0.368
    size: int = 512
    steps: int = 20
    guidance: float = 7.5
    limit: int | None = None
    shard: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise BenchRefused(f"--task {self.task[:40]}: known are {', '.join(TASKS)}")
        for name in self.methods:
            method_of(name)
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise BenchRefused(f"--shard {part}/{parts}: the first of four parts is 1/4, the last one 4/4")
        if self.limit is not None and self.limit < 1:
            raise BenchRefused(f"--limit {self.limit}: needs at least 1")

    def recipe(self, sampler: str) -> Recipe:
        """A picture's settings, of any exhibit. Raises RequestRefused."""
        return Recipe.parse(
            {
                "model": self.model,
                "control": self.task,
                "sampler": sampler,
                "steps": self.steps,
                "guidance": self.guidance,
                "size": (self.size, self.size),
            }
        )

    def command(self, device: str, dtype: str) -> str:
        """The command that measures the same again."""
        words = [
            f"python -m hgc bench fidelity --data {self.data} --task {self.task} --model {self.model}",
            f"--size {self.size} --steps {self.steps} --guidance {self.guidance:g} --budget {self.budget:g}",
            *(f"--sampler {name}" for name in self.samplers),
            *(f"--method {name}" for name in self.methods if self.methods != COMPARED),
            *([] if self.limit is None else [f"--limit {self.limit}"]),
            f"--device {device} --dtype {dtype} --out {self.out}",
        ]
        return " ".join(words)


@dataclass(frozen=True)
class Measured:
    """The table; `judge` says who scored, `missing` is a sentence for each thing that could not be done or measured."""

    setting: Setting
    score_name: str
    judge: str
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    machine: Machine
    dtype: str
    command: str


@on_worker
def fidelity(studio: Studio, setting: Setting, tell: Tell = lambda news: None) -> Measured:
    """Raises BenchRefused, RequestRefused, ImageRefused, ModelUnavailable."""
    if setting.task not in studio.controls:
        raise BenchRefused(
            f"{studio.model} has no control '{setting.task}' here; fetch it with "
            f"`hgc models fetch {studio.model} --control {setting.task}`"
        )
    check_place(setting.out, folder=True)
    return _Exhibition(studio, setting, tell).measured()


class _Exhibition:
    """All pictures of a data set by all methods."""

    def __init__(self, studio: Studio, setting: Setting, tell: Tell) -> None:
        self.studio, self.setting, self.tell = studio, setting, tell
        self.all = exhibits(setting.data)[: setting.limit]
        self.coco = is_coco(self.all)
        preset, device = studio.loaded.preset, studio.loaded.device
        self.examiner = Examiner(setting.task, device, preset.canny, self.coco)
        own = Judge.of(preset, networks=False)
        self.judge = own if setting.task == "segmentation" and own.name(setting.task) else None
        reason = "" if self.judge else self.examiner.missing
        beside = [f"{figure}: {why}" for figure, why in self.examiner.missing_beside.items()]
        self.missing = [*([f"{self.examiner.title}: {reason}"] if reason else []), *beside]
        self.ledger = Ledger(setting.out, setting.shard)

    def measured(self) -> Measured:
        part, parts = self.setting.shard
        plans = {sampler: dict(self._plans(sampler)) for sampler in self.setting.samplers}
        for sampler, planned in plans.items():
            self._draw(sampler, planned, self.all[part - 1 :: parts])
        rows = [row for sampler, planned in plans.items() for row in self._rows(sampler, planned)]
        whole = len(self.all) * sum(len(planned) for planned in plans.values())
        if left := whole - sum(row.pictures for row in rows):
            self.missing.append(f"{left} pictures are left to the other shards; the last to end has the whole table")
        device = self.studio.loaded.device
        return Measured(
            setting=self.setting,
            score_name=self.examiner.title,
            judge=OWN if self.judge else self.examiner.name,
            rows=tuple(rows),
            missing=tuple(dict.fromkeys(self.missing)),
            machine=machine_now(device),
            dtype=self.studio.dtype,
            command=self.setting.command(device.type, self.studio.dtype),
        )

    def _plans(self, sampler: str) -> Iterator[tuple[str, Plan]]:
        """The full run first; of a method the plan within the budget, or its least. What cannot be planned is told."""
        recipe = self.setting.recipe(sampler)
        yield FULL, schedules.full(self.studio.anatomy(recipe), self.setting.steps)
        for name in self.setting.methods:
            asked = recipe.but(method=name, budget=self.setting.budget)
            try:
                try:
                    plan = self.studio.plan(asked)
                except BelowLeast as error:
                    plan = self.studio.plan(error.at_least(asked))
                self.missing += [f"{METHODS[name].title}, {sampler}: {note}" for note in plan.origin.notes()]
                yield name, plan
            except (PlanRefused, CalibrationRefused) as error:
                self.missing.append(f"left out: {METHODS[name].title}, {sampler}: {error}")

    def _draw(self, sampler: str, plans: Mapping[str, Plan], own: Sequence[Exhibit]) -> None:
        """What is not in the ledger yet."""
        warm = False
        for number, exhibit in enumerate(own):
            todo = [name for name, plan in plans.items() if not self.ledger.known(self._key(exhibit, sampler, plan))]
            if not todo:
                continue
            picture = exhibit.pixels(self.setting.size)
            control, labels = self._control(exhibit, picture)
            request = self._request(exhibit, sampler, control)
            call = self.studio.call(request)
            if not warm:
                self._run(request, call, schedules.full(self.studio.anatomy(request), WARM_STEPS))
                warm = True
            if self.ledger.features(real := self._real(exhibit)) is None:
                self.ledger.keep_features(real, self.examiner.features(picture))
            for name in todo:
                image, latency_ms = self._run(request, call, plans[name])
                key = self._key(exhibit, sampler, plans[name])
                self.ledger.keep_features(key, self.examiner.features(image))
                self.ledger.add(key, self._judged(exhibit, image, control, labels, latency_ms))
            self.tell(f"{sampler}: {number + 1} of {len(own)} pictures")

    def _request(self, exhibit: Exhibit, sampler: str, control: Pixels) -> Request:
        """Each picture has a noise of its own, the same for all methods."""
        asked = self.setting.recipe(sampler).but(
            prompt=exhibit.words[: limits.PROMPT_CHARS], seed=self.all.index(exhibit)
        )
        return asked.with_map(Prepared(control).png)

    def _run(self, request: Request, call: Mapping[str, Any], plan: Plan) -> tuple[Pixels, float]:
        """The picture, and the time of the whole call; what keeps nothing is the plain pipeline."""
        pipe, adjustment = self.studio.loaded.pipeline(request.controls, request.sampler), None
        if plan.fitted:
            adjustment = self.studio.adjustment(plan, request)
        begun = perf_counter()
        with cached(pipe, plan, adjustment=adjustment) if plan.table else nullcontext():
            image = pixels_of(pipe(**{**call, "num_inference_steps": plan.steps}).images)  # waits for the device
        return image, (perf_counter() - begun) * 1e3

    def _control(self, exhibit: Exhibit, picture: Pixels) -> tuple[Pixels, Labels | None]:
        """The map as the ControlNet reads it, and of a label map the numbers that it is judged by, if known."""
        if self.setting.task == "edges":
            return self.examiner.edges(picture), None
        numbers, colours = exhibit.numbers(self.setting.size), exhibit.colours(self.setting.size)
        if self.setting.task == "depth":
            return (self.examiner.depth(picture) if colours is None else colours), None
        if colours is None:
            raise BenchRefused(f"{exhibit.name}: no label map of that name; put it into annotations/ or conditions/")
        if numbers is None:
            return colours, None
        if self.coco:
            if exhibit.condition is None:
                raise BenchRefused(
                    f"{exhibit.name}: COCO-Stuff's numbers do not say in which colours a ControlNet reads them; put "
                    "the coloured maps, by the same names, into conditions/"
                )
            return colours, coco_labels(numbers)
        labels = numbers.astype(np.int64) - 1  # 0 is unlabelled
        if labels.max() >= len(ade20k.NAMES):
            raise BenchRefused(f"{exhibit.name}: class {labels.max() + 1} of ADE20K's {len(ade20k.NAMES)}")
        painted = np.array([*ade20k.palette().values(), (0, 0, 0)], np.uint8)[labels]
        return (painted if exhibit.condition is None else colours), labels

    def _judged(
        self, exhibit: Exhibit, image: Pixels, control: Pixels, labels: Labels | None, latency_ms: float
    ) -> Drawn:
        if self.judge is not None:
            score = self.judge.score(image, control, self.setting.task)
            shared = self.judge.overlaps(image, control, self.setting.task)
        else:
            score, shared = self.examiner.score(image, control, labels)
        clip = self.examiner.clip(image, exhibit.words)
        return Drawn(score if isfinite(score) else None, shared, clip, latency_ms)

    def _rows(self, sampler: str, plans: Mapping[str, Plan]) -> Iterator[Row]:
        """Of the pictures that the ledger knows, whichever shard drew them."""
        task = Task(self.setting.recipe(sampler), self.studio.blueprint)
        there = [e for e in self.all if all(self.ledger.known(self._key(e, sampler, p)) for p in plans.values())]
        drawn = {
            name: [self.ledger.known(self._key(exhibit, sampler, plan)) for exhibit in there]
            for name, plan in plans.items()
        }
        real = [self.ledger.features(self._real(exhibit)) for exhibit in there]
        for name, plan in plans.items() if there else ():
            made = [self.ledger.features(self._key(exhibit, sampler, plan)) for exhibit in there]
            macs = (task.cost(plan).paper, task.share(plan))
            better = self.examiner.higher_is_better
            pictures, full = ([d for d in drawn[of] if d is not None] for of in (name, FULL))
            yield row(name, sampler, plan.name, macs, pictures, full, fid(real, made), better)

    def _key(self, exhibit: Exhibit, sampler: str, plan: Plan) -> str:
        """Twelve hex digits of all that decides a picture and who judges it."""
        studio, setting = self.studio, self.setting
        judge = OWN if self.judge else "" if self.examiner.missing else self.examiner.name
        beside = sorted(self.examiner.missing_beside)
        weights = studio.weights(setting.recipe(sampler))
        parts = (weights, studio.weights_under(setting.task), studio.device, studio.dtype, judge, beside)
        drawn = (setting.recipe(sampler).picture_digest, exhibit.name, exhibit.words, self.all.index(exhibit))
        return sha256(repr((parts, drawn, plan.steps, plan.digest)).encode()).hexdigest()[:12]

    def _real(self, exhibit: Exhibit) -> str:
        return f"real-{self.setting.size}-{sha256(exhibit.name.encode()).hexdigest()[:12]}"


def text(measured: Measured) -> str:
    """The table, what is missing in it, and what it was measured on."""
    setting, machine = measured.setting, measured.machine
    measured_on = (
        f"{setting.model}, {setting.task}, {setting.size} x {setting.size}, {setting.steps} steps, guidance "
        f"{setting.guidance:g}; judged by {measured.judge}; {machine.device}, {measured.dtype}, "
        f"{machine.threads} threads, torch {machine.torch}; {measured.command}"
    )
    return "\n".join([text_table(measured.rows, columns(measured.score_name), words=2), *measured.missing, measured_on])


def data(measured: Measured) -> dict[str, Any]:
    plain = asdict(measured)
    plain["setting"] |= {"data": str(measured.setting.data), "out": str(measured.setting.out)}
    return plain
