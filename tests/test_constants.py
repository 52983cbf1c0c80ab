"""What is kept because it is constant is forgotten when what it depends on changes: every way it can between two steps.

Each change is made by a callback, in a plain call and under the plan that keeps all that is constant; both must be the
same to the bit, and another picture than without the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest
import tiny
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn.utils import parametrize

from hgc.cache import schedules
from hgc.cache.anatomy import Kind, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.running.engine import cached
from hgc.cache.running.run import Run

STEPS, SIZE = 4, 64
Change = Callable[[Any], Any]  # of the pipeline, or of its call's tensors
Make = Callable[[], tuple[Any, Mapping[str, Any]]]  # a pipeline, and what it is called with beside the usual

needs_peft = pytest.mark.skipif(
    find_spec("peft") is None, reason="diffusers loads LoRA with peft: pip install -r tests/peers-requirements.txt"
)

several_adapters = pytest.mark.filterwarnings(
    "ignore:Already found a `peft_config`|Adapter first was active:UserWarning"
)


def runs(make: Make, change: Change, tensors: tuple[str, ...] = (), mode: Any = nullcontext) -> Run:
    """Holds the rule for one change; `tensors` are what the callback is given of the pipeline's call."""
    with mode():
        plain, _ = drawn(make, False, change, tensors)
        latents, run = drawn(make, True, change, tensors)
    assert torch.equal(latents, plain)
    assert not torch.equal(unchanged(make), plain)
    assert run is not None
    return run


@cache
def unchanged(make: Make) -> torch.Tensor:
    return drawn(make, False, lambda _: None, ())[0]


def drawn(make: Make, kept: bool, change: Change, tensors: tuple[str, ...]) -> tuple[torch.Tensor, Run | None]:
    """The latents of a call that changes something after its second step, plainly or with all constants kept."""
    with torch.inference_mode(False):
        pipe, call = make()

    def callback(own: Any, step: int, _time: Any, state: Any) -> dict[str, Any]:
        given = change(state if tensors else own) if step == 1 else {}
        return given if isinstance(given, dict) else {}

    anatomy = measure(Networks.of(pipe), (8, 8), tiny.tokenizer().model_max_length, model="small")
    call = {"callback_on_step_end": callback, "callback_on_step_end_tensor_inputs": ["latents", *tensors], **call}
    with cached(pipe, schedules.exact(anatomy, STEPS)) if kept else nullcontext() as run:
        return tiny.latents(pipe, steps=STEPS, size=SIZE, **call), run


def states(run: Run, kind: Kind) -> set[str]:
    """The rows of all sites of a kind, as executed."""
    names = [site.name for site in run.trace.sites if site.kind is kind]
    return {"".join(cell.state for cell in run.trace.cells[name]) for name in names}


def controlled() -> tuple[Any, Mapping[str, Any]]:
    return tiny.small_pipeline("sd", "text", 1), {}


def first(pipe: Any) -> Any:
    """The first attention of the UNet that reads the prompt."""
    return pipe.unet.get_submodule(tiny.prompted(pipe.unet)[0])


def other_layer(pipe: Any) -> None:
    attention = first(pipe)
    attention.to_v = nn.Linear(attention.to_v.in_features, attention.to_v.out_features, bias=False)
    nn.init.ones_(attention.to_v.weight)


def other_weights(pipe: Any) -> None:
    pipe.unet.load_state_dict({name: value * 0.9 for name, value in pipe.unet.state_dict().items()})


def other_parameter(pipe: Any) -> None:
    first(pipe).to_v.weight = nn.Parameter(first(pipe).to_v.weight * 2)


def other_data(pipe: Any) -> None:
    first(pipe).to_v.weight.data = first(pipe).to_v.weight.data * 2


@torch.no_grad()
def written_into(pipe: Any) -> None:
    first(pipe).to_v.weight.mul_(2)


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * 2


@torch.no_grad()
def other_hint(pipe: Any) -> None:
    pipe.controlnet.controlnet_cond_embedding.conv_in.weight.mul_(2)


def other_hint_layer(pipe: Any) -> None:
    embedding = pipe.controlnet.controlnet_cond_embedding
    embedding.blocks[0] = nn.Identity()


@pytest.mark.parametrize(
    "change",
    [
        written_into,
        other_data,
        other_parameter,
        other_layer,
        other_weights,
        lambda pipe: parametrize.register_parametrization(first(pipe).to_v, "weight", Doubled()),
        other_hint,
        other_hint_layer,
    ],
)
def test_weights_and_layers(change: Change) -> None:
    runs(controlled, change)


