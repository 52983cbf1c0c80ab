"""More that a recording has to notice: another adapter, other arithmetic, a run that was stopped, an error inside."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import tiny
import torch
from test_engine import vars_of
from test_pipelines import anatomy_of, mixed
from test_recording import STEPS, Bench, bench

from hgc.cache import schedules


@pytest.fixture
def own() -> Bench:
    """A pipeline that a test may change."""
    return bench(tiny.small_pipeline("sd", "text", True))


def test_an_ip_adapter_is_noticed_loaded_replaced_and_unloaded(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    plain, _ = own.eager(full)
    own.agree(full)
    images = [torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(seed)) for seed in (4, 5)]
    for _ in range(2):
        own.pipe.unet._load_ip_adapter_weights([tiny.ip_adapter(own.pipe.unet, 8)], low_cpu_mem_usage=False)
        for image in images:
            own.agree(full, ip_adapter_image_embeds=[image])
    seen, _ = own.recorded(full, ip_adapter_image_embeds=[images[0]])
    own.pipe.unload_ip_adapter()
    own.agree(full)
    assert torch.equal(own.recorded(full)[0], plain)
    assert not torch.equal(seen, plain)


MODES: list[Callable[[], Any]] = [lambda: torch.autocast("cpu", torch.bfloat16), torch.inference_mode]


@pytest.mark.parametrize("mode", MODES, ids=["autocast", "inference mode"])
def test_another_mode_of_torch_is_a_row_of_its_own_whichever_comes_first(own: Bench, mode: Callable[[], Any]) -> None:
    plan = mixed(anatomy_of(own.pipe), STEPS)
    for first in (mode, nullcontext, mode):
        with first():
            trace = own.agree(plan)
        assert trace.replays is not None
        assert trace.replays.notes == ()


def test_the_window_of_the_control_is_noticed(own: Bench) -> None:
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    for window in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0)):
        start, end = window
        own.agree(full, control_guidance_start=start, control_guidance_end=end)


def test_a_run_that_was_interrupted_leaves_nothing_behind(own: Bench) -> None:
    """As Stop does it: the pipeline skips the steps that are left."""
    plan = mixed(anatomy_of(own.pipe), STEPS)

    def stop(pipe: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
        pipe._interrupt = step == 2
        return {}

    for _ in range(3):
        wanted, _ = own.eager(plan, callback_on_step_end=stop)
        found, _ = own.recorded(plan, callback_on_step_end=stop)
        assert torch.equal(found, wanted)
    own.agree(plan)


def test_an_error_while_recording_leaves_the_networks_as_they_were(own: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call of a row is eager, the second is recorded; that one fails half way through the network."""
    full = schedules.full(anatomy_of(own.pipe), STEPS)
    before, conv = vars_of(own.pipe), own.pipe.unet.mid_block.resnets[0].conv1
    original, calls = type(conv).forward, list[int]()

    def forward(self: Any, *args: Any) -> Any:
        if self is conv:
            calls.append(1)
            if len(calls) == 2:
                raise RuntimeError("operation not permitted when stream is capturing")
        return original(self, *args)

    wanted, _ = own.eager(full)
    with monkeypatch.context() as patch:
        patch.setattr(type(conv), "forward", forward)
        found, trace = own.recorded(full)
    assert torch.equal(found, wanted)
    assert trace.replays is not None
    why = "it could not be recorded (operation not permitted when stream is capturing)"
    assert trace.replays.notes == (f"unet runs eagerly: {why}",)
    assert trace.replays.rows == 1  # the ControlNet's
    assert vars_of(own.pipe) == before
    assert torch.equal(tiny.latents(own.pipe), wanted)
    own.agree(full)
