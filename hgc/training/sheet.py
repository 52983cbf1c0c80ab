"""Many pictures of the model in one: a sheet to look at while it trains, and the wall of the README."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTokenizer

from hgc.landscapes.artist import Artist, Picture, Sitting, as_images, as_pictures
from hgc.landscapes.canvas import SIZE
from hgc.landscapes.colours import SEASONS, TIMES
from hgc.landscapes.labels import colour_map
from hgc.landscapes.relief import depth_map
from hgc.landscapes.scene import Scene, depth_of, paint
from hgc.landscapes.tiles import save_small, tiled
from hgc.models.presets import GUIDANCE
from hgc.training.compute import Compute
from hgc.training.dataset import EVALUATION_SEEDS
from hgc.training.denoiser import Denoiser
from hgc.training.export import build_pipeline

COLUMNS = 4
WALL_COLUMNS, WALL_ROWS = 6, 4
FIRST_SEED = 5000  # never trained on, never measured on
MOST_BYTES = 600_000
SIDES = (256, 224, 192, 160, 128, 96)


def draw_sheet(
    path: Path,
    model: Denoiser,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    compute: Compute,
    steps: int = 20,
) -> None:
    """Rows: real scenes, their maps, drawn from maps, from edges, from depth, and from the words alone."""
    seeds = [EVALUATION_SEEDS + 900 + i for i in range(COLUMNS)]
    scenes = [paint(seed) for seed in seeds]
    maps = [colour_map(scene.labels) for scene in scenes]
    edges = [np.repeat(scene.edges[..., None], 3, axis=2) for scene in scenes]
    greys = [depth_map(depth_of(seed), (SIZE, SIZE)) for seed in seeds]
    rows = [
        [scene.image for scene in scenes],
        maps,
        _drawn(model, autoencoder, tokenizer, compute, scenes, maps, "segmentation", 1.0, steps),
        _drawn(model, autoencoder, tokenizer, compute, scenes, edges, "edges", 1.0, steps),
        _drawn(model, autoencoder, tokenizer, compute, scenes, greys, "depth", 1.0, steps),
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


@dataclass(frozen=True)
class SheetPlace:
    """One picture of the wall: which control draws it, and from what."""

    control: str
    sitting: Sitting


def places() -> list[SheetPlace]:
    """24 of them, always the same: in each row four seasons from label maps, then two pictures from edges."""
    hung = []
    for row, time in enumerate(TIMES):
        for column in range(WALL_COLUMNS):
            seed = FIRST_SEED + WALL_COLUMNS * row + column
            scene = paint(seed, time, SEASONS[(column + (row if column >= len(SEASONS) else 0)) % len(SEASONS)])
            if column < len(SEASONS):
                hung.append(SheetPlace("segmentation", Sitting(colour_map(scene.labels), scene.caption, seed)))
            else:
                lines = np.repeat(scene.edges[..., None], 3, axis=2)
                hung.append(SheetPlace("edges", Sitting(lines, scene.caption, seed)))
    return hung


def hang(artist: Artist, out: Path, steps: int, tell: Callable[[str], None]) -> int:
    """Draw the wall and write it as one PNG of at most MOST_BYTES, as large as that allows; returns its bytes."""
    pictures: list[Picture] = []
    for place in places():
        pictures += artist.draw(place.control, [place.sitting], steps)
        tell(f"wall: {len(pictures)} of {WALL_COLUMNS * WALL_ROWS}")
    for side in SIDES:
        size = save_small(tiled(pictures, WALL_COLUMNS, side), out)
        if size <= MOST_BYTES:
            return size
    raise ValueError(f"{out.name}: {size} bytes at {SIDES[-1]} pixels a picture, at most {MOST_BYTES} are wanted")
