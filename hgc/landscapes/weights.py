"""A small network of ours on disk: half-precision weights and the settings they were trained with."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_weights(folder: Path, model: nn.Module, settings: dict[str, Any]) -> None:
    """Weights in half precision and the settings that go with them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: w.half().contiguous() for name, w in model.state_dict().items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n")


def load_settings(folder: Path, what: str, expected: dict[str, Any]) -> dict[str, Any]:
    """The settings kept beside `what`'s weights.

    Raises FileNotFoundError where a file is missing and ValueError where a setting is not the `expected` one.
    """
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{what}: {folder} has no {name}; train it or restore the assets")
    settings: dict[str, Any] = json.loads((folder / CONFIG).read_text())
    for name, value in expected.items():
        if settings.get(name) != value:
            raise ValueError(
                f"{what}: {folder} was trained on {name} {settings.get(name)}, this world has {value}; train it again"
            )
    return settings


def load_weights(folder: Path, model: nn.Module) -> None:
    """Fill a model with the kept weights, in float32, and set it to scoring."""
    model.load_state_dict({name: weight.to(torch.float32) for name, weight in load_file(folder / WEIGHTS).items()})
    model.eval()
