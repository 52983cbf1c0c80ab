"""MACs against an independent counter and against what is published."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tiny
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import AttnProcessor
from published import SDXL, SDXL_DECODER
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench import paper, shapes
from hgc.cache.anatomy import Kind, Macs
from hgc.cache.anatomy.macs import MacCounter, NetworkMacs
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.sites import Networks


def test_the_counter_agrees_with_torchs_own() -> None:
    """Torch counts two FLOPs a MAC; with the plain attention processor it sees the attention products too."""
    unet = tiny.unet()
    unet.set_attn_processor(AttnProcessor())
    call = (torch.randn(2, 4, 16, 16), torch.tensor(7), torch.randn(2, 16, tiny.TEXT_WIDTH))
    with torch.no_grad():
        with FlopCounterMode(display=False) as reference:
            unet(*call)
        with MacCounter() as ours:
            unet(*call)
    assert ours.total.full * 2 == reference.get_total_flops()


def test_fused_attention_counts_like_plain_attention() -> None:
    fused, plain = tiny.unet(), tiny.unet()
    plain.set_attn_processor(AttnProcessor())
    call = (torch.randn(1, 4, 16, 16), torch.tensor(7), torch.randn(1, 16, tiny.TEXT_WIDTH))
    totals = []
    for unet in (fused, plain):
        with torch.no_grad(), MacCounter() as counter:
            unet(*call)
        totals.append(counter.total)
    assert totals[0] == totals[1]


def test_the_meta_count_is_that_of_a_real_forward() -> None:
    unet = tiny.unet()
    anatomy = measure(Networks(unet, {}), (16, 16), 16, model="tiny")
    with torch.no_grad(), MacCounter() as counter:
        unet(torch.randn(1, 4, 16, 16), torch.tensor(7), torch.randn(1, 16, tiny.TEXT_WIDTH))
    assert sum((site.macs for site in anatomy if site.parent is None), Macs()) == counter.total


def test_sdxl_shapes_are_found_from_the_module_tree() -> None:
    """One, two and ten transformers a block, and an embedding of text and size that does not depend on the step."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=128, **SDXL, **SDXL_DECODER)
        control = ControlNetModel(**SDXL)
    anatomy = measure(Networks(unet, {"controlnet": control}), (128, 128), 77, model="sdxl")
    attentions = [site for site in anatomy.of(Kind.CROSS_ATTENTION) if site.name.startswith("unet.")]
    assert len(attentions) == 70
    assert anatomy["unet.add_embedding"].constant
    assert len(anatomy.control_residuals) == 10
    unet_macs = sum(site.macs.paper for site in anatomy.within("unet") if site.parent is None)
    assert unet_macs == pytest.approx(149.4e12 / 50, rel=0.01)  # T-GATE counts 149.4 T for 25 steps of two branches


def test_the_published_baseline_is_met_within_half_a_percent() -> None:
    table = {row.method: row for row in paper.rows()}
    assert table["full compute"].tmacs_paper == pytest.approx(18.22, rel=0.005)
    assert table["full compute"].tmacs_full == pytest.approx(21.73, rel=0.005)
    ours = next(row for row in table.values() if row.method.startswith("HGC, coarse and fine"))
    assert ours.tmacs_paper <= 6.70


def test_bench_paper_prints_the_table() -> None:
    result = CliRunner().invoke(app, ["bench", "paper", "--json"])
    assert result.exit_code == 0
    assert [row["published_tmacs"] for row in json.loads(result.stdout)[:3]] == [18.22, None, 6.70]


def test_sdxls_count_is_the_published_one_and_t_gates_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """T-GATE's table counts SDXL alone: 149 T, with T-GATE 96 T. With control the first shapes of diffusers hold."""
    monkeypatch.setattr(paper, "SDXL_CONTROLS", {"": ""})
    result = CliRunner().invoke(app, ["bench", "paper", "--shapes", "sdxl", "--json"])
    assert result.exit_code == 0
    rows = {row["method"]: row for row in json.loads(result.stdout)}
    assert rows["SDXL: full compute"]["tmacs_paper"] == pytest.approx(149.4, rel=0.002)
    assert rows["SDXL: T-GATE"]["tmacs_paper"] == pytest.approx(96, rel=0.05)
    assert rows["SDXL: DeepCache and T-GATE"]["tmacs_paper"] < 44
    assert CliRunner().invoke(app, ["bench", "paper", "--shapes", "flux"]).exit_code == 2


def test_a_union_costs_little_more_than_a_controlnet() -> None:
    alone, union = (
        sum(
            site.macs.paper
            for site in measure(shapes.sdxl_networks(kind), (32, 32), 77, model=kind)
            if site.parent is None
        )
        for kind in ("controlnet", "union")
    )
    assert 1 < union / alone < 1.05


