"""Training of the network that reads label maps back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from hgc.landscapes.labels import CLASSES
from hgc.landscapes.segmenter import CHANNELS, Segmenter
from hgc.training.compute import Compute, generator
from hgc.training.pace import Budget
from hgc.training.supervised import fit

STAGE = 3
RARE = ("sun_moon", "path", "tree", "house")


@dataclass(frozen=True)
class SegmenterPlan:
    """Channels of the levels from full size to 1/16; cut-outs in pixels; how much more a rare class's pixel counts."""

    channels: tuple[int, ...] = CHANNELS
    batch: int = 8
    crop: int = 128
    rare_weight: float = 1.0
    rate: float = 3e-3
    matrix_rate: float = 0.02
    warmup: int = 20
    save_every: int = 200


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
