"""Every method's time on the shapes of Stable Diffusion 1.5 with one ControlNet: full-size networks, random weights.

python -m hgc bench sd15 --device cuda                                 # 512 x 512 in 20 steps, as the paper
python -m hgc bench sd15 --device cuda --shapes sdxl --size 1024        # SDXL with one ControlNet
python -m hgc bench sd15 --size 256 --steps 8 --method optimised       # a minute on two cores
python -m hgc bench sd15 --tiny                                        # the same road in seconds

Where the device can record, every method is timed eagerly and recorded, and the pictures of both are compared. Nothing
is downloaded, and no picture is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import torch

from hgc import planning
from hgc.bench.machine import Machine, busy_s, machine_now, peak_bytes
from hgc.bench.random_pipeline import call_of, random_pipeline
from hgc.bench.setup import BenchRefused
from hgc.bench.shapes import FAMILIES, GUIDANCE, TINY, TOKENS, networks_of
from hgc.bench.table import text_table
from hgc.cache import schedules
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.recording.rows import Recordings
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.cache.running.run import Run
from hgc.models.devices import DTYPES, best_device, device_named
from hgc.planning import Blueprint, Task
from hgc.planning.methods import METHODS, BelowLeast, method_of
from hgc.request import Recipe
from hgc.studio.worker import on_worker

Tell = Callable[[str], None]

GRAIN_PX = 64  # three levels of halves below latents of an eighth
WARM_STEPS = 2
RECORDING_PICTURES = 2  # a row is recorded when it is met for the second time


@dataclass(frozen=True)
class TimedSetting:
    """The settings of a run; `size` is the picture's side in pixels, `repeats` the rounds that count.

    A method that cannot cost as little as the budget is taken at its least.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    budget: float = 0.368
    size: int = 512
    steps: int = 20
    repeats: int = 1
    dtype: str = "bfloat16"
    shapes: str = "sd15"
    batch: int = 1
    tiny: bool = False

    def __post_init__(self) -> None:
        if self.size < GRAIN_PX or self.size % GRAIN_PX:
            raise BenchRefused(f"--size {self.size}: choose a multiple of {GRAIN_PX}")
        for name, count in (("repeats", self.repeats), ("batch", self.batch)):
            if count < 1:
                raise BenchRefused(f"--{name} {count}: needs at least 1")
        if self.shapes not in FAMILIES:
            raise BenchRefused(f"--shapes {self.shapes}: known are {', '.join(FAMILIES)}")
        for name in self.methods:
            method_of(name)
        if self.dtype not in DTYPES:
            raise BenchRefused(f"--dtype {self.dtype}: known are {', '.join(DTYPES)}")

    @property
    def networks(self) -> Mapping[str, Any]:
        return (TINY if self.tiny else FAMILIES)[self.shapes]

    def command(self, device: str) -> str:
        """The command that measures the same again."""
        methods = "" if self.methods == tuple(METHODS) else "".join(f" --method {name}" for name in self.methods)
        return (
            f"python -m hgc bench sd15 --device {device} --shapes {self.shapes} --size {self.size} "
            f"--steps {self.steps} --batch {self.batch} --budget {self.budget:g} --repeats {self.repeats} "
            f"--dtype {self.dtype}{methods}{' --tiny' if self.tiny else ''}"
        )


@dataclass(frozen=True)
class TimedArm:
    """Seconds to denoise one call's pictures; None of what could not be measured here.

    `busy_s` is how long the device worked, by the profiler; `recorded_s` and what follows are of replayed recordings:
    whether the pictures are the eager ones to the bit, what recording took once, and what it keeps.
    """

    eager_s: float
    busy_s: float | None = None
    peak_bytes: int | None = None
    recorded_s: float | None = None
    same_bits: bool | None = None
    recording_ms: float | None = None
    recording_bytes: int | None = None
    recorded_peak_bytes: int | None = None


@dataclass(frozen=True)
class TimedRow:
    """One method, of the rounds the one of median eager time; `speedup` is plain over own, the median over the rounds.

    Shares are of MACs. `kept` is how much of what they promise (full convention) arrives as time, `kept_recorded` the
    same of recorded runs against the recorded run of everything.
    """

    method: str
    plan: str
    arm: TimedArm
    speedup: float
    share_paper: float
    share_full: float
    kept_recorded: float | None = None

    @property
    def seconds(self) -> float:
        return self.arm.eager_s

    @property
    def kept(self) -> float:
        return self.speedup * self.share_full

    @property
    def title(self) -> str:
        return METHODS[self.method].title if self.method in METHODS else self.method.capitalize()


