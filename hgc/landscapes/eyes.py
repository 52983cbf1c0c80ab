"""Small networks that read pictures: the label map, the depth, and time of day, season, weather and style."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hgc.landscapes.colours import SEASONS, TIMES, Season, Time
from hgc.landscapes.labels import CLASSES
from hgc.landscapes.style import STYLES, Style
from hgc.landscapes.weather import WEATHERS, Weather

_WEIGHTS, _CONFIG = "model.safetensors", "config.json"
SEGMENTER_CHANNELS = (16, 32, 48, 64, 64)  # of the levels from full size to 1/16
DEPTH_CHANNELS = (16, 24, 32, 48, 64, 64)  # to 1/32: how near the ground is depends on where it begins
MOOD_SIDE = 64  # pixels; a picture's mood is in its large areas
READER_SIDE = 128  # raindrops and flakes are not
MOOD: dict[str, tuple[str, ...]] = {"time": TIMES, "season": SEASONS}
HEADS: dict[str, tuple[str, ...]] = {**MOOD, "weather": WEATHERS, "style": STYLES}
READER_CHANNELS = (8, 16, 32, 48, 64)  # of the levels from the reader's side down to a sixteenth of it


def save_weights(folder: Path, model: nn.Module, settings: dict[str, Any]) -> None:
    """Weights in half precision and the settings that go with them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: w.half().contiguous() for name, w in model.state_dict().items()}, folder / _WEIGHTS)
    (folder / _CONFIG).write_text(json.dumps(settings, indent=2) + "\n")


def load_settings(folder: Path, what: str, expected: dict[str, Any]) -> dict[str, Any]:
    """The settings kept beside `what`'s weights.

    Raises FileNotFoundError where a file is missing and ValueError where a setting is not the `expected` one.
    """
    for name in (_WEIGHTS, _CONFIG):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{what}: {folder} has no {name}; train it or restore the assets")
    settings: dict[str, Any] = json.loads((folder / _CONFIG).read_text())
    for name, value in expected.items():
        if settings.get(name) != value:
            raise ValueError(
                f"{what}: {folder} was trained on {name} {settings.get(name)}, this world has {value}; train it again"
            )
    return settings


def load_weights(folder: Path, model: nn.Module) -> None:
    """Fill a model with the kept weights, in float32, and set it to scoring."""
    model.load_state_dict({name: weight.to(torch.float32) for name, weight in load_file(folder / _WEIGHTS).items()})
    model.eval()


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(outputs // 8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(outputs // 8, outputs),
        nn.SiLU(),
    )