def test_a_linear_layer_without_bias_counts_as_one_however_torch_runs_it() -> None:
    """Of a permuted batch torch makes a batched product with the weight repeated, which is no attention product."""
    layer, inputs = torch.nn.Linear(8, 2, bias=False), torch.randn(2, 8, 16).transpose(1, 2)
    with torch.no_grad(), MacCounter() as counter:
        layer(inputs)
    assert counter.total == Macs(2 * 16 * 8 * 2, 2 * 16 * 8 * 2)


def test_a_call_that_an_error_breaks_off_leaves_no_counter_behind() -> None:
    layer = torch.nn.Linear(8, 2)
    with NetworkMacs([layer]) as counted, pytest.raises(RuntimeError):
        layer(torch.zeros(3))
    layer(torch.zeros(8))
    assert counted.total == Macs()
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()


def test_a_count_in_a_counted_call_is_not_counted() -> None:
    """What is measured for the first time inside somebody's counter is no work of his."""
    unet = tiny.unet()
    with MacCounter() as ours, FlopCounterMode(display=False) as reference:
        measure(Networks(unet, {}), (16, 16), 16, model="never measured before")
    assert ours.total == Macs()
    assert reference.get_total_flops() == 0


def test_a_layer_whose_class_was_swapped_is_counted_as_it_runs() -> None:
    """As token merging does it: the network stays the same but for a class made at run time and data it shares."""
    unet = tiny.unet()
    plain = total(unet)
    info: dict[str, Any] = {"size": None, "calls": 0}
    unet._merging = info
    unet.register_forward_pre_hook(lambda own, args: own._merging.update(size=args[0].shape[2:]))
    for block in [part for part in unet.modules() if isinstance(part, BasicTransformerBlock)]:
        block.__class__ = merging(type(block))
        block._merging = info
    merged = total(unet)
    assert merged.full < plain.full
    assert info == {"size": None, "calls": 0}, "measuring has left something behind"
    with torch.no_grad(), MacCounter() as counter:
        unet(torch.randn(1, 4, 16, 16), torch.tensor(7), torch.randn(1, 16, tiny.TEXT_WIDTH))
    assert counter.total == merged
    info["every"] = 4
    assert total(unet).full < merged.full


def total(unet: Any) -> Macs:
    anatomy = measure(Networks(unet, {}), (16, 16), 16, model="swapped")
    return sum((site.macs for site in anatomy if site.parent is None), Macs())


def merging(kind: Any) -> Any:
    """A transformer layer that leaves out every second token of the largest pictures."""

    class Merging(kind):
        def forward(self, hidden: torch.Tensor, **rest: Any) -> torch.Tensor:
            self._merging["calls"] += 1
            if hidden.shape[1] < self._merging["size"].numel():
                return super().forward(hidden, **rest)
            every = self._merging.get("every", 2)
            return super().forward(hidden[:, ::every], **rest).repeat_interleave(every, dim=1)

    return Merging


def test_a_processor_that_counts_is_left_alone_by_measuring() -> None:
    """Prompt-to-prompt's count the steps: one call too many, and the picture is another."""

    class Counting(AttnProcessor):
        def __init__(self, calls: list[int]) -> None:
            self.calls = calls

        def __call__(self, *args: Any, **rest: Any) -> torch.Tensor:
            self.calls.append(1)
            return super().__call__(*args, **rest)

    unet, processor = tiny.unet(), Counting([])
    unet.set_attn_processor(processor)
    total(unet)
    assert not processor.calls


@pytest.mark.parametrize(("channels", "widths"), [(3, (8, 8)), (1, (8, 8, 8)), (3, (8, 8, 8, 8, 8)), (1, (8,) * 4)])
def test_the_hint_has_the_size_and_the_channels_its_network_takes(channels: int, widths: tuple[int, ...]) -> None:
    """Strides of 2, 4, 16 and 8, in colour and grey."""
    net = tiny.controlnet(conditioning_channels=channels, conditioning_embedding_out_channels=widths)
    stride = 2 ** (len(widths) - 1)
    anatomy = measure(Networks(tiny.unet(), {"controlnet": net}), (16, 16), 16, model="hints")
    hint = torch.randn(1, channels, 16 * stride, 16 * stride)
    with torch.no_grad(), MacCounter() as counter:
        net(torch.randn(1, 4, 16, 16), torch.tensor(7), torch.randn(1, 16, tiny.TEXT_WIDTH), hint)
    assert sum((site.macs for site in anatomy.within("controlnet") if site.parent is None), Macs()) == counter.total
