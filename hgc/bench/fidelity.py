"""The paper's table on a data set of one's own: MACs, time, and how well pictures keep to their control.

python -m hgc bench fidelity --data ADEChallengeData2016 --task segmentation --model sd15     # resumes
python -m hgc bench fidelity --data coco --task segmentation --shard 1/4                      # of four devices

ControlNet++'s protocol (arXiv 2404.07987, sec. 4.1): 512 x 512, 20 steps, guidance 7.5; the control is read back from
every picture. Each is a line of a ledger in the output folder; the shard that ends last prints the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

from hgc import limits
from hgc.bench.copyist import Copies, Copy, Copyist
from hgc.bench.drawn import FULL, DatasetLedger, DatasetRow, columns, executed, fid, row
from hgc.bench.gallery import Exhibit, exhibits, is_coco
from hgc.bench.machine import Machine, machine_now
from hgc.bench.setup import BenchRefused
from hgc.bench.table import text_table
from hgc.cache import schedules
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import CalibrationRefused
from hgc.planning import Task
from hgc.planning.methods import METHODS, BelowLeast, method_of
from hgc.request import Recipe
from hgc.spread.here import place_of
from hgc.spread.pace import WorkPace
from hgc.spread.together import in_order, together
from hgc.spread.work import WorkLost
from hgc.studio.studio import Studio
from hgc.studio.worker import WORKER
from hgc.unwritable import check_place

Tell = Callable[[str], None]

TASKS = ("segmentation", "depth", "edges")  # as controls are called
COMPARED = ("hgc", "optimised", "deepcache", "tgate", "easycache", "magcache", "spectrum", "fewer_steps")
SAMPLERS = ("unipc", "ddim")


@dataclass(frozen=True)
class FidelitySetting:
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
class FidelityTable:
    """The table; `judge` says who scored, `missing` is a sentence for each thing that could not be done or measured."""

    setting: FidelitySetting
    score_name: str
    judge: str
    rows: tuple[DatasetRow, ...]
    missing: tuple[str, ...]
    machine: Machine
    dtype: str
    command: str


def fidelity(studio: Studio, setting: FidelitySetting, tell: Tell = lambda news: None) -> FidelityTable:
    """Drawn wherever the studio's runs are done.

    Raises BenchRefused, RequestRefused, ImageRefused, ModelUnavailable.
    """
    if setting.task not in studio.controls:
        raise BenchRefused(
            f"{studio.model} has no control '{setting.task}' here; fetch it with "
            f"`hgc models fetch {studio.model} --control {setting.task}`"
        )
    check_place(setting.out, folder=True)
    return _Exhibition(studio, setting, tell).measured()


class _Exhibition:
    """All pictures of a data set by all methods."""

    def __init__(self, studio: Studio, setting: FidelitySetting, tell: Tell) -> None:
        self.studio, self.setting, self.tell = studio, setting, tell
        self.all = exhibits(setting.data)[: setting.limit]
        self.coco = is_coco(self.all)
        own = Copyist(studio, setting.task, self.coco)  # who plans knows by whom is judged, as all workers do
        self.examiner, self.panel = own.examiner, own.panel
        reason = "" if own.judge else self.examiner.missing
        beside = [f"{figure}: {why}" for figure, why in self.examiner.missing_beside.items()]
        self.missing = [*([f"{self.examiner.title}: {reason}"] if reason else []), *beside]
        self.ledger = DatasetLedger(setting.out, setting.shard)

    def measured(self) -> FidelityTable:
        part, parts = self.setting.shard
        plans = WORKER.run(lambda: {sampler: dict(self._plans(sampler)) for sampler in self.setting.samplers})
        for sampler, planned in plans.items():
            self._draw(sampler, planned, self.all[part - 1 :: parts])
        rows = [row for sampler, planned in plans.items() for row in self._rows(sampler, planned)]
        whole = len(self.all) * sum(len(planned) for planned in plans.values())
        if left := whole - sum(row.pictures for row in rows):
            self.missing.append(f"{left} pictures are left to the other shards; the last to end has the whole table")
        device = self.studio.loaded.device
        return FidelityTable(
            setting=self.setting,
            score_name=self.examiner.title,
            judge=self.panel.name or self.examiner.name,
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
        """Draws the pictures that are not in the ledger yet."""
        seeds = {self._seed(exhibit): exhibit for exhibit in own}
        left = {seed: todo for seed, one in seeds.items() if (todo := self._missing(one, sampler, plans))}
        place, finished = place_of(self.studio), len(own) - len(left)
        pace = WorkPace(place, sum(map(len, left.values())))
        tasks = (self._copies(seeds[seed], sampler, todo) for seed, todo in left.items())
        for task, news in together(place, in_order(tasks), Event()):
            if isinstance(news, WorkLost):
                raise BenchRefused(
                    f"{task.exhibit.name} could not be drawn: {news}; the same command goes on from here"
                )
            if isinstance(news, Copy):
                self._keep(news)
                todo = left[task.recipe.seed]
                todo.pop(news.key, None)
                rate = pace.after() if news.drawn else ""
                if rate and not todo:
                    finished += 1
                    self.tell(f"{sampler}: {finished} of {len(own)} pictures; {rate}")

    def _missing(self, exhibit: Exhibit, sampler: str, plans: Mapping[str, Plan]) -> dict[str, Plan]:
        """Plans by their pictures' keys."""
        keys = {self._key(exhibit, sampler, plan): plan for plan in plans.values()}
        return {key: plan for key, plan in keys.items() if not self.ledger.known(key)}

    def _copies(self, exhibit: Exhibit, sampler: str, plans: Mapping[str, Plan]) -> Copies:
        real = self._real(exhibit)
        known = self.ledger.features(real) is not None
        recipe = self._recipe(exhibit, sampler)
        return Copies(exhibit.carried(), recipe, self.coco, dict(plans), self.panel, "" if known else real)

    def _keep(self, copy: Copy) -> None:
        """Its features first, so that what the ledger knows has them."""
        self.ledger.keep_features(copy.key, copy.features)
        if copy.drawn is not None:
            self.ledger.add(copy.key, copy.drawn)

    def _recipe(self, exhibit: Exhibit, sampler: str) -> Recipe:
        words = exhibit.words[: limits.PROMPT_CHARS]
        return self.setting.recipe(sampler).but(prompt=words, seed=self._seed(exhibit))

    def _seed(self, exhibit: Exhibit) -> int:
        """Each picture has a noise of its own, the same for all methods."""
        return self.all.index(exhibit)

    def _rows(self, sampler: str, plans: Mapping[str, Plan]) -> Iterator[DatasetRow]:
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
            better = self.examiner.higher_is_better
            pictures, full = ([d for d in drawn[of] if d is not None] for of in (name, FULL))
            macs = executed(pictures, task.cost(plan).paper)
            yield row(
                name, sampler, plan.name, (macs, macs / task.whole.paper), pictures, full, fid(real, made), better
            )

    def _key(self, exhibit: Exhibit, sampler: str, plan: Plan) -> str:
        """Twelve hex digits of all that decides a picture and who judges it."""
        studio, setting = self.studio, self.setting
        weights, panel = studio.weights(setting.recipe(sampler)), self.panel
        under = studio.weights_under(setting.task)
        parts = (weights, under, studio.device, studio.dtype, panel.name, list(panel.beside))
        drawn = (setting.recipe(sampler).picture_digest, exhibit.name, exhibit.words, self._seed(exhibit))
        return sha256(repr((parts, drawn, plan.steps, plan.digest)).encode()).hexdigest()[:12]

    def _real(self, exhibit: Exhibit) -> str:
        return f"real-{self.setting.size}-{sha256(exhibit.name.encode()).hexdigest()[:12]}"


def text(measured: FidelityTable) -> str:
    """The table, what is missing in it, and what it was measured on."""
    setting, machine = measured.setting, measured.machine
    measured_on = (
        f"{setting.model}, {setting.task}, {setting.size} x {setting.size}, {setting.steps} steps, guidance "
        f"{setting.guidance:g}; judged by {measured.judge}; {machine.device}, {measured.dtype}, "
        f"{machine.threads} threads, torch {machine.torch}; {measured.command}"
    )
    return "\n".join([text_table(measured.rows, columns(measured.score_name), words=2), *measured.missing, measured_on])


def data(measured: FidelityTable) -> dict[str, Any]:
    plain = asdict(measured)
    plain["setting"] |= {"data": str(measured.setting.data), "out": str(measured.setting.out)}
    return plain