@dataclass(frozen=True)
class Timed:
    """Seconds of the plain pipeline, the engine computing everything, the methods, a sentence for what is missing."""

    setting: TimedSetting
    full_s: float
    full: TimedRow
    rows: tuple[TimedRow, ...]
    missing: tuple[str, ...]
    machine: Machine
    command: str


@dataclass
class Stand:
    """A stand to be timed: a pipeline, the arguments of its call, and recordings of it where the device can record."""

    pipe: Any
    call: Mapping[str, Any]
    recordings: Recordings = field(default_factory=Recordings)

    @property
    def device(self) -> torch.device:
        return self.pipe.unet.device


@on_worker
def timed(
    setting: TimedSetting,
    device: str | None = None,
    shapes: Mapping[str, Any] | None = None,
    tell: Tell = lambda news: None,
    recordings: Recordings | None = None,
) -> Timed:
    """The plain pipeline, the engine computing everything, and the methods in turn, round by round.

    Raises BenchRefused, RequestRefused, PlanRefused, ModelUnavailable.
    """
    where, shapes = device_named(device) if device else best_device(), shapes or setting.networks
    task, missing = _task(setting, shapes), list[str]()
    plans = {name: plan for name in setting.methods if (plan := _planned(name, task, setting.budget, missing))}
    plans = {"full": schedules.full(task.anatomy, setting.steps), **plans}
    pipe = random_pipeline(shapes, where, DTYPES[setting.dtype])
    call = call_of(pipe, setting.size, setting.steps, setting.batch)
    stand = Stand(pipe, call, recordings or Recordings())
    _warm_up(pipe, stand.call, task)
    rounds = [_round(stand, plans, tell) for _ in range(setting.repeats)]
    rows = {name: _row(name, plan, rounds, task) for name, plan in plans.items()}
    if rows["full"].arm.recorded_s is None:
        missing.append(f"recorded: not measured, a {where.type} device records nothing")
    return Timed(
        setting=setting,
        full_s=median(plain for plain, _ in rounds),
        full=rows.pop("full"),
        rows=tuple(rows.values()),
        missing=tuple(missing),
        machine=machine_now(where),
        command=setting.command(where.type),
    )


