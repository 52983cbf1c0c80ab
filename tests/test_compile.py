"""Plans on networks that torch compiled: whole, or block by block. Dynamo does the cutting, whatever makes the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tiny
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Macs
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import PlanRefused
from hgc.cache.running.engine import cached
from hgc.cache.running.patching import COMPILED

STEPS = 4
TORCHS_OWN = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")


@pytest.fixture
def pipe() -> Iterator[Any]:
    """Compiled by a test, and afterwards what it was for the others."""
    torch.compiler.reset()
    made = tiny.control_pipeline()
    yield made
    for part in (*networks(made), *blocks(made), *resnets(made)):
        vars(part).pop(COMPILED, None)
    torch.compiler.reset()


def networks(pipe: Any) -> list[nn.Module]:
    return [pipe.unet, pipe.controlnet]


def blocks(pipe: Any) -> list[nn.Module]:
    return [*pipe.unet.down_blocks, pipe.unet.mid_block, *pipe.unet.up_blocks, *pipe.controlnet.down_blocks]


def resnets(pipe: Any) -> list[nn.Module]:
    return [part for net in networks(pipe) for part in net.modules() if isinstance(part, ResnetBlock2D)]


def anatomy_of(pipe: Any) -> Anatomy:
    return measure(Networks.of(pipe), (16, 16), tiny.tokenizer().model_max_length, model="tiny")


def plans(anatomy: Anatomy) -> list[Plan]:
    return [schedules.full(anatomy, STEPS), schedules.HGC(lambda_inter=0.5).plan(anatomy, STEPS)]


@pytest.mark.parametrize("parts", [networks, pytest.param(blocks, marks=pytest.mark.long), resnets])
def test_compiled_networks_follow_a_plan_to_the_bit_and_are_left_as_they_were(
    pipe: Any, parts: Callable[[Any], list[nn.Module]]
) -> None:
    anatomy = anatomy_of(pipe)
    checked = plans(anatomy)[-1:] if parts is networks else plans(anatomy)  # a whole network takes long to cut
    wanted = [drawn(pipe, plan) for plan in checked]
    for part in parts(pipe):
        part.compile(backend="eager")
    before = attributes(pipe)
    for plan, (latents, macs) in zip(checked, wanted, strict=True):
        found, executed = drawn(pipe, plan)
        assert torch.equal(found, latents)
        assert executed == macs == plan_macs(plan, anatomy)
    assert attributes(pipe) == before


@TORCHS_OWN
def test_a_network_that_went_through_torch_compile_is_followed() -> None:
    """As people write it: `pipe.unet = torch.compile(pipe.unet)`. What the pipeline calls then is another module."""
    torch.compiler.reset()
    pipe = tiny.small_pipeline("sd", "text", 0)
    plan = Plan(Origin("skip"), 2, "tiny", {schedules.cut_site(anatomy_of(pipe), 1): "CR"})
    with cached(pipe, plan):
        wanted = tiny.latents(pipe, steps=2, size=64)
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    before = [dict(vars(module)) for module in pipe.unet.modules()]
    with cached(pipe, plan) as run:
        assert torch.equal(tiny.latents(pipe, steps=2, size=64), wanted)
    assert run.trace.steps == 2
    assert [dict(vars(module)) for module in pipe.unet.modules()] == before
    torch.compiler.reset()


def test_a_block_that_went_through_torch_compile_is_refused_with_the_remedy(pipe: Any) -> None:
    plan = plans(anatomy_of(pipe))[0]
    pipe.unet.mid_block = torch.compile(pipe.unet.mid_block, backend="eager")
    with pytest.raises(PlanRefused, match=r"part of the UNet is wrapped by .*; compile it in place"):
        drawn(pipe, plan)


def test_a_second_run_of_a_plan_compiles_nothing(pipe: Any) -> None:
    """Graphs are few because dispatchers stay: a run that made its own would be compiled for anew."""
    graphs = list[torch.fx.GraphModule]()
    plan = plans(anatomy_of(pipe))[-1]

    def counted(graph: torch.fx.GraphModule, _inputs: Any) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    for part in resnets(pipe):
        part.compile(backend=counted)
    first, _ = drawn(pipe, plan)
    compiled = len(graphs)
    again, _ = drawn(pipe, plan)
    assert 0 < compiled <= len(resnets(pipe))
    assert len(graphs) == compiled
    assert torch.equal(first, again)


def drawn(pipe: Any, plan: Plan) -> tuple[torch.Tensor, Macs]:
    """The final latents by a plan, and the MACs that were run for them."""
    with cached(pipe, plan) as run:
        latents = tiny.latents(pipe, steps=STEPS)
    return latents, run.trace.macs


def attributes(pipe: Any) -> list[dict[str, Any]]:
    return [dict(vars(module)) for net in networks(pipe) for module in net.modules()]