class UNet(nn.Module):
    """Images [B, inputs, H, W] in 0..1, whose sides halve once for each level but the first, to [B, outputs, H, W]."""

    def __init__(self, channels: tuple[int, ...], outputs: int, inputs: int = 3) -> None:
        super().__init__()
        self.channels = channels
        widths = (inputs, *channels[:-1])
        self.down = nn.ModuleList(_convolutions(i, o) for i, o in zip(widths, channels, strict=True))
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.up = nn.ModuleList(_convolutions(deep + shallow, shallow) for deep, shallow in pairs)
        self.head = nn.Conv2d(channels[0], outputs, 1)

    def levels(self, images: Tensor) -> list[Tensor]:
        """Features [B, C, H / 2^i, W / 2^i] of every level on the way down."""
        x, features = images * 2 - 1, []
        for i, level in enumerate(self.down):
            x = level(F.avg_pool2d(x, 2) if i else x)
            features.append(x)
        return features

    def forward(self, images: Tensor) -> Tensor:
        features = self.levels(images)
        x = features[-1]
        for level, skip in zip(self.up, reversed(features[:-1]), strict=True):
            x = level(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        scores: Tensor = self.head(x)
        return scores

    def check(self, images: Tensor, what: str) -> None:
        """Raises ValueError where images are no pictures, or of a size that does not halve often enough."""
        least = 2 ** (len(self.channels) - 1)
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % least or images.shape[3] % least:
            raise ValueError(
                f"{what}: images {tuple(images.shape)}, needs [B, 3, H, W] with sides divisible by {least}"
            )


class Segmenter(UNet):
    """Images [B, 3, H, W] in 0..1 to class scores [B, 9, H, W]."""

    def __init__(self, channels: tuple[int, ...] = SEGMENTER_CHANNELS) -> None:
        super().__init__(channels, len(CLASSES))

    @torch.no_grad()
    def segment(self, images: Tensor) -> Tensor:
        """Labels int64 [B, H, W] of images [B, 3, H, W] in 0..1. Raises ValueError where the sides do not fit."""
        self.check(images, "segmenter")
        return self(images).argmax(dim=1)

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """The features of `levels`, to compare pictures by. Raises ValueError where the sides do not fit."""
        self.check(images, "segmenter")
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


class DepthReader(UNet):
    """Images [B, 3, H, W] in 0..1 to how near everything in them is [B, H, W], 0 the sky, 1 the lower edge."""

    def __init__(self, channels: tuple[int, ...] = DEPTH_CHANNELS) -> None:
        super().__init__(channels, outputs=1, inputs=4)

    def forward(self, images: Tensor) -> Tensor:
        rows = torch.linspace(0, 1, images.shape[2], device=images.device).to(images.dtype)
        height = rows[:, None].expand(len(images), 1, -1, images.shape[3])  # the ground is near by its row
        return super().forward(torch.cat([images, height], dim=1))[:, 0].sigmoid()

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """The same, without gradients. Raises ValueError where the sides do not fit."""
        self.check(images, "depth reader")
        return self(images)

    def save(self, folder: Path) -> None:
        """Weights in half precision and the sizes that go with them."""
        save_weights(folder, self, {"channels": list(self.channels)})

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Ready to read, in float32. Raises FileNotFoundError with what is missing."""
        model = cls(tuple(load_settings(Path(folder), "depth reader", {})["channels"]))
        load_weights(Path(folder), model)
        return model


def class_iou(made: Tensor, truth: Tensor) -> dict[str, float]:
    """Intersection over union of every class that either label tensor holds; both of one shape."""
    shares = {}
    for number, name in enumerate(CLASSES):
        ours, theirs = made == number, truth == number
        either = int((ours | theirs).sum())
        if either:
            shares[name] = int((ours & theirs).sum()) / either
    return shares


@dataclass(frozen=True)
class PictureWords:
    """What a reader sees in one picture; None for what it never learned to tell."""

    time: Time
    season: Season
    weather: Weather | None = None
    style: Style | None = None


class Reader(nn.Module):
    """Images [B, 3, H, W] in 0..1 to scores of the times, seasons, weathers and styles, [B, choices] by head.

    One that was trained before there was weather has the first two `heads` only.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = READER_CHANNELS,
        side: int = READER_SIDE,
        heads: tuple[str, ...] = tuple(HEADS),
    ) -> None:
        super().__init__()
        self.channels, self.side, self.heads = channels, side, heads
        inputs = (3, *channels[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(o // 8, o), nn.SiLU())
            for i, o in zip(inputs, channels, strict=True)
        )
        for head in heads:
            self.add_module(f"{head}_head", nn.Linear(2 * channels[-1], len(HEADS[head])))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = F.interpolate(images, (self.side, self.side), mode="area") * 2 - 1
        for i, level in enumerate(self.levels):
            x = level(F.avg_pool2d(x, 2) if i else x)
        seen = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)  # [B, 2 * channels]
        return {head: self.get_submodule(f"{head}_head")(seen) for head in self.heads}

    @torch.no_grad()
    def read(self, images: Tensor) -> list[PictureWords]:
        """What images [B, 3, H, W] in 0..1 show."""
        best = {head: scores.argmax(dim=1).tolist() for head, scores in self(images).items()}
        chosen = [[HEADS[head][number] for number in numbers] for head, numbers in best.items()]
        return [PictureWords(**cast(Any, dict(zip(best, words, strict=True)))) for words in zip(*chosen, strict=True)]

    def save(self, folder: Path) -> None:
        """Weights in half precision and what they tell apart."""
        known = {f"{head}s": list(HEADS[head]) for head in self.heads}
        save_weights(folder, self, {"channels": list(self.channels), "side": self.side, **known})

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Ready to read, in float32. Raises FileNotFoundError or ValueError with what is missing."""
        settings = load_settings(Path(folder), "reader", {f"{head}s": list(choices) for head, choices in MOOD.items()})
        heads = heads_of(Path(folder))
        load_settings(Path(folder), "reader", {f"{head}s": list(HEADS[head]) for head in heads})
        model = cls(tuple(settings["channels"]), settings.get("side", MOOD_SIDE), heads)
        load_weights(Path(folder), model)
        return model


def heads_of(folder: Path) -> tuple[str, ...]:
    """What the reader kept in a folder tells, by its own settings; nothing where none is there."""
    config = folder / _CONFIG
    settings = json.loads(config.read_text()) if config.exists() else {}
    return tuple(head for head in HEADS if f"{head}s" in settings)