def _row(name: str, plan: Plan, rounds: Sequence[tuple[float, Mapping[str, TimedArm]]], task: Task) -> TimedRow:
    arm = sorted((own[name] for _, own in rounds), key=lambda arm: arm.eager_s)[len(rounds) // 2]
    share = 1.0 if name == "full" else task.cost(plan).full / task.whole.full
    ratios = [own["full"].recorded_s / own[name].recorded_s for _, own in rounds if own[name].recorded_s]  # type: ignore[operator]
    return TimedRow(
        method=name,
        plan=plan.name,
        arm=arm,
        speedup=median(plain / own[name].eager_s for plain, own in rounds),
        share_paper=1.0 if name == "full" else task.share(plan),
        share_full=share,
        kept_recorded=median(ratios) * share if ratios else None,
    )


def _planned(name: str, task: Task, budget: float, missing: list[str]) -> Plan | None:
    """The method's plan within the budget, or else its least; why there is none is added to `missing`."""
    recipe = task.recipe.but(method=name, budget=budget)
    try:
        try:
            return planning.plan(recipe, task.blueprint)
        except BelowLeast as error:
            return planning.plan(error.at_least(recipe), task.blueprint)
    except (PlanRefused, CalibrationRefused) as error:
        missing.append(f"left out: {METHODS[name].title}: {error}")
        return None


def _round(stand: Stand, plans: Mapping[str, Plan], tell: Tell) -> tuple[float, dict[str, TimedArm]]:
    """Seconds of the plain pipeline, and of every plan."""
    plain, own = _clocked(stand, None)[0], dict[str, TimedArm]()
    tell(f"plain: {plain:.2f} s")
    for name, plan in plans.items():
        own[name] = _arm(stand, plan)
        tell(f"{name}: {own[name].eager_s:.2f} s")
    return plain, own


def _arm(stand: Stand, plan: Plan) -> TimedArm:
    """A plan run eagerly and, where that can be, recorded."""
    with peak_bytes(stand.device) as eager_peak:
        eager_s, picture, _ = _clocked(stand, plan)
    busy = busy_s(stand.device, lambda: _clocked(stand, plan))
    if stand.recordings.capture(stand.device) is None:
        return TimedArm(eager_s, busy, eager_peak())
    with peak_bytes(stand.device) as recorded_peak:
        made = [_clocked(stand, plan, stand.recordings)[2] for _ in range(RECORDING_PICTURES)]
        recorded_s, again, run = _clocked(stand, plan, stand.recordings)
    recording_ms = sum(one.trace.replays.recording_ms for one in made if one is not None and one.trace.replays)
    size_bytes = run.trace.replays.size_bytes if run is not None and run.trace.replays else None
    same = torch.equal(picture, again)
    return TimedArm(eager_s, busy, eager_peak(), recorded_s, same, recording_ms, size_bytes, recorded_peak())


def _task(setting: TimedSetting, shapes: Mapping[str, Any]) -> Task:
    """The task that plans are made for, counted on networks without weights."""
    side = setting.size // 8
    unet, control = networks_of(shapes)
    networks = Networks(unet, {"controlnet": control})
    recipe = Recipe.parse({"model": "sd15", "control": "edges", "steps": setting.steps, "guidance": GUIDANCE})
    anatomy = measure(networks, (side, side), TOKENS, model="sd15")
    return Task(recipe, Blueprint(anatomy.model, lambda _: anatomy, [recipe.control], lambda control: "random"))


def _warm_up(pipe: Any, call: Mapping[str, Any], task: Task) -> None:
    """A few steps of both shapes a run takes: two branches and one."""
    with cached(pipe, schedules.HGC(coarse=False, gate=0.0).plan(task.anatomy, WARM_STEPS)):
        pipe(**{**call, "num_inference_steps": WARM_STEPS}).images.cpu()


def _clocked(
    stand: Stand, plan: Plan | None, recordings: Recordings | None = None
) -> tuple[float, torch.Tensor, Run | None]:
    """One whole denoising, the plain pipeline's without a plan: its seconds, the latents, the run."""
    begun = perf_counter()
    with nullcontext() if plan is None else cached(stand.pipe, plan, graphs=recordings or False) as run:
        steps = stand.call["num_inference_steps"] if plan is None else plan.steps
        latents = stand.pipe(**{**stand.call, "num_inference_steps": steps}).images.cpu()  # waits for the device
    return perf_counter() - begun, latents, run


def _unless(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


COLUMNS: tuple[tuple[str, Callable[[TimedRow], str]], ...] = (
    ("method", lambda row: row.title),
    ("eager, s", lambda row: f"{row.seconds:.3f}"),
    ("busy, s", lambda row: _unless(row.arm.busy_s, ".3f")),
    ("times", lambda row: f"{row.speedup:.2f}"),
    ("MACs, paper", lambda row: f"{row.share_paper:.1%}"),
    ("full", lambda row: f"{row.share_full:.1%}"),
    ("kept", lambda row: f"{row.kept:.0%}"),
    ("recorded, s", lambda row: _unless(row.arm.recorded_s, ".3f")),
    ("kept", lambda row: _unless(row.kept_recorded, ".0%")),
    ("same bits", lambda row: {None: "–", True: "yes", False: "no"}[row.arm.same_bits]),
    ("recording, s", lambda row: _unless(row.arm.recording_ms and row.arm.recording_ms / 1e3, ".2f")),
    ("peak, MiB", lambda row: _unless(row.arm.peak_bytes and row.arm.peak_bytes / 2**20, ".0f")),
    ("recorded", lambda row: _unless(row.arm.recorded_peak_bytes and row.arm.recorded_peak_bytes / 2**20, ".0f")),
)


def text(timed: Timed) -> str:
    """The plain pipeline first, then the fastest."""
    own, machine = timed.setting, timed.machine
    plain = TimedRow("plain", "none", TimedArm(timed.full_s), 1.0, 1.0, 1.0)
    measured_on = (
        f"{own.shapes} + ControlNet{' in miniature' if own.tiny else ''}, random weights, {own.size} x {own.size}, "
        f"{own.steps} steps, batch {own.batch}, two branches, text and decoding left out; {own.repeats} rounds, "
        f"{machine.device}, {own.dtype}, {machine.threads} threads, torch {machine.torch}; {timed.command}"
    )
    rows = [plain, timed.full, *sorted(timed.rows, key=lambda row: row.seconds)]
    return "\n".join([text_table(rows, COLUMNS), *timed.missing, measured_on])


def data(timed: Timed) -> dict[str, Any]:
    rows = [asdict(row) | {"kept": row.kept, "seconds": row.seconds} for row in timed.rows]
    return asdict(timed) | {"rows": rows}
