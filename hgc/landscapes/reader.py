"""A small network that reads time of day and season back from a picture: did the picture heed its prompt?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hgc.landscapes.colours import SEASONS, TIMES
from hgc.landscapes.compute import Compute, generator
from hgc.landscapes.pace import Budget
from hgc.landscapes.supervised import fit
from hgc.landscapes.weights import load_settings, load_weights, save_weights

STAGE = 4
SIDE = 64  # pixels; a picture's mood is in its large areas
KNOWN = {"times": list(TIMES), "seasons": list(SEASONS)}


@dataclass(frozen=True)
class ReaderPlan:
    """Channels of the levels from SIDE down to an eighth of it, and the pace."""

    channels: tuple[int, ...] = (16, 32, 48, 64)
    batch: int = 32
    rate: float = 3e-3
    matrix_rate: float = 0.02
    warmup: int = 20
    save_every: int = 200


class Reader(nn.Module):
    """Images [B, 3, H, W] in 0..1 to scores of the times [B, 4] and of the seasons [B, 4]."""

    def __init__(self, channels: tuple[int, ...] = ReaderPlan.channels) -> None:
        super().__init__()
        self.channels = channels
        inputs = (3, *channels[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(o // 8, o), nn.SiLU())
            for i, o in zip(inputs, channels, strict=True)
        )
        self.time_head = nn.Linear(2 * channels[-1], len(TIMES))
        self.season_head = nn.Linear(2 * channels[-1], len(SEASONS))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = F.interpolate(images, (SIDE, SIDE), mode="area") * 2 - 1
        for i, level in enumerate(self.levels):
            x = level(F.avg_pool2d(x, 2) if i else x)
        seen = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)  # [B, 2 * channels]
        return self.time_head(seen), self.season_head(seen)

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """Numbers int64 [B, 2] of time of day and season of images [B, 3, H, W] in 0..1."""
        times, seasons = self(images)
        return torch.stack([times.argmax(dim=1), seasons.argmax(dim=1)], dim=1)

    def save(self, folder: Path) -> None:
        """Weights in half precision and what they tell apart."""
        save_weights(folder, self, {"channels": list(self.channels), **KNOWN})

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Ready to read, in float32. Raises FileNotFoundError or ValueError with what is missing."""
        model = cls(tuple(load_settings(Path(folder), "reader", KNOWN)["channels"]))
        load_weights(Path(folder), model)
        return model


def train_reader(
    painted: Callable[[], tuple[Tensor, Tensor]],
    plan: ReaderPlan,
    budget: Budget,
    compute: Compute,
    work: Path,
    seed: int,
) -> Reader:
    """Train, or go on training, with state kept in `work`; `painted` gives pictures and moods if still needed."""
    torch.manual_seed(seed)
    model = Reader(plan.channels).to(compute.device)

    def prepared() -> Callable[[int], Tensor]:
        pictures, moods = painted()

        def loss_of(step: int) -> Tensor:
            images, wanted = _examples(pictures, moods, plan.batch, generator(seed, STAGE, step))
            times, seasons = model(images.to(compute.device))
            when, season = wanted.to(compute.device).unbind(dim=1)
            return F.cross_entropy(times, when) + F.cross_entropy(seasons, season)

        return loss_of

    fit("reader", model, prepared, plan, budget, work)
    return model


def _examples(pictures: Tensor, moods: Tensor, batch: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures as a model might draw them: mirrored, grainy, each channel a little brighter or darker."""
    picks = torch.randint(len(pictures), (batch,), generator=draw)
    images = pictures[picks].permute(0, 3, 1, 2).float() / 255
    gain = 1 + 0.04 * torch.randn(batch, 3, 1, 1, generator=draw)
    grain = 0.02 * torch.randn(images.shape, generator=draw)
    images = (images * gain + grain).clamp(0, 1)
    mirrored = torch.rand(batch, generator=draw) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images), moods[picks]
