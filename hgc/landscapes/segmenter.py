"""A small network that reads a picture's label map back, for scoring how well an image follows its drawing."""

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hgc.landscapes.labels import CLASSES
from hgc.landscapes.weights import load_settings, load_weights, save_weights

CHANNELS = (16, 32, 48, 64, 64)  # of the levels from full size to 1/16


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

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
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
        """The features of `levels`, to compare pictures by. Raises ValueError where the sides do not fit."""
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
