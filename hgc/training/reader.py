"""Training of the network that reads time of day and season back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from hgc.landscapes.reader import CHANNELS, Reader
from hgc.training.compute import Compute, generator
from hgc.training.pace import Budget
from hgc.training.supervised import fit

STAGE = 4


@dataclass(frozen=True)
class ReaderPlan:
    """Channels of the levels from SIDE down to an eighth of it, and the pace."""

    channels: tuple[int, ...] = CHANNELS
    batch: int = 32
    rate: float = 3e-3
    matrix_rate: float = 0.02
    warmup: int = 20
    save_every: int = 200


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
