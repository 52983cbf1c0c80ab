"""Networks that rest in main memory and come to the accelerator in turns: whose turn it is, and the same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from diffusers import DDIMScheduler
from test_other_models import finished, picture
from test_pipelines import anatomy_of
from test_waiting import Event, Waits
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache import schedules
from hgc.cache.running import stopwatch
from hgc.cache.running.engine import cached
from hgc.models.loading import from_preset, load
from hgc.models.loras import add_lora
from hgc.models.offload import TURNS, Turn, Turns
from hgc.models.presets import presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered
from hgc.request import Request
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)


def studio(turns: Turns | None) -> Studio:
    loaded = from_preset(presets()["sd15"], CPU, torch.float32, turns=turns)
    return Studio(loaded, Judge.of(loaded.preset, loaded.device))


@pytest.mark.usefixtures("on_small_hub")
def test_in_turns_every_picture_is_the_same_to_the_bit(on_small_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full and cached, with a LoRA too, whose copy of the networks takes the same turns."""
    add_lora(str(on_small_hub / "lora_peft.safetensors"), "ink")
    order: list[str] = []
    begin = Turns.begin
    monkeypatch.setattr(
        Turns, "begin", lambda own, net, turn: (order.append(f"{turn} {type(net).__name__}"), begin(own, net, turn))
    )
    in_turns, plain = studio(Turns(CPU)), studio(None)
    for loras in ((), ("ink=0.8",)):
        fields = {"model": "sd15", "control": "edges", "control_png": picture(size=(128, 128)), "size": (128, 128)}
        request = Request.parse(
            {**fields, "steps": 4, "guidance": 4.0, "budget": 0.6, "sampler": "ddim", "loras": loras}
        )
        order.clear()
        made, wanted = finished(in_turns, request), finished(plain, request)
        assert np.array_equal(made.full.image, wanted.full.image)
        assert np.array_equal(made.cached.image, wanted.cached.image)
        assert made.cached.trace.macs == wanted.cached.trace.macs
        assert list(dict.fromkeys(order)) == [
            "text CLIPTextModel",
            "denoiser ControlNetModel",
            "denoiser UNet2DConditionModel",
            "vae AutoencoderKL",
        ]


def moved(network: nn.Module, device: torch.device) -> nn.Module:
    """As `to`, which cannot exchange fake tensors."""
    for part in network.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None and tensor.device != device:
                    there = tensor.to(device)
                    held[name] = nn.Parameter(there, requires_grad=False) if held is part._parameters else there
    return network


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_only_the_networks_of_one_turn_are_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is not there: what torch does with fake tensors fails where those of two devices meet."""
    monkeypatch.setitem(stopwatch.EVENTS, "cuda", Event)  # type: ignore[arg-type]
    there: list[tuple[Turn, set[str]]] = []
    begin = Turns.begin

    def noted(own: Turns, network: nn.Module, turn: Turn) -> None:
        begin(own, network, turn)
        nets = {name: net for name, net in pipe.components.items() if isinstance(net, nn.Module) and net is not network}
        there.append((turn, {name for name, net in nets.items() if next(net.parameters()).device.type == "cuda"}))

    monkeypatch.setattr(Turns, "begin", noted)
    monkeypatch.setattr(nn.Module, "to", moved)
    plan = schedules.DeepCache(interval=2).plan(anatomy_of(tiny.small_pipeline("sd", "image", True)), 3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        pipe = tiny.small_pipeline("sd", "image", True)
        turns = Turns(CUDA)
        for part in (*TURNS, "controlnet"):
            if part in pipe.components:
                turns.add(pipe.components[part], TURNS.get(part, "denoiser"))
        with unset_fake_temporarily():
            pipe.scheduler = DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1)
        with Waits(), cached(pipe, plan):
            image = pipe(**tiny.arguments(pipe, steps=3, strength=1.0) | {"output_type": "pt"}).images
    assert image.device == CUDA
    order = [
        turn
        for turn, (before, _) in zip((turn for turn, _ in there), [("", set()), *there], strict=False)
        if turn != before
    ]
    assert order == ["text", "vae", "denoiser", "vae"]
    beside = {turn: set().union(*(nets for own, nets in there if own == turn)) for turn, _ in there}
    assert beside == {"text": set(), "vae": set(), "denoiser": {"unet", "controlnet"}}


def test_on_the_cpu_there_is_nothing_to_offload() -> None:
    with pytest.raises(ModelUnavailable, match=r"main memory.* leave it out"):
        load("landscapes", device="cpu", offload=True)


def test_offload_is_a_choice_of_the_model(on_small_hub: Path) -> None:
    """Remembered with it; on the CPU it changes nothing."""
    line = ["models", "add", str(on_small_hub / "my_model.safetensors"), "--name", "mine", "--offload", "--tiled"]
    done = CliRunner().invoke(app, [*line, "--dtype", "bfloat16"])
    assert done.exit_code == 0, done.output
    mine = remembered()["mine"]
    assert (mine.offload, mine.tiled, mine.precision) == (True, True, "bfloat16")
    loaded = load("mine", device="cpu")
    assert loaded.turns is None
    assert loaded.dtype is torch.bfloat16
    assert CliRunner().invoke(app, [*line, "--dtype", "int4"]).exit_code == 2
