"""How good the embedded model is, on scenes it never saw.

python -c "from hgc.landscapes.measure import measure; print(measure('assets/models/landscapes', scenes=24))"
"""

import logging
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from numpy.typing import NDArray
from torch import Tensor

from hgc.landscapes.data import EVALUATION_SEEDS
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import Scene, edge_map, paint
from hgc.landscapes.segmenter import Segmenter, class_iou, mean_iou

log = logging.getLogger(__name__)

TOLERANCE_PX = 2


def measure(
    folder: Path | str, *, scenes: int = 24, steps: int = 20, guidance: float = 4.0, batch: int = 4, seed: int = 0
) -> dict[str, Any]:
    """Reconstruction, control and speed in float32, at fixed noise; scores are 0..1."""
    folder = Path(folder)
    fresh = [paint(EVALUATION_SEEDS + i) for i in range(scenes)]
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    segmenter = Segmenter.load(folder / "segmenter")
    real = as_images([scene.image for scene in fresh])
    labels = torch.from_numpy(np.stack([scene.labels for scene in fresh])).long()
    rebuilt = reconstructed(pipeline, real)
    figures: dict[str, Any] = {
        "scenes": scenes, "first_seed": EVALUATION_SEEDS, "steps": steps, "guidance": guidance, "noise_seed": seed,
        "segmenter_miou_real": mean_iou(segmenter.segment(real), labels),
        "autoencoder_psnr_db": psnr_db(rebuilt, real),
        "edge_f1_reconstructed": edge_score(rebuilt, fresh),
    }  # fmt: skip
    maps = [colour_map(scene.labels) for scene in fresh]
    drawn = generated(pipeline, fresh, maps, steps, guidance, batch, seed)
    figures["segmentation_miou"] = mean_iou(segmenter.segment(drawn), labels)
    figures["segmentation_iou"] = class_iou(segmenter.segment(drawn), labels)
    pipeline.controlnet = ControlNetModel.from_pretrained(folder / "controlnet_edges")
    lines = [np.repeat(scene.edges[..., None], 3, axis=2) for scene in fresh]
    figures["edge_f1"] = edge_score(generated(pipeline, fresh, lines, steps, guidance, batch, seed), fresh)
    since = time.perf_counter()
    generated(pipeline, fresh[:1], lines[:1], steps, guidance, 1, seed)
    figures["one_image_s"] = time.perf_counter() - since
    return figures


def as_images(pictures: list[NDArray[np.uint8]]) -> Tensor:
    """uint8 [H, W, 3] pictures as one float tensor [B, 3, H, W] in 0..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def reconstructed(pipeline: StableDiffusionControlNetPipeline, images: Tensor) -> Tensor:
    """Images [B, 3, H, W] in 0..1 through the autoencoder and back."""
    rebuilt: Tensor = pipeline.vae.decode(pipeline.vae.encode(images * 2 - 1).latents).sample
    return (rebuilt / 2 + 0.5).clamp(0, 1)


def psnr_db(made: Tensor, wanted: Tensor) -> float:
    """Mean over images [B, 3, H, W] in 0..1 of their peak signal-to-noise ratio."""
    return float((-10 * torch.log10(((made - wanted) ** 2).mean(dim=(1, 2, 3)))).mean())


def generated(
    pipeline: StableDiffusionControlNetPipeline,
    scenes: list[Scene],
    controls: list[NDArray[np.uint8]],
    steps: int,
    guidance: float,
    batch: int,
    seed: int,
) -> Tensor:
    """What the pipeline draws from each scene's caption and control, [B, 3, 256, 256] in 0..1; noise by position."""
    images = []
    for start in range(0, len(scenes), batch):
        part = slice(start, start + batch)
        noise = [torch.Generator().manual_seed(seed + start + i) for i in range(len(scenes[part]))]
        made = pipeline(
            [scene.caption for scene in scenes[part]],
            image=as_images(controls[part]),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=noise,
            output_type="pt",
        ).images
        images.append(made.float())
        log.info("generated %d of %d", start + len(made), len(scenes))
    return torch.cat(images)


def edge_score(images: Tensor, scenes: list[Scene]) -> float:
    """Mean F1 of the images' own edges against the scenes', two pixels either way forgiven."""
    pictures = (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return float(
        np.mean([edge_f1(edge_map(picture), scene.edges) for picture, scene in zip(pictures, scenes, strict=True)])
    )


def edge_f1(made: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    """F1 of two edge maps [H, W], 0 or 255; an edge counts as found where the other map has one within TOLERANCE_PX."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * TOLERANCE_PX + 1,) * 2)
    near_wanted, near_made = cv2.dilate(wanted, disc) > 0, cv2.dilate(made, disc) > 0
    precision = float(near_wanted[made > 0].mean()) if made.any() else 0.0
    recall = float(near_made[wanted > 0].mean()) if wanted.any() else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