def test_only_what_changed_is_computed_anew() -> None:
    run = runs(controlled, other_hint)
    assert states(run, Kind.CONDITION) == {"CRCR"}
    assert states(run, Kind.TEXT_KV) == {"CRRR"}
    changed = run.trace.cells["controlnet.controlnet_cond_embedding"][2]
    assert changed.reason == "its weights or adapters changed"
    run = runs(controlled, written_into)
    assert states(run, Kind.CONDITION) == {"CRRR"}
    assert states(run, Kind.TEXT_KV) == {"CRRR", "CRCR"}


def test_what_torch_does_not_see_is_forgotten_on_request() -> None:
    """A write through `.data` leaves no trace; `run.forget()` is what a callback says then."""

    def call_of(pipe: Any, run: Run | None) -> torch.Tensor:
        def change(own: Any, step: int, _time: Any, _state: Any) -> dict[str, Any]:
            if step == 1:
                first(own).to_v.weight.data.mul_(2)
                own.controlnet.controlnet_cond_embedding.conv_in.weight.data.mul_(2)
                if run is not None:
                    run.forget()
            return {}

        return tiny.latents(pipe, steps=STEPS, size=SIZE, callback_on_step_end=change)

    plain, (pipe, _) = call_of(controlled()[0], None), controlled()
    anatomy = measure(Networks.of(pipe), (8, 8), tiny.tokenizer().model_max_length, model="small")
    with cached(pipe, schedules.exact(anatomy, STEPS)) as run:
        assert torch.equal(call_of(pipe, run), plain)
    assert states(run, Kind.TEXT_KV) == states(run, Kind.CONDITION) == {"CRCR"}
    assert run.trace.cells["controlnet.controlnet_cond_embedding"][2].reason == "forgotten on request"


@pytest.mark.parametrize("mode", [nullcontext, torch.inference_mode])
@pytest.mark.parametrize(
    "change", [lambda s: {"prompt_embeds": s["prompt_embeds"] * 0.5}, lambda s: s["prompt_embeds"].mul_(0.5)]
)
def test_the_text(change: Change, mode: Any) -> None:
    """Replaced, and written into; in inference mode tensors do not say so."""
    run = runs(controlled, change, ("prompt_embeds",), mode)
    assert states(run, Kind.TEXT_KV) == {"CRCR"}


@pytest.mark.parametrize("mode", [nullcontext, torch.inference_mode])
def test_the_control_image(mode: Any) -> None:
    run = runs(controlled, lambda state: state["image"].mul_(0.5), ("image",), mode)
    assert states(run, Kind.CONDITION) == {"CRCR"}


def large() -> tuple[Any, Mapping[str, Any]]:
    return tiny.small_pipeline("sdxl", "text", 1), {}


@pytest.mark.parametrize("name", ["add_text_embeds", "add_time_ids"])
def test_the_text_and_size_that_sdxl_embeds(name: str) -> None:
    """Both nets' embedding of them, and nothing else."""
    run = runs(large, lambda state: {name: state[name] * 0.5}, (name,))
    embeddings = [name for name in run.trace.cells if name.endswith("add_embedding")]
    assert len(embeddings) == 2
    assert {"".join(cell.state for cell in run.trace.cells[name]) for name in embeddings} == {"CRCR"}
    assert states(run, Kind.TEXT_KV) == {"CRRR"}


def prompted_by_image() -> tuple[Any, Mapping[str, Any]]:
    return tiny.ip_adapter_pipeline("sd", 1)


@torch.no_grad()
def other_projection(pipe: Any) -> None:
    pipe.unet.encoder_hid_proj.image_projection_layers[0].image_embeds.weight.mul_(2)


@torch.no_grad()
def other_image_values(pipe: Any) -> None:
    first(pipe).processor.to_v_ip[0].weight.mul_(2)


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (other_projection, {"CRCR"}),
        (other_image_values, {"CRRR", "CRCR"}),
        (lambda pipe: pipe.set_ip_adapter_scale(0.3), {"CRRR"}),
    ],
)
def test_an_image_prompts_adapter(change: Change, keys: set[str]) -> None:
    assert states(runs(prompted_by_image, change), Kind.IMAGE_KV) == keys


