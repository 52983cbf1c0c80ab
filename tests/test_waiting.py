"""Nothing in the loop of a run makes the host wait for the device.

Without a GPU: the networks are of fake tensors, which have a device and shapes but no numbers, and whatever torch does
with them is looked at. On a GPU torch itself refuses operations that wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import tiny
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from test_engine import every_plan
from test_pipelines import anatomy_of
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hgc.cache.plan import Plan
from hgc.cache.rules import Gate
from hgc.cache.running import stopwatch
from hgc.cache.running.engine import cached
from hgc.cache.running.timetable import Timetable

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
STEPS = 5
# UniPC makes small tensors on the device in every step, from numbers of the CPU: it waits whoever calls it.
SOLVERS = (DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler)
# What has to know numbers, or how many there are.
READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal.", "is_nonzero", "unique", "item")


class Event:
    """A mark of a device that is not there."""

    def __init__(self, enable_timing: bool) -> None: ...

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def elapsed_time(self, _end: Event) -> float:
        return 1.0


class Waits(TorchDispatchMode):
    """Notes every operation that waits for the device, while it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = False
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        name = str(function)
        places = {leaf.device.type for leaf in tree_leaves((args, given)) if isinstance(leaf, torch.Tensor)}
        goal = given.get("device")
        moved = ("_to_copy" in name and goal is not None and places != {torch.device(goal).type}) or (
            "copy_" in name and len(places) > 1
        )
        if self.looks and ((moved and not given.get("non_blocking")) or ("cuda" in places and self._reads(name))):
            self.seen.append(name)
        if name.startswith("aten._local_scalar_dense") and "cuda" in places:  # a fake has no number to read
            return 0.5 if args[0].dtype.is_floating_point else 500
        if "cuda" in places or (goal is not None and torch.device(goal).type == "cuda"):
            return function(*args, **given)
        with unset_fake_temporarily():  # what is on the CPU has its numbers
            return function(*args, **given)

    @staticmethod
    def _reads(name: str) -> bool:
        return any(read in name for read in READS)


@contextmanager
def watched(family: str = "sd", task: str = "text", solver: Any = DDIMScheduler) -> Iterator[tuple[Any, Waits, Any]]:
    """A pipeline on a GPU that is not there, what waits for it, and the callback that begins and ends the looking."""
    waits = Waits()

    def after_step(_pipe: Any, step: int, _time: Any, _state: Mapping[str, Any]) -> dict[str, Any]:
        waits.looks = step < STEPS - 2
        return {}

    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device("cuda"):
            pipe = tiny.small_pipeline(family, task, True)
        with unset_fake_temporarily():
            pipe.scheduler = solver(beta_schedule="scaled_linear", steps_offset=1)
        with waits:
            yield pipe, waits, after_step


@cache
def plans(family: str = "sd") -> Mapping[str, Plan]:
    anatomy = anatomy_of(tiny.small_pipeline(family, "text", True))
    return {name: replace(plan, model="small") for name, plan in every_plan(anatomy, STEPS).items()}


@pytest.fixture(autouse=True)
def _events(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        monkeypatch.setitem(stopwatch.EVENTS, "cuda", Event)  # type: ignore[arg-type]


# One of every way in which a value is kept, continued or left out.
METHODS = ("exact", "block caching", "encoder", "guidance reuse", "hgc deep", "hgc fine", "hgc quadratic")


def test_no_method_waits() -> None:
    waited = {}
    with watched() as (pipe, waits, after_step):
        for name in METHODS:
            waits.seen.clear()
            with cached(pipe, plans()[name]):
                tiny.latents(pipe, steps=STEPS, callback_on_step_end=after_step)
            waited[name] = list(waits.seen)
    assert waited == {name: [] for name in METHODS}


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
def test_no_solver_waits(solver: Any) -> None:
    with watched(solver=solver) as (pipe, waits, after_step), cached(pipe, plans()["deepcache"]):
        tiny.latents(pipe, steps=STEPS, callback_on_step_end=after_step)
    assert waits.seen == []


@pytest.mark.parametrize(("family", "task", "call"), [("sdxl", "text", {}), ("sd", "image", {"strength": 1.0})])
def test_no_pipeline_waits(family: str, task: str, call: Mapping[str, Any]) -> None:
    with watched(family, task) as (pipe, waits, after_step), cached(pipe, plans(family)["deepcache"]):
        tiny.latents(pipe, steps=STEPS, callback_on_step_end=after_step, **call)
    assert waits.seen == []


def test_a_gate_reads_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def read(numbers: FakeTensor) -> list[float]:
        reads.append(numbers.device.type)
        return [0.5] * len(numbers)

    monkeypatch.setattr(FakeTensor, "tolist", read)
    gated = replace(plans()["hgc"], gate=Gate(0.05, per_branch=True))
    with watched() as (pipe, waits, after_step), cached(pipe, gated):
        tiny.latents(pipe, steps=STEPS, callback_on_step_end=after_step)
    assert waits.seen == []
    assert 0 < len(reads) <= STEPS


def test_without_a_plan_ddim_waits_in_every_step() -> None:
    with watched() as (pipe, waits, after_step):
        tiny.latents(pipe, steps=STEPS, callback_on_step_end=after_step)
    assert len(waits.seen) >= 2 * (STEPS - 2)


def test_the_scheduler_is_left_as_it_was_whichever_block_ends_first() -> None:
    scheduler = DDIMScheduler()
    before = dict(vars(scheduler))
    first, second = Timetable().kept(scheduler), Timetable().kept(scheduler)
    first.__enter__()
    second.__enter__()
    assert vars(deepcopy(scheduler)).keys() == before.keys(), "a copy is a plain one"
    first.__exit__(None, None, None)
    assert vars(scheduler) != before
    second.__exit__(None, None, None)
    assert vars(scheduler) == before
    with pytest.raises(ZeroDivisionError), Timetable().kept(scheduler):
        raise ZeroDivisionError
    assert vars(scheduler) == before


def test_timesteps_of_ones_own_are_taken_as_without_a_plan() -> None:
    """A pipeline asks the scheduler's `set_timesteps` for what it takes."""
    pipe = tiny.small_pipeline("sd", "text", True)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    call = {"steps": STEPS, "timesteps": [900, 700, 400, 200, 50]}
    wanted = tiny.latents(pipe, **call)
    with cached(pipe, plans()["exact"]):
        assert torch.equal(tiny.latents(pipe, **call), wanted)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; without one fake tensors stand in")
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.__name__)
def test_torch_sees_nothing_that_waits(solver: Any) -> None:
    pipe = tiny.small_pipeline("sd", "text", True).to("cuda")
    pipe.scheduler = solver.from_config(pipe.scheduler.config)

    def after_step(_pipe: Any, step: int, _time: Any, _state: Mapping[str, Any]) -> dict[str, Any]:
        torch.cuda.set_sync_debug_mode("error" if step < STEPS - 2 else "default")
        return {}

    try:
        with cached(pipe, plans()["deepcache"], graphs=True):
            tiny.latents(pipe, steps=STEPS, callback_on_step_end=after_step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
