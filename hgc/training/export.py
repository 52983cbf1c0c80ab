"""Trained parts as a folder that StableDiffusionControlNetPipeline.from_pretrained loads."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, StableDiffusionControlNetPipeline
from transformers import CLIPTokenizer

from hgc.training.denoiser import Denoiser, build_scheduler

SHARD = "9MB"


def build_pipeline(
    model: Denoiser, autoencoder: AutoencoderTiny, tokenizer: CLIPTokenizer, control: str = "segmentation"
) -> StableDiffusionControlNetPipeline:
    """The parts as a pipeline under one of the two controls, 'segmentation' or 'edges'."""
    nets = {"segmentation": model.controlnet, "edges": model.controlnet_edges}
    if control not in nets:
        raise ValueError(f"control {control!r} is unknown; known: {', '.join(nets)}")
    pipeline = StableDiffusionControlNetPipeline(
        vae=autoencoder,
        text_encoder=model.text_encoder,
        tokenizer=tokenizer,
        unet=model.unet,
        controlnet=nets[control],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def export(out: Path, model: Denoiser, autoencoder: AutoencoderTiny, tokenizer: CLIPTokenizer) -> None:
    """Write the folder in half precision beside its place, then move it file by file: nobody reads half a file."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".landscapes-") as name:
        fresh = Path(name)
        pipeline = build_pipeline(model, autoencoder, tokenizer).to(dtype=torch.float16)
        pipeline.save_pretrained(fresh, max_shard_size=SHARD)
        _load_in_single_precision(fresh / "text_encoder" / "config.json")
        model.controlnet_edges.half().save_pretrained(fresh / "controlnet_edges", max_shard_size=SHARD)
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
        kept = {out / file for file in files}
        for stale in folder.glob("*.safetensors*"):
            if stale not in kept:
                stale.unlink()
    for file in files:
        os.replace(fresh / file, out / file)


def weight_bytes(out: Path) -> dict[str, int]:
    """Bytes of every weight file under the folder, by its relative path."""
    return {str(path.relative_to(out)): path.stat().st_size for path in sorted(out.rglob("*.safetensors"))}


def forget(work: Path) -> None:
    """Throw all training state away, to start from nothing."""
    shutil.rmtree(work, ignore_errors=True)
