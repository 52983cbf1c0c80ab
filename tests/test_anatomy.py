"""The anatomy against the module tree it was found in, on tiny models and, for counts, on the published shapes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from diffusers import (
    ControlNetModel,
    ControlNetXSAdapter,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLPAGPipeline,
    UNet2DConditionModel,
    UNetControlNetXSModel,
)
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from published import SD15, SD21, SDXL, SDXL_DECODER

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Kind, Macs, State
from hgc.cache.anatomy.macs import MacCounter
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks, scaled_residuals
from hgc.cache.anatomy.sites import survey
from hgc.cache.anatomy.twin import structure, twin
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.cache.rules import PlanRefused
from hgc.cache.running.belonging import NotCached
from hgc.cache.running.engine import cached

STEPS = 4


def networks(nets: int = 1, **changes: Any) -> Networks:
    names = ["controlnet"] if nets == 1 else [f"controlnet.nets.{i}" for i in range(nets)]
    return Networks(tiny.unet(**changes), {name: tiny.controlnet(**changes) for name in names})


def modules_of(found: Networks) -> dict[Kind, set[str]]:
    """The layers of each kind by an independent walk, under the names that sites have."""
    wanted = {Kind.RESNET: ResnetBlock2D, Kind.TRANSFORMER: Transformer2DModel, Kind.FEED_FORWARD: FeedForward}
    layers: dict[Kind, set[str]] = {kind: set() for kind in (*wanted, Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION)}
    for prefix, net in (("unet", found.unet), *found.controls.items()):
        for path, module in net.named_modules():
            for kind, layer in wanted.items():
                if isinstance(module, layer):
                    layers[kind].add(f"{prefix}.{path}")
            if isinstance(module, Attention):
                kind = Kind.CROSS_ATTENTION if module.is_cross_attention else Kind.SELF_ATTENTION
                layers[kind].add(f"{prefix}.{path}")
    return layers


@pytest.mark.parametrize(("name", "nets"), [("sd15", 0), ("sd15", 2), ("sd21", 1), ("sdxl", 1), ("landscapes", 1)])
def test_every_layer_of_every_architecture_is_a_site(name: str, nets: int) -> None:
    """`measure` itself refuses an anatomy whose sites do not add up to what a forward executes."""
    found = networks(nets, **tiny.ARCHITECTURES[name])
    anatomy = measure(found, (16, 16), 16, model=name)
    for kind, names in modules_of(found).items():
        assert {site.name for site in anatomy.of(kind)} == names, kind
    inside = sum(len(anatomy.of(kind)) for kind in (Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION, Kind.FEED_FORWARD))
    assert sum(len(anatomy.children[site.name]) for site in anatomy.of(Kind.TRANSFORMER)) == inside
    assert len(anatomy.of(Kind.CONDITION)) == nets
    assert {net: len(sites) for net, sites in anatomy.residuals.items()} == {
        net: len(module.controlnet_down_blocks) + 1 for net, module in found.controls.items()
    }
    assert all(macs.paper >= 0 and macs.full >= macs.paper for macs in anatomy.own_macs.values())


@pytest.mark.parametrize(
    ("shapes", "up", "parameters", "resnets", "transformers", "layers", "residuals"),
    [
        (SD15, {}, 859_520_964, 22, 16, 16, 13),
        (SD21, {}, 865_910_724, 22, 16, 16, 13),
        (SDXL, SDXL_DECODER, 2_567_463_684, 17, 11, 70, 10),
    ],
    ids=["SD 1.5", "SD 2.1", "SDXL"],
)
def test_the_published_shapes(
    shapes: Any, up: Any, parameters: int, resnets: int, transformers: int, layers: int, residuals: int
) -> None:
    """The parameter counts are those of the published weights, so that the shapes are too."""
    with torch.device("meta"):
        unet, control = UNet2DConditionModel(**shapes, **up), ControlNetModel(**shapes)
    assert sum(parameter.numel() for parameter in unet.parameters()) == parameters
    anatomy = measure(Networks(unet, {"controlnet": control}), (64, 64), 77, model="published")
    counts = Counter(site.kind for site in anatomy.within("unet"))
    assert (counts[Kind.RESNET], counts[Kind.TRANSFORMER]) == (resnets, transformers)
    for kind in (Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION, Kind.FEED_FORWARD, Kind.TEXT_KV):
        assert counts[kind] == layers, kind
    assert len(anatomy.control_residuals) == residuals


def test_where_sd15_spends_its_macs() -> None:
    """The field notes' shares of one forward at 512 x 512, attention products included."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15)
    anatomy = measure(Networks(unet, {}), (64, 64), 77, model="sd15")
    giga = {kind: sum(site.macs.full for site in anatomy.of(kind)) / 1e9 for kind in Kind}
    assert giga[Kind.SELF_ATTENTION] == pytest.approx(87, abs=1)
    assert giga[Kind.FEED_FORWARD] == pytest.approx(77, abs=1)
    assert giga[Kind.CROSS_ATTENTION] == pytest.approx(16, abs=1)


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.small_pipeline("sd", "text", True)


