"""The denoiser's batch in one training step: cut-outs of scenes with the maps a hand would draw of them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hgc.landscapes.hand.greys import drawn_greys
from hgc.landscapes.hand.pens import Pen, drawn_edges, drawn_labels, outlined
from hgc.landscapes.labels import CLASSES, colour_map
from hgc.training.dataset import Dataset

PEN_SHARE = 0.55


@dataclass(frozen=True)
class Prompts:
    """tokens [N, T] of the captions, empty [T] of the empty prompt, and how often the one becomes the other."""

    tokens: Tensor
    empty: Tensor
    dropout: float

    def of(self, picks: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """Token ids [B, T] of the picked scenes."""
        ids = self.tokens[torch.from_numpy(picks)].clone()
        ids[torch.from_numpy(rng.random(len(picks)) < self.dropout)] = self.empty
        return ids


@dataclass(frozen=True)
class Shares:
    """How many samples of a batch follow a label map, how many edges, how many a depth map, and how many nothing."""

    label_maps: int = 6
    edges: int = 5
    depth: int = 3
    free: int = 2

    def __post_init__(self) -> None:
        if min(self.label_maps, self.edges, self.depth) < 1 or self.free < 0:
            raise ValueError(f"{self}: every control needs a sample in each batch")

    @property
    def count(self) -> int:
        return self.label_maps + self.edges + self.depth + self.free


@dataclass(frozen=True)
class Batch:
    """latents [B, 12, h, w]; ids [B, T]; emphasis [B, 1, h, w] of the loss.

    `controls` are the maps [b, 3, 8h, 8w] in 0..1 of each control in the denoiser's order, drawn by hand; `labels`
    uint8 [b, 8h, 8w] is what stands under those of the first two, the label maps and the edges.
    """

    latents: Tensor
    ids: Tensor
    controls: tuple[Tensor, Tensor, Tensor]
    emphasis: Tensor
    labels: Tensor


def draw_batch(dataset: Dataset, prompts: Prompts, shares: Shares, side: int, draw: torch.Generator) -> Batch:
    """Samples of `side` latents on a side, in the order of `shares`."""
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=draw)))
    count, told = shares.count, shares.label_maps + shares.edges
    picks = rng.integers(len(dataset.captions), size=count)
    whole = dataset.latents.shape[-1]
    tops, lefts = rng.integers(whole - side + 1, size=(2, count))
    latents, maps, edges, greys, emphasis, labels = [], [], [], [], [], []
    for n, (i, y, x) in enumerate(zip(picks, tops, lefts, strict=True)):
        latents.append(dataset.latents[i, :, y : y + side, x : x + side])
        window = (slice(8 * y, 8 * (y + side)), slice(8 * x, 8 * (x + side)))
        if n < shares.label_maps:
            maps.append(colour_map(drawn_labels(dataset.labels[i], len(CLASSES), rng))[window])
        elif n < told:
            edges.append(drawn_lines(dataset.labels[i], dataset.edge_map(int(i)), rng)[window])
        elif n < told + shares.depth:
            greys.append(drawn_greys(dataset.nearness(int(i)), dataset.labels[i], rng)[window])
        if n < told:
            labels.append(dataset.labels[i][window])
            emphasis.append(emphasized(dataset.labels[i][window], dataset.class_weights))
        else:
            emphasis.append(np.ones((side, side), np.float32))
    return Batch(
        torch.from_numpy(np.stack(latents)).float(),
        prompts.of(picks, rng),
        (torch.from_numpy(np.stack(maps)).permute(0, 3, 1, 2).float() / 255, _in_grey(edges), _in_grey(greys)),
        torch.from_numpy(np.stack(emphasis))[:, None],
        torch.from_numpy(np.stack(labels)),
    )


def _in_grey(sheets: list[NDArray[np.uint8]]) -> Tensor:
    """Sheets [H, W] as maps [b, 3, H, W] in 0..1."""
    return torch.from_numpy(np.stack(sheets))[:, None].expand(-1, 3, -1, -1).float() / 255


def drawn_lines(labels: NDArray[np.uint8], edges: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lines [256, 256], 0 or 255: what an edge detector finds, or the outlines alone as somebody's pen draws them."""
    if rng.random() < PEN_SHARE:
        return outlined(labels, Pen.any(rng), rng)
    return drawn_edges(edges, rng)


def emphasized(labels: NDArray[np.uint8], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weight [h, w] of every latent: that of the rarest class among its 64 pixels [8h, 8w].

    Only where a control says what stands there, as greys of depth do not: elsewhere it would make rare things
    likelier than they are.
    """
    height, width = labels.shape
    blocks = weights[labels].reshape(height // 8, 8, width // 8, 8)
    return np.asarray(blocks.max(axis=(1, 3)), np.float32)