class Edited(AttnProcessor):
    """A prompt that changes from step to step, as prompt-to-prompt's does."""

    def __init__(self, step: list[int]) -> None:
        self._step = step

    def __call__(
        self, attn: Any, hidden: torch.Tensor, encoder_hidden_states: Any = None, *rest: Any, **more: Any
    ) -> Any:
        self._step[0] += 1
        text = None if encoder_hidden_states is None else encoder_hidden_states * (1 + self._step[0] / 100)
        return super().__call__(attn, hidden, text, *rest, **more)


class Regional(AttnProcessor):
    """Half of the picture reads another prompt: keys and values are asked for twice in a step."""

    def __call__(
        self, attn: Any, hidden: torch.Tensor, encoder_hidden_states: Any = None, *rest: Any, **more: Any
    ) -> Any:
        here = super().__call__(attn, hidden, encoder_hidden_states, *rest, **more)
        there = super().__call__(attn, hidden, encoder_hidden_states.flip(1), *rest, **more)
        return torch.cat([here[:, ::2], there[:, 1::2]], dim=1)


@pytest.mark.parametrize(
    "processor", [AttnProcessor, lambda: Edited([0]), Regional], ids=["plain", "edited", "regional"]
)
def test_an_attentions_processor(processor: Any) -> None:
    """Set half way; what it hands to the projections is its own affair, in every step."""

    def change(pipe: Any) -> None:
        first(pipe).set_processor(processor())
        first(pipe).scale *= 1.5  # a plain one computes the same otherwise

    run = runs(controlled, change)
    assert states(run, Kind.TEXT_KV) == ({"CRRR"} if processor is AttnProcessor else {"CRRR", "CRCC"})


def bare() -> tuple[Any, Mapping[str, Any]]:
    return tiny.small_pipeline("sd", "text", 0), {}


def adapted() -> tuple[Any, Mapping[str, Any]]:
    """Two LoRAs on the keys and values of the text, the first one switched on."""
    from peft import LoraConfig

    pipe, _ = bare()
    for name in ("first", "second"):
        pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False), name)
    pipe.unet.set_adapters("first")
    return pipe, {}


def fused(pipe: Any) -> None:
    pipe.unet.fuse_lora(0.5)


def another(pipe: Any) -> None:
    from peft import LoraConfig

    torch.manual_seed(5)
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False), "third")


@torch.no_grad()
def trained(pipe: Any) -> None:
    first(pipe).to_v.lora_B["first"].weight.mul_(2)


@needs_peft
@several_adapters
@pytest.mark.parametrize(
    "change",
    [
        lambda pipe: pipe.unet.set_adapters("first", 0.3),
        lambda pipe: pipe.unet.set_adapters("second"),
        lambda pipe: pipe.unet.set_adapters(["first", "second"], [0.5, 0.5]),
        lambda pipe: pipe.unet.disable_adapters(),
        lambda pipe: pipe.unet.delete_adapters("first"),
        lambda pipe: pipe.unet.unload_lora(),
        lambda pipe: setattr(pipe, "_cross_attention_kwargs", {"scale": 0.2}),
        fused,
        another,
        trained,
    ],
)
def test_a_lora(change: Change) -> None:
    runs(adapted, change)


@needs_peft
@several_adapters
@pytest.mark.parametrize("after", [lambda _: None, fused])
def test_a_lora_loaded_half_way(after: Change) -> None:
    """Loading puts a layer in the projection's place; fusing writes into the projection through `.data`."""

    def change(pipe: Any) -> None:
        another(pipe)
        after(pipe)

    runs(bare, change)


@needs_peft
@several_adapters
def test_a_fused_lora_that_is_taken_out_and_fused_again() -> None:
    def make() -> tuple[Any, Mapping[str, Any]]:
        pipe, call = adapted()
        fused(pipe)
        return pipe, call

    def change(pipe: Any) -> None:
        pipe.unet.unfuse_lora()
        trained(pipe)
        fused(pipe)

    runs(make, change)


def test_weights_made_in_inference_mode_are_never_trusted() -> None:
    """They do not say when they are written to, so that what is made with them is computed in every step."""

    def make() -> tuple[Any, Mapping[str, Any]]:
        with torch.inference_mode():
            return controlled()

    def change(pipe: Any) -> None:
        with torch.inference_mode():
            first(pipe).to_v.weight.mul_(2)

    run = runs(make, change, mode=torch.inference_mode)
    assert states(run, Kind.TEXT_KV) == states(run, Kind.CONDITION) == {"CCCC"}
    assert run.trace.nothing_reused
    assert run.trace.cells["controlnet.controlnet_cond_embedding"][1].state is State.COMPUTED