@pytest.fixture(scope="module")
def anatomy(pipe: Any) -> Anatomy:
    return measure(Networks.of(pipe), (16, 16), 16, model="tiny")


def inside_plan(anatomy: Anatomy) -> Plan:
    rows = {s.name: "CRCR" for s in anatomy.of(Kind.SELF_ATTENTION)}
    rows |= {s.name: "CCFR" for s in anatomy.of(Kind.FEED_FORWARD)}
    return Plan(Origin("inside"), STEPS, "tiny", rows)


def test_self_attention_and_feed_forward_are_kept_like_any_site(pipe: Any, anatomy: Anatomy) -> None:
    plan, seen = inside_plan(anatomy), []
    attention = pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    hook = attention.register_forward_hook(lambda _m, _a, out: seen.append(out))
    with MacCounter() as outside:
        pipe.encode_prompt("a lake", torch.device("cpu"), 1, True)
    with MacCounter() as counter, cached(pipe, plan) as run:
        tiny.latents(pipe, steps=STEPS)
    hook.remove()
    assert counter.total - outside.total == plan_macs(plan, anatomy) == run.trace.macs
    assert [torch.equal(a, b) for a, b in pairwise(seen)] == [True, False, True]


def test_what_a_plan_does_not_name_inside_a_transformer_is_not_touched_and_yet_traced(
    pipe: Any, anatomy: Anatomy
) -> None:
    inner = [s.name for s in anatomy.of(Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION, Kind.FEED_FORWARD, Kind.TEXT_KV)]
    with cached(pipe, schedules.full(anatomy, STEPS)) as run:
        layers = [m for m in pipe.unet.modules() if isinstance(m, Attention | FeedForward)]
        assert not any("forward" in vars(module) for module in layers)
        tiny.latents(pipe, steps=STEPS)
    assert all(cell.state is State.COMPUTED and cell.macs_paper for name in inner for cell in run.trace.cells[name])
    assert run.trace.attention_misses == STEPS * len(anatomy.of(Kind.CROSS_ATTENTION))
    with pytest.warns(NotCached), cached(pipe, inside_plan(anatomy)):
        assert all("forward" in vars(m) for m in pipe.unet.modules() if isinstance(m, FeedForward))


@pytest.mark.parametrize("guess_mode", [False, True])
def test_a_controlnet_that_has_nothing_to_compute_hands_over_what_it_would_have(pipe: Any, guess_mode: bool) -> None:
    """The residuals of an idle ControlNet are scaled without entering it: the same numbers as its own forward gives."""
    net = pipe.controlnet
    convolutions = (*net.controlnet_down_blocks, net.controlnet_mid_block)
    call = (torch.randn(2, 4, 16, 16), 7, torch.randn(2, 16, tiny.TEXT_WIDTH), torch.rand(2, 3, 128, 128))
    values: list[torch.Tensor] = []
    hooks = [conv.register_forward_hook(lambda _m, _a, out: values.append(out)) for conv in convolutions]
    with torch.no_grad():
        down, middle = net(*call, conditioning_scale=0.7, guess_mode=guess_mode, return_dict=False)
    for hook in hooks:
        hook.remove()
    ours, ours_middle = scaled_residuals(net, values[:-1], values[-1], 0.7, guess_mode)
    assert all(torch.equal(a, b) for a, b in zip((*down, middle), (*ours, ours_middle), strict=True))


