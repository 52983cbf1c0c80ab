"""What the networks learn from: scenes and hand-like drawings as arrays, and the denoiser's data set on disk."""

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from hgc.landscapes.canvas import SIZE
from hgc.landscapes.eyes import HEADS
from hgc.landscapes.labels import CLASSES
from hgc.landscapes.relief import WHITE
from hgc.training.autoencoder import LATENT_CHANNELS
from hgc.training.checkpoint import CheckpointError
from hgc.training.compute import Compute
from hgc.training.lessons import Lesson, lesson
from hgc.whole import write_whole

log = logging.getLogger(__name__)

LATENT_SIZE = SIZE // 8
CHUNK = 64
COUNTED_SCENES = 256
MOST_EMPHASIS = 4.0
# Disjoint by construction: whatever is measured on EVALUATION_SEEDS was never trained on.
TRAINING_SEEDS = 1_000_000
SEGMENTER_SEEDS = 500_000
READER_SEEDS = 600_000
DEPTH_READER_SEEDS = 800_000
EVALUATION_SEEDS = 0


def nearness(taught: Lesson) -> NDArray[np.uint8]:
    """How near everything in a lesson is [256, 256], WHITE at the lower edge."""
    return np.round(taught.near * WHITE).astype(np.uint8)


def paint_pictures(first_seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [count, 256, 256, 3] and their labels uint8 [count, 256, 256]."""
    scenes = [lesson(first_seed + i) for i in range(count)]
    pictures = np.stack([scene.image for scene in scenes])
    return torch.from_numpy(pictures), torch.from_numpy(np.stack([scene.labels for scene in scenes]))


def paint_depths(first_seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [count, 256, 256, 3] and how near everything in them is, uint8 [count, 256, 256]."""
    scenes = [lesson(first_seed + i) for i in range(count)]
    near = np.stack([nearness(scene) for scene in scenes])
    return torch.from_numpy(np.stack([scene.image for scene in scenes])), torch.from_numpy(near)


def paint_words(first_seed: int, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Pictures averaged down to uint8 [count, side, side, 3], and int64 [count, heads]: numbers of what they show."""
    pictures, words = [], []
    for seed in range(first_seed, first_seed + count):
        taught = lesson(seed)
        pictures.append(cv2.resize(taught.image, (side, side), interpolation=cv2.INTER_AREA))
        words.append([choices.index(getattr(taught, head)) for head, choices in HEADS.items()])
    return torch.from_numpy(np.stack(pictures)), torch.tensor(words)


@dataclass(frozen=True)
class Dataset:
    """latents float16 [N, 12, 32, 32]; labels and near uint8 [N, 256, 256]; edges uint8 [N, 256, 32] in bits."""

    latents: NDArray[np.float16]
    labels: NDArray[np.uint8]
    edges: NDArray[np.uint8]
    near: NDArray[np.uint8]
    captions: list[str]

    def edge_map(self, index: int) -> NDArray[np.uint8]:
        """Edges of one scene, 0 or 255, [256, 256]."""
        return np.asarray(np.unpackbits(self.edges[index], axis=-1) * 255, np.uint8)

    def nearness(self, index: int) -> NDArray[np.float32]:
        """How near everything in one scene is, 0..1, [256, 256]."""
        return np.asarray(self.near[index] / np.float32(WHITE))

    @cached_property
    def class_weights(self) -> NDArray[np.float32]:
        """How much each class counts in the loss: by the root of its rarity, from 1 to MOST_EMPHASIS."""
        counted = self.labels[:COUNTED_SCENES]
        shares = np.bincount(counted.ravel(), minlength=len(CLASSES)) / counted.size
        rarity = np.median(shares) / np.maximum(shares, 1 / counted.size)
        return np.clip(np.sqrt(rarity), 1.0, MOST_EMPHASIS).astype(np.float32)


def encode(model: AutoencoderTiny, pictures: Tensor, compute: Compute) -> Tensor:
    """Pictures uint8 [N, H, W, 3] to latents float32 [N, 12, H/8, W/8], as the denoiser sees them."""
    batch = compute.put(pictures.permute(0, 3, 1, 2).float() / 127.5 - 1)
    with torch.no_grad(), compute.autocast():
        return model.encoder(batch).float().cpu() * model.config.scaling_factor


def decode(model: AutoencoderTiny, latents: Tensor, compute: Compute) -> Tensor:
    """Latents [N, 12, h, w] as the denoiser sees them back to pictures uint8 [N, 8h, 8w, 3]."""
    with torch.no_grad(), compute.autocast():
        made = model.decoder(compute.put(latents / model.config.scaling_factor)).float().cpu()
    return ((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def with_reconstructions(
    pictures: Tensor, answers: Tensor, model: AutoencoderTiny, compute: Compute
) -> tuple[Tensor, Tensor]:
    """Every picture and what the autoencoder makes of it, under the same answers (labels, or nearness).

    A segmenter that knows renders only takes the decoder's softness for another class: it judged reconstructions
    of faint paths at half their real score.
    """
    made = [decode(model, encode(model, part, compute), compute) for part in pictures.split(CHUNK)]
    return torch.cat([pictures, *made]), torch.cat([answers, answers])


def settle_scale(model: AutoencoderTiny, first_seed: int, count: int, compute: Compute) -> None:
    """Set the scaling factor that gives the latents of `count` scenes a standard deviation of one."""
    model.register_to_config(scaling_factor=1.0)
    pictures = torch.from_numpy(np.stack([lesson(first_seed + i).image for i in range(count)]))
    model.register_to_config(scaling_factor=round(1 / float(encode(model, pictures, compute).std()), 4))


def fill_dataset(folder: Path, model: AutoencoderTiny, first_seed: int, count: int, compute: Compute) -> Dataset:
    """Paint and encode what is missing of `count` scenes; a stop costs at most one chunk.

    Raises CheckpointError when a file of the folder is cut off or of another number of scenes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    progress = folder / "captions.json"
    captions: list[str] = json.loads(progress.read_text()) if progress.exists() else []
    mode = "r+" if progress.exists() else "w+"
    latents = _array(folder / "latents.npy", mode, np.float16, (count, LATENT_CHANNELS, LATENT_SIZE, LATENT_SIZE))
    labels = _array(folder / "labels.npy", mode, np.uint8, (count, SIZE, SIZE))
    edges = _array(folder / "edges.npy", mode, np.uint8, (count, SIZE, SIZE // 8))
    near = _array(folder / "near.npy", mode, np.uint8, (count, SIZE, SIZE))
    while len(captions) < count:
        start = len(captions)
        scenes = [lesson(first_seed + i) for i in range(start, min(count, start + CHUNK))]
        span = slice(start, start + len(scenes))
        pictures = torch.from_numpy(np.stack([scene.image for scene in scenes]))
        latents[span] = encode(model, pictures, compute).numpy()
        labels[span] = np.stack([scene.labels for scene in scenes])
        edges[span] = np.packbits(np.stack([scene.edges for scene in scenes]) > 0, axis=-1)
        near[span] = np.stack([nearness(scene) for scene in scenes])
        captions += [scene.caption for scene in scenes]
        for array in (latents, labels, edges, near):
            array.flush()
        write_whole(progress, json.dumps(captions).encode())
        if start % 1024 == 0:
            log.info("encoded %d of %d scenes", len(captions), count)
    return Dataset(np.asarray(latents), np.asarray(labels), np.asarray(edges), np.asarray(near), captions)


def _array(path: Path, mode: str, kind: type, shape: tuple[int, ...]) -> np.memmap:
    if mode == "w+":
        return open_memmap(path, mode=mode, dtype=kind, shape=shape)
    try:
        open_memmap(path, mode="r")  # to write, numpy would fill up a file that was cut off
        array = open_memmap(path, mode=mode)
    except (OSError, ValueError) as error:
        size = f"{path.stat().st_size} bytes" if path.exists() else "missing"
        raise CheckpointError(
            f"{path.name} is cut off or no array ({size}); delete the folder to fill it again"
        ) from error
    if array.shape != shape:
        raise CheckpointError(
            f"{path.name} holds {array.shape}, the plan asks for {shape}; delete the folder to fill it again"
        )
    return array
