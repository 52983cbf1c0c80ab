"""A contact sheet of what the model draws now, for people to look at while it trains."""

from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from transformers import CLIPTokenizer

from hgc.landscapes.compute import Compute
from hgc.landscapes.data import EVALUATION_SEEDS
from hgc.landscapes.denoiser import Denoiser
from hgc.landscapes.export import build_pipeline
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import Scene, paint

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
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _drawn(
    model: Denoiser,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    compute: Compute,
    scenes: list[Scene],
    controls: list[NDArray[np.uint8]],
    control: str,
    strength: float,
    steps: int,
) -> list[NDArray[np.uint8]]:
    pipeline = build_pipeline(model, autoencoder, tokenizer, control)
    batch = torch.from_numpy(np.stack(controls)).permute(0, 3, 1, 2).float() / 255
    with compute.autocast():
        images = pipeline(
            [scene.caption for scene in scenes],
            image=batch.to(compute.device),
            num_inference_steps=steps,
            guidance_scale=4.0,
            controlnet_conditioning_scale=strength,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).images
    return list((images * 255).round().astype(np.uint8))
