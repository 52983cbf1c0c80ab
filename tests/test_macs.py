"""MACs against an independent counter and against what is published."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from published import SDXL, SDXL_DECODER
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench import paper
from hgc.cache.anatomy import Kind, Macs
from hgc.cache.anatomy.counting import MacCounter, NetworkMacs
from hgc.cache.anatomy.macs import measure
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
