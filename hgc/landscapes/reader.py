"""A small network that reads time of day and season back from a picture: did the picture heed its prompt?"""

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hgc.landscapes.colours import SEASONS, TIMES
from hgc.landscapes.weights import load_settings, load_weights, save_weights

SIDE = 64  # pixels; a picture's mood is in its large areas
KNOWN = {"times": list(TIMES), "seasons": list(SEASONS)}
CHANNELS = (16, 32, 48, 64)  # of the levels from SIDE down to an eighth of it


class Reader(nn.Module):
    """Images [B, 3, H, W] in 0..1 to scores of the times [B, 4] and of the seasons [B, 4]."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
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