def test_a_twin_has_the_structure_and_nothing_else() -> None:
    unet = tiny.unet(**tiny.SMALL["sd"])
    unet.register_forward_hook(lambda *_: pytest.fail("a hook was copied"))
    copy = twin(unet)
    assert {p.device.type for p in copy.parameters()} == {"meta"}
    assert {p.device.type for p in unet.parameters()} == {"cpu"}
    assert structure(copy) == structure(unet)
    assert [n for n, _ in copy.named_modules()] == [n for n, _ in unet.named_modules()]
    copy(torch.empty(1, 4, 16, 16, device="meta"), 1, torch.empty(1, 16, tiny.TEXT_WIDTH, device="meta"))


def refused(what: Any) -> str:
    with pytest.raises(PlanRefused) as error:
        survey(what()) if not isinstance(what, Networks) else survey(what)
    return str(error.value)


def test_a_network_of_another_kind_is_refused_in_one_sentence() -> None:
    whole = tiny.unet()
    crossed = UNetControlNetXSModel.from_unet(whole, ControlNetXSAdapter.from_unet(whole, size_ratio=1.0))
    assert "UNetControlNetXSModel" in refused(lambda: Networks(crossed, {}))
    classes = tiny.unet(**tiny.SMALL["sd"], num_class_embeds=4)
    assert "class_embedding" in refused(lambda: Networks(classes, {}))
    simple = {"down_block_types": ("SimpleCrossAttnDownBlock2D", "DownBlock2D")}
    assert "SimpleCrossAttn" in refused(lambda: Networks(tiny.unet(**tiny.SMALL["sd"] | simple), {}))
    dual = tiny.unet(**tiny.SMALL["sd"], dual_cross_attention=True)
    assert "DualTransformer2DModel" in refused(lambda: Networks(dual, {}))


def test_a_network_set_to_work_in_pieces_is_refused_and_told_how_to_go_back() -> None:
    unet = tiny.unet(**tiny.SMALL["sd"])
    unet.fuse_qkv_projections()
    assert "call unfuse_qkv_projections first" in refused(Networks(unet, {}))
    unet.unfuse_qkv_projections()
    layer = unet.mid_block.attentions[0].transformer_blocks[0]
    layer.set_chunk_feed_forward(1)
    assert "call set_chunk_feed_forward(None) on it first" in refused(Networks(unet, {}))
    layer.set_chunk_feed_forward(None)
    survey(Networks(unet, {}))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (StableDiffusionInstructPix2PixPipeline, "a third branch"),
        (StableDiffusionXLPAGPipeline, "a third branch"),
    ],
)
def test_a_pipeline_that_no_plan_speaks_of_is_refused(kind: Any, says: str) -> None:
    pipe = SimpleNamespace(components={"unet": None}, unet=None)
    stand_in = type(kind.__name__, (kind,), {"__init__": lambda self: None, "components": pipe.components})()
    with pytest.raises(PlanRefused, match=f"{kind.__name__} cannot be cached: .*{says}"):
        Networks.of(stand_in)


def test_macs_follow_what_is_loaded_not_only_the_configuration() -> None:
    unet = tiny.unet(**tiny.SMALL["sd"])
    plain = measure(Networks(unet, {}), (16, 16), 16, model="loaded")
    feed_forward = unet.mid_block.attentions[0].transformer_blocks[0].ff
    feed_forward.net[2] = torch.nn.Sequential(torch.nn.Linear(128, 64), torch.nn.Linear(64, 32))
    changed = measure(Networks(unet, {}), (16, 16), 16, model="loaded")
    assert changed["unet.mid_block.attentions.0.transformer_blocks.0.ff"].macs != Macs()
    assert changed["unet.mid_block.attentions.0"].macs != plain["unet.mid_block.attentions.0"].macs
