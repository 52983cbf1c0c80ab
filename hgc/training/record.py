"""training.json: how weights came to be."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import transformers

from hgc.training.checkpoint import load_checkpoint
from hgc.training.compute import Compute
from hgc.training.export import weight_bytes

if TYPE_CHECKING:
    from hgc.training.train import Recipe

STAGES = ("autoencoder", "segmenter", "reader", "obedience", "denoiser")


def write_record(out: Path, work: Path, recipe: Recipe, seed: int, compute: Compute, command: str) -> None:
    """Write training.json to `out`. Losses are [step, loss, …], one entry every 20 steps."""
    stages: dict[str, Any] = {}
    for name in STAGES:
        state = load_checkpoint(work / f"{name}.ckpt")
        stages[name] = {"steps": state["step"], "seconds": round(state["spent_s"], 1), "losses": state["losses"]}
    record = {
        "command": command,
        "seed": seed,
        "hardware": compute.words(),
        "weights_dtype": "float16",
        "versions": {
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        },
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "recipe": _plain(asdict(recipe)),
        "weight_bytes": weight_bytes(out),
        "stages": stages,
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


def _plain(value: Any) -> Any:
    """JSON has no infinity: an unlimited number of seconds is null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if value == float("inf") else value
