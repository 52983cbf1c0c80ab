"""Trained parts as a folder that StableDiffusionControlNetPipeline.from_pretrained loads, and how they came to be."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderTiny, StableDiffusionControlNetPipeline
from transformers import CLIPTokenizer

from hgc.training.checkpoint import load_checkpoint
from hgc.training.compute import Compute
from hgc.training.denoiser import NETS, Denoiser, build_scheduler, strengthen

if TYPE_CHECKING:
    from hgc.training.train import TrainingRecipe

SHARD = "9MB"
STAGES = ("autoencoder", "segmenter", "reader", "depth_reader", "obedience", "denoiser")


def build_pipeline(
    model: Denoiser, autoencoder: AutoencoderTiny, tokenizer: CLIPTokenizer, control: str = "segmentation"
) -> StableDiffusionControlNetPipeline:
    """The parts as a pipeline under one of the controls."""
    if control not in NETS:
        raise ValueError(f"control {control!r} is unknown; known: {', '.join(NETS)}")
    pipeline = StableDiffusionControlNetPipeline(
        vae=autoencoder,
        text_encoder=model.text_encoder,
        tokenizer=tokenizer,
        unet=model.unet,
        controlnet=model.nets[control],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def export(
    out: Path,
    model: Denoiser,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    strengths: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """Write the folder in half precision beside its place, then move it file by file: nobody reads half a file.

    The output of each ControlNet named in `strengths` is scaled by its factor there; `model` is changed by it.
    """
    out.mkdir(parents=True, exist_ok=True)
    for control, factor in strengths.items():
        strengthen(model.nets[control], factor)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".landscapes-") as name:
        fresh = Path(name)
        pipeline = build_pipeline(model, autoencoder, tokenizer).to(dtype=torch.float16)
        pipeline.save_pretrained(fresh, max_shard_size=SHARD)
        _load_in_single_precision(fresh / "text_encoder" / "config.json")
        for control, net in model.nets.items():
            if control != "segmentation":  # which the pipeline has saved
                net.half().save_pretrained(fresh / NETS[control], max_shard_size=SHARD)
        move_into(fresh, out)


def _load_in_single_precision(config: Path) -> None:
    """transformers loads in the number format it saved in, diffusers in float32; mixed, the pipeline would not run."""
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "dtype": "float32"}, indent=2, sort_keys=True) + "\n")


def move_into(fresh: Path, out: Path) -> None:
    """Put every file of `fresh` in its place under `out`, and drop weights there that `fresh` no longer has."""
    files = sorted(path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file())
    for folder in {out / file.parent for file in files}:
        folder.mkdir(parents=True, exist_ok=True)
        places = {out / file for file in files}
        for stale in folder.glob("*.safetensors*"):
            if stale not in places:
                stale.unlink()
    for file in files:
        os.replace(fresh / file, out / file)


def weight_bytes(out: Path) -> dict[str, int]:
    """Bytes of every weight file under the folder, by its relative path."""
    return {str(path.relative_to(out)): path.stat().st_size for path in sorted(out.rglob("*.safetensors"))}


def write_record(out: Path, work: Path, recipe: TrainingRecipe, seed: int, compute: Compute, command: str) -> None:
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
