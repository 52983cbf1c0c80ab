"""LoRAs loaded into a pipeline, each with its weight, once they are known to fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

from safetensors.torch import load_file

from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import Tensors


def add_loras(pipe: Any, loras: Sequence[tuple[Path, float]], before: Sequence[float] = ()) -> None:
    """Loads LoRAs (peft's keys or kohya's) into a pipeline, each with its weight. Raises ModelUnavailable.

    `before` are the weights of those that were loaded into it so earlier.
    """
    weights = {f"lora_{number}": weight for number, weight in enumerate(before)}
    for number, (path, weight) in enumerate(loras, len(before)):
        tensors = Tensors.of(path)
        if tensors.holds != "lora":
            raise ModelUnavailable(f"{path.name} holds a {tensors.holds}, no LoRA; choose a LoRA's file")
        check_family(path, pipe.unet)
        name = f"lora_{number}"
        known = _adapted(pipe)
        try:
            with catch_warnings():
                filterwarnings("ignore", "Already found a `peft_config`", UserWarning)  # several LoRAs are meant
                pipe.load_lora_weights(load_file(path), adapter_name=name)
        except (ValueError, RuntimeError, KeyError) as error:
            raise ModelUnavailable(_unmatched(path)) from error
        if _adapted(pipe) == known:
            raise ModelUnavailable(_unmatched(path))
        weights[name] = weight
    if weights:
        pipe.set_adapters(list(weights), list(weights.values()))


def check_family(path: Path, unet: Any) -> None:
    """Raises ModelUnavailable for a LoRA that reads text of another width than a UNet does."""
    ours, theirs = unet.config.cross_attention_dim, Tensors.of(path).text_width
    if theirs is not None and theirs != ours:
        raise ModelUnavailable(
            f"{path.name} is a LoRA for another family: it reads text of width {theirs}, the model {ours}; choose one "
            "made for this family"
        )


def _adapted(pipe: Any) -> Mapping[str, Sequence[str]]:
    return {name: sorted(adapters) for name, adapters in pipe.get_list_adapters().items()}


def _unmatched(path: Path) -> str:
    return f"{path.name}: none of its keys is of a layer that this model has; choose a LoRA made for this family"
