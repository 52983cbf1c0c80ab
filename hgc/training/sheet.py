"""A contact sheet of what the model draws now, for people to look at while it trains."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTokenizer

from hgc.landscapes.artist import Picture, as_images, as_pictures
from hgc.landscapes.canvas import SIZE
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import Scene, paint
from hgc.landscapes.tiles import tiled
from hgc.models.presets import GUIDANCE
from hgc.training.compute import Compute
from hgc.training.data import EVALUATION_SEEDS
from hgc.training.denoiser import Denoiser
from hgc.training.export import build_pipeline

COLUMNS = 4


def draw_sheet(
    path: Path,
    model: Denoiser,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    compute: Compute,
    steps: int = 20,
) -> None:
    """Rows: real scenes, their maps, drawn from the maps, drawn from the edges, drawn from the words alone."""
    scenes = [paint(EVALUATION_SEEDS + 900 + i) for i in range(COLUMNS)]
    maps = [colour_map(scene.labels) for scene in scenes]
    edges = [np.repeat(scene.edges[..., None], 3, axis=2) for scene in scenes]
    rows = [
        [scene.image for scene in scenes],
        maps,
        _drawn(model, autoencoder, tokenizer, compute, scenes, maps, "segmentation", 1.0, steps),
        _drawn(model, autoencoder, tokenizer, compute, scenes, edges, "edges", 1.0, steps),
        _drawn(model, autoencoder, tokenizer, compute, scenes, maps, "segmentation", 0.0, steps),
    ]
    tiled([picture for row in rows for picture in row], COLUMNS, SIZE, gap_px=0).save(path)


def _drawn(
    model: Denoiser,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    compute: Compute,
    scenes: list[Scene],
    controls: list[Picture],
    control: str,
    strength: float,
    steps: int,
) -> list[Picture]:
    pipeline = build_pipeline(model, autoencoder, tokenizer, control)
    with compute.autocast():
        images = pipeline(
            [scene.caption for scene in scenes],
            image=as_images(controls).to(compute.device),
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            controlnet_conditioning_scale=strength,
            generator=torch.Generator().manual_seed(0),
            output_type="pt",
        ).images
    return as_pictures(images)
