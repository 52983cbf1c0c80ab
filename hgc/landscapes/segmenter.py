"""A small network that reads a picture's label map back, for scoring how well an image follows its drawing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hgc.landscapes.compute import Compute, generator
from hgc.landscapes.labels import CLASSES
from hgc.landscapes.pace import Budget
from hgc.landscapes.supervised import fit
from hgc.landscapes.weights import load_settings, load_weights, save_weights

STAGE = 3
RARE = ("sun_moon", "path", "tree", "house")


@dataclass(frozen=True)
class SegmenterPlan:
    """Channels of the levels from full size to 1/16; cut-outs in pixels; how much more a rare class's pixel counts."""

    channels: tuple[int, ...] = (16, 32, 48, 64, 64)
    batch: int = 8
    crop: int = 128
    rare_weight: float = 1.0
    rate: float = 3e-3
    matrix_rate: float = 0.02
    warmup: int = 20
    save_every: int = 200


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(outputs // 8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(outputs // 8, outputs),
        nn.SiLU(),
    )


class Segmenter(nn.Module):
    """A U-Net. Images [B, 3, H, W] in 0..1, sides divisible by 16, to class scores [B, 9, H, W]."""

    def __init__(self, channels: tuple[int, ...] = SegmenterPlan.channels) -> None:
        super().__init__()
        self.channels = channels
        inputs = (3, *channels[:-1])
        self.down = nn.ModuleList(_convolutions(i, o) for i, o in zip(inputs, channels, strict=True))
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.up = nn.ModuleList(_convolutions(deep + shallow, shallow) for deep, shallow in pairs)
        self.head = nn.Conv2d(channels[0], len(CLASSES), 1)

    def levels(self, images: Tensor) -> list[Tensor]:
        """Features [B, C, H / 2^i, W / 2^i] of every level on the way down, of images [B, 3, H, W] in 0..1."""
        x, kept = images * 2 - 1, []
        for i, level in enumerate(self.down):
            x = level(F.avg_pool2d(x, 2) if i else x)
            kept.append(x)
        return kept

    def forward(self, images: Tensor) -> Tensor:
        kept = self.levels(images)
        x = kept[-1]
        for level, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            x = level(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        scores: Tensor = self.head(x)
        return scores

    @torch.no_grad()
    def segment(self, images: Tensor) -> Tensor:
        """Labels int64 [B, H, W] of images [B, 3, H, W] in 0..1. Raises ValueError where the sides do not fit."""
        _check(images)
        return self(images).argmax(dim=1)

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """What `levels` gives, to compare pictures by. Raises ValueError where the sides do not fit."""
        _check(images)
        return self.levels(images)

    def save(self, folder: Path) -> None:
        """Weights in half precision and the sizes that go with them."""
        save_weights(folder, self, {"channels": list(self.channels), "classes": list(CLASSES)})

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Ready to score, in float32. Raises FileNotFoundError or ValueError with what is missing."""
        settings = load_settings(Path(folder), "segmenter", {"classes": list(CLASSES)})
        model = cls(tuple(settings["channels"]))
        load_weights(Path(folder), model)
        return model


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % 16 or images.shape[3] % 16:
        raise ValueError(f"segmenter: images {tuple(images.shape)}, needs [B, 3, H, W] with sides divisible by 16")


def class_iou(made: Tensor, wanted: Tensor) -> dict[str, float]:
    """Intersection over union of every class that either label tensor holds; both of one shape."""
    shares = {}
    for number, name in enumerate(CLASSES):
        ours, theirs = made == number, wanted == number
        either = int((ours | theirs).sum())
        if either:
            shares[name] = int((ours & theirs).sum()) / either
    return shares


def mean_iou(made: Tensor, wanted: Tensor) -> float:
    """Mean over the classes present of their intersection over union, 0..1."""
    shares = class_iou(made, wanted)
    return sum(shares.values()) / len(shares)


def train_segmenter(
    painted: Callable[[], tuple[Tensor, Tensor]],
    plan: SegmenterPlan,
    budget: Budget,
    compute: Compute,
    work: Path,
    seed: int,
) -> Segmenter:
    """Train, or go on training, with state kept in `work`; `painted` gives pictures and labels if still needed."""
    torch.manual_seed(seed)
    model = Segmenter(plan.channels).to(compute.device, memory_format=compute.layout)  # type: ignore[call-overload]

    def prepared() -> Callable[[int], Tensor]:
        pictures, labels = painted()
        weights = torch.tensor([plan.rare_weight if name in RARE else 1.0 for name in CLASSES], device=compute.device)

        def loss_of(step: int) -> Tensor:
            images, wanted = _examples(pictures, labels, plan, generator(seed, STAGE, step))
            with compute.autocast():
                scores = model(compute.put(images)).float()
            return F.cross_entropy(scores, compute.put(wanted), weight=weights)

        return loss_of

    fit("segmenter", model, prepared, plan, budget, work)
    return model


def _examples(pictures: Tensor, labels: Tensor, plan: SegmenterPlan, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cut-outs; half of them are softened and made grainy, because generated pictures are."""
    picks = torch.randint(len(pictures), (plan.batch,), generator=draw).tolist()
    tops, lefts = torch.randint(pictures.shape[1] - plan.crop + 1, (2, plan.batch), generator=draw).tolist()
    spans = [(i, slice(y, y + plan.crop), slice(x, x + plan.crop)) for i, y, x in zip(picks, tops, lefts, strict=True)]
    images = torch.stack([pictures[span] for span in spans]).permute(0, 3, 1, 2).float() / 255
    wanted = torch.stack([labels[span] for span in spans]).long()
    half = plan.batch // 2
    soft = F.interpolate(F.avg_pool2d(images[:half], 2), scale_factor=2.0, mode="bilinear")
    share = torch.rand(half, 1, 1, 1, generator=draw)
    grain = 0.02 * torch.randn(soft.shape, generator=draw)
    images = torch.cat([(images[:half] * (1 - share) + soft * share + grain).clamp(0, 1), images[half:]])
    if float(torch.rand(1, generator=draw)) < 0.5:
        images, wanted = images.flip(3), wanted.flip(2)
    return images, wanted
