"""A loss for following the map: a network reads labels from latents, before the picture is finished.

After ControlNet++ (arXiv 2404.07987): what a step promises as its clean picture is read back and compared with the
map. There the decoded picture is read; reading latents costs a twentieth of a training step, and the segmenter that
scores finished pictures is never asked in training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hgc.landscapes.labels import CLASSES
from hgc.training.compute import Compute, generator
from hgc.training.dataset import Dataset
from hgc.training.eyes import fit
from hgc.training.pace import Budget

STAGE = 5
SPOTS = 4  # places a latent is read at, along each side: one for every two pixels
LATENT_PIXELS = 8


@dataclass(frozen=True)
class ObedienceReaderPlan:
    """Width and depth of the reader, how grainy the latents it learns from are at most, and the pace."""

    width: int = 64
    layers: int = 4
    batch: int = 16
    side: int = 24
    grain: float = 0.4
    rate: float = 2e-3
    matrix_rate: float = 0.02
    warmup: int = 20
    save_every: int = 200


class ObedienceReader(nn.Module):
    """Latents [B, C, h, w] to class scores [B, 9, SPOTS h, SPOTS w]."""

    def __init__(self, channels: int, width: int, layers: int) -> None:
        super().__init__()
        inputs = (channels, *[width] * (layers - 1))
        self.body = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()) for i in inputs
        )
        self.head = nn.Conv2d(width, len(CLASSES) * SPOTS**2, 1)

    def forward(self, latents: Tensor) -> Tensor:
        x = latents
        for i, layer in enumerate(self.body):
            x = layer(x) + (x if i else 0)
        return F.pixel_shuffle(self.head(x), SPOTS)


def spots_of(labels: Tensor) -> Tensor:
    """Labels [B, 8h, 8w] at the places that are read: [B, SPOTS h, SPOTS w]."""
    every = LATENT_PIXELS // SPOTS
    return labels[:, every // 2 :: every, every // 2 :: every].long()


def obedience_loss(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy [B] of scores [B, 9, H, W] under labels [B, H, W]; `weights` [9] of the classes, mean kept."""
    losses = F.cross_entropy(scores, labels, weight=weights, reduction="none")
    return losses.sum(dim=(1, 2)) / weights[labels].sum(dim=(1, 2))


@dataclass(frozen=True)
class Obedience:
    """Who reads labels from promised pictures, the weights [9] of the classes, and how much the answer counts."""

    reader: ObedienceReader
    weights: Tensor
    share: float

    def loss(self, promised: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
        """Of latents [B, C, h, w] promised at signal shares `kept` [B]: out of much noise nothing can be promised."""
        losses = obedience_loss(self.reader(promised).float(), spots_of(labels), self.weights)
        return self.share * (losses * alpha).mean()


def train_obedience_reader(
    dataset: Dataset, plan: ObedienceReaderPlan, budget: Budget, compute: Compute, work: Path, seed: int
) -> ObedienceReader:
    """Train, or go on training, on the dataset's latents and labels; needed in training only, and kept in `work`."""
    torch.manual_seed(seed)
    model = ObedienceReader(dataset.latents.shape[1], plan.width, plan.layers).to(compute.device)

    def prepared() -> Callable[[int], Tensor]:
        weights = compute.put(torch.from_numpy(dataset.class_weights))

        def loss_of(step: int) -> Tensor:
            latents, labels = _examples(dataset, plan, generator(seed, STAGE, step))
            with compute.autocast():
                scores = model(compute.put(latents)).float()
            return obedience_loss(scores, compute.put(labels), weights).mean()

        return loss_of

    fit("obedience", model, prepared, plan, budget, work)
    return model.requires_grad_(False)


def _examples(dataset: Dataset, plan: ObedienceReaderPlan, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Grainy cut-outs, because what a step promises is not clean."""
    count, side = plan.batch, min(plan.side, dataset.latents.shape[-1])
    picks = torch.randint(len(dataset.captions), (count,), generator=draw).tolist()
    tops, lefts = torch.randint(dataset.latents.shape[-1] - side + 1, (2, count), generator=draw).tolist()
    latents, labels = [], []
    for i, y, x in zip(picks, tops, lefts, strict=True):
        latents.append(torch.from_numpy(dataset.latents[i, :, y : y + side, x : x + side].copy()))
        top, left, span = LATENT_PIXELS * y, LATENT_PIXELS * x, LATENT_PIXELS * side
        labels.append(torch.from_numpy(dataset.labels[i, top : top + span, left : left + span].copy()))
    clean = torch.stack(latents).float()
    grain = plan.grain * torch.rand(count, 1, 1, 1, generator=draw)
    return clean + grain * torch.randn(clean.shape, generator=draw), spots_of(torch.stack(labels))
