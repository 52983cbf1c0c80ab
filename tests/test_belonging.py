"""A run belongs to the pipeline it was given: other pipelines, threads and copies are never touched by it."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from typing import Any

import pytest
import tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionControlNetImg2ImgPipeline

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.running.belonging import NotCached
from hgc.cache.running.engine import cached

STEPS = 4


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.small_pipeline("sd", "text", 1)


@pytest.fixture(scope="module")
def anatomy(pipe: Any) -> Anatomy:
    return measure(Networks.of(pipe), (16, 16), tiny.tokenizer().model_max_length, model="small")


@pytest.fixture(scope="module")
def plan(anatomy: Anatomy) -> Plan:
    return schedules.HGC(lambda_inter=0.5).plan(anatomy, STEPS)


@pytest.fixture(scope="module")
def other(pipe: Any) -> Any:
    """Another pipeline over the same networks, with a scheduler of its own, as two visitors have."""
    return over_the_same(pipe, type(pipe))


def over_the_same(pipe: Any, kind: Any) -> Any:
    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    made = kind(**{**pipe.components, "requires_safety_checker": False, "scheduler": scheduler})
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_another_pipeline_over_the_same_networks_runs_plainly(
    pipe: Any, other: Any, plan: Plan, guidance: float
) -> None:
    """Before the cached call and after it, at its own guidance and number of steps."""
    alone = tiny.latents(other, steps=3, guidance=guidance)
    with cached(pipe, plan):
        wanted = tiny.latents(pipe, steps=STEPS)
    with cached(pipe, plan) as run:
        assert torch.equal(tiny.latents(other, steps=3, guidance=guidance), alone)
        assert torch.equal(tiny.latents(pipe, steps=STEPS), wanted)
        assert torch.equal(tiny.latents(other, steps=3, guidance=guidance), alone)
    assert run.trace.steps == STEPS


def test_another_pipeline_called_in_the_middle_runs_plainly(pipe: Any, plan: Plan) -> None:
    """From a callback of the cached one, as previews and refiners do; of another kind and another size."""
    other = over_the_same(pipe, StableDiffusionControlNetImg2ImgPipeline)
    alone = tiny.latents(other, steps=4, strength=0.5, size=64)
    with cached(pipe, plan):
        wanted = tiny.latents(pipe, steps=STEPS)
    between: list[torch.Tensor] = []

    def preview(_pipe: Any, _step: int, _time: Any, _state: Any) -> dict[str, Any]:
        between.append(tiny.latents(other, steps=4, strength=0.5, size=64))
        return {}

    with cached(pipe, plan):
        assert torch.equal(tiny.latents(pipe, steps=STEPS, callback_on_step_end=preview), wanted)
    assert len(between) == STEPS
    assert all(torch.equal(picture, alone) for picture in between)


def test_two_blocks_over_the_same_networks_each_have_their_own(pipe: Any, other: Any, anatomy: Anatomy) -> None:
    plans = [schedules.HGC(lambda_inter=0.5).plan(anatomy, STEPS), schedules.DeepCache(interval=2).plan(anatomy, STEPS)]
    wanted = []
    for each, own in zip((pipe, other), plans, strict=True):
        with cached(each, own):
            wanted.append(tiny.latents(each, steps=STEPS))
    with cached(pipe, plans[0]) as first, cached(other, plans[1]) as second:
        assert torch.equal(tiny.latents(pipe, steps=STEPS), wanted[0])
        assert torch.equal(tiny.latents(other, steps=STEPS), wanted[1])
    assert (first.trace.plan, second.trace.plan) == tuple(plans)


def test_a_block_in_which_only_another_pipeline_ran_says_so(pipe: Any, other: Any, plan: Plan) -> None:
    with (
        pytest.warns(NotCached, match="another pipeline") as told,
        cached(pipe, plan),
    ):
        tiny.latents(other, steps=2)
    assert [warning.filename for warning in told] == [__file__]


def test_a_block_in_which_nothing_ran_says_so(pipe: Any, plan: Plan) -> None:
    with pytest.warns(NotCached, match="was not called"), cached(pipe, plan):
        pass


def test_the_same_call_from_another_thread_is_plain_and_says_so(pipe: Any, plan: Plan) -> None:
    plain = tiny.latents(pipe, steps=STEPS)
    with (
        pytest.warns(NotCached, match="called from another thread") as told,
        ThreadPoolExecutor(1) as executor,
        cached(pipe, plan),
    ):
        assert torch.equal(executor.submit(tiny.latents, pipe, steps=STEPS).result(), plain)
    assert len(told) == 2  # at once, and at the end of a block in which nothing else ran


def test_a_pipeline_whose_unet_is_replaced_half_way_says_so(plan: Plan) -> None:
    pipe = tiny.small_pipeline("sd", "text", 0)
    anatomy = measure(Networks.of(pipe), (16, 16), tiny.tokenizer().model_max_length, model="small")
    second = deepcopy(pipe.unet)

    def refine(own: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        if step == 1:
            own.unet = second
        return {}

    with (
        pytest.warns(NotCached, match="UNet was replaced .* 2 of 4 steps"),
        cached(pipe, schedules.exact(anatomy, STEPS)),
    ):
        tiny.latents(pipe, steps=STEPS, callback_on_step_end=refine)


@pytest.mark.parametrize("copied", [deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["deepcopy", "pickle"])
def test_a_copy_made_inside_the_block_is_a_plain_module(pipe: Any, plan: Plan, copied: Any) -> None:
    """It has its own weights, and nothing of ours on any module."""
    call = (torch.randn(1, 4, 16, 16), torch.tensor(7), torch.randn(1, 16, tiny.TEXT_WIDTH))
    usual = {path: set(vars(module)) for path, module in pipe.unet.named_modules()}
    with torch.no_grad():
        wanted = pipe.unet(*call).sample
        with cached(pipe, plan):
            made = copied(pipe.unet)
            assert {path: set(vars(module)) for path, module in made.named_modules()} == usual
            assert torch.equal(made(*call).sample, wanted)
            made.conv_out.weight.mul_(2)
            assert not torch.equal(made(*call).sample, wanted)
            tiny.latents(pipe, steps=STEPS)
        assert torch.equal(pipe.unet(*call).sample, wanted)


def test_a_shallow_copy_has_nothing_of_ours_on_it(pipe: Any, plan: Plan) -> None:
    usual = set(vars(pipe.unet))
    with cached(pipe, plan):
        assert set(vars(copy(pipe.unet))) == usual
        tiny.latents(pipe, steps=STEPS)


def test_a_copy_of_a_pipeline_made_inside_the_block_runs_plainly(pipe: Any, plan: Plan) -> None:
    plain = tiny.latents(pipe, steps=STEPS)
    with cached(pipe, plan):
        made = deepcopy(pipe)
        tiny.latents(pipe, steps=STEPS)
        assert torch.equal(tiny.latents(made, steps=STEPS), plain)
    with cached(made, plan) as run:
        tiny.latents(made, steps=STEPS)
    assert run.trace.steps == STEPS
