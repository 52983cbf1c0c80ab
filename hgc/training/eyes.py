"""Training of the networks that look at pictures, with checkpoints and a record of their losses."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hgc.landscapes.eyes import (
    DEPTH_CHANNELS,
    HEADS,
    READER_CHANNELS,
    READER_SIDE,
    SEGMENTER_CHANNELS,
    DepthReader,
    Reader,
    Segmenter,
)
from hgc.landscapes.labels import CLASSES
from hgc.landscapes.relief import WHITE
from hgc.training.checkpoint import begin_stage, save_stage
from hgc.training.compute import Compute, generator
from hgc.training.optim import Pair
from hgc.training.pace import Budget, warm_constant_decay

log = logging.getLogger(__name__)

DECAY_FROM = 0.4
SEGMENTER_STAGE = 3
RARE = ("sun_moon", "path", "tree", "house")
READER_STAGE = 4
DEPTH_STAGE = 6


class Rates(Protocol):
    """The pace of a training: base rates, warm-up in steps, steps between checkpoints."""

    @property
    def rate(self) -> float: ...
    @property
    def matrix_rate(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def save_every(self) -> int: ...


def fit(
    name: str,
    model: nn.Module,
    prepared: Callable[[], Callable[[int], Tensor]],
    plan: Rates,
    budget: Budget,
    work: Path,
) -> None:
    """Train `model`, or go on training it, with state in `work`/`name`.ckpt; it is left ready to score.

    `prepared` is called only where steps are left to do; what it gives is asked for the loss of each step.
    """
    optimizer = Pair(model, plan.rate, plan.matrix_rate)
    parts, path = {"model": model, "optimizer": optimizer}, work / f"{name}.ckpt"
    pace, losses = begin_stage(path, parts, budget)
    if pace.finished():
        model.eval()
        return
    loss_of = prepared()
    model.train()
    while not pace.finished():
        loss = loss_of(pace.step)
        loss.backward()
        optimizer.step(warm_constant_decay(pace.step, pace.progress, plan.warmup, DECAY_FROM))
        pace.step += 1
        if pace.step % 20 == 0:
            losses.append([pace.step, round(float(loss.detach()), 5)])
            log.info("%s %s", name, json.dumps({"at": losses[-1], "progress": round(pace.progress, 4)}))
        if pace.time_to_save(plan.save_every):
            save_stage(path, parts, pace, losses)
    save_stage(path, parts, pace, losses)
    model.eval()


@dataclass(frozen=True)
class SegmenterPlan:
    """Channels of the levels from full size to 1/16; cut-outs in pixels; how much more a rare class's pixel counts.

    Whole pictures: in a cut-out of a hand-like drawing, where things are large, nobody could tell what they are.
    """

    channels: tuple[int, ...] = SEGMENTER_CHANNELS
    batch: int = 2
    crop: int = 256
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
            images, answers = _cutouts(pictures, labels, plan.batch, plan.crop, generator(seed, SEGMENTER_STAGE, step))
            with compute.autocast():
                scores = model(compute.put(images)).float()
            return F.cross_entropy(scores, compute.put(answers.long()), weight=weights)

        return loss_of

    fit("segmenter", model, prepared, plan, budget, work)
    return model


def _cutouts(pictures: Tensor, labels: Tensor, batch: int, crop: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cut-outs of pictures and of what is to be read in them.

    Half of them are softened and made grainy, because generated pictures are.
    """
    picks = torch.randint(len(pictures), (batch,), generator=draw).tolist()
    tops, lefts = torch.randint(pictures.shape[1] - crop + 1, (2, batch), generator=draw).tolist()
    spans = [(i, slice(y, y + crop), slice(x, x + crop)) for i, y, x in zip(picks, tops, lefts, strict=True)]
    images = torch.stack([pictures[span] for span in spans]).permute(0, 3, 1, 2).float() / 255
    answers = torch.stack([labels[span] for span in spans])
    half = batch // 2
    soft = F.interpolate(F.avg_pool2d(images[:half], 2), scale_factor=2.0, mode="bilinear")
    share = torch.rand(half, 1, 1, 1, generator=draw)
    grain = 0.02 * torch.randn(soft.shape, generator=draw)
    images = torch.cat([(images[:half] * (1 - share) + soft * share + grain).clamp(0, 1), images[half:]])
    if float(torch.rand(1, generator=draw)) < 0.5:
        images, answers = images.flip(3), answers.flip(2)
    return images, answers


@dataclass(frozen=True)
class DepthReaderPlan:
    """Channels of the levels from full size to 1/32, and the pace; pictures are whole, as the ground is one plane."""

    channels: tuple[int, ...] = DEPTH_CHANNELS
    batch: int = 4
    rate: float = 3e-3
    matrix_rate: float = 0.02
    warmup: int = 20
    save_every: int = 200


def train_depth_reader(
    painted: Callable[[], tuple[Tensor, Tensor]],
    plan: DepthReaderPlan,
    budget: Budget,
    compute: Compute,
    work: Path,
    seed: int,
) -> DepthReader:
    """Train, or go on training, with state kept in `work`; `painted` gives pictures and nearness if still needed."""
    torch.manual_seed(seed)
    model = DepthReader(plan.channels).to(compute.device, memory_format=compute.layout)  # type: ignore[call-overload]

    def prepared() -> Callable[[int], Tensor]:
        pictures, near = painted()

        def loss_of(step: int) -> Tensor:
            draw = generator(seed, DEPTH_STAGE, step)
            images, answers = _cutouts(pictures, near, plan.batch, pictures.shape[1], draw)
            with compute.autocast():
                read = model(compute.put(images)).float()
            return F.l1_loss(read, compute.put(answers.float() / WHITE))

        return loss_of

    fit("depth_reader", model, prepared, plan, budget, work)
    return model


@dataclass(frozen=True)
class ReaderPlan:
    """Channels of the levels from `side` in pixels down to a sixteenth of it, and the pace."""

    channels: tuple[int, ...] = READER_CHANNELS
    side: int = READER_SIDE
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
    """Train, or go on training, with state kept in `work`; `painted` gives pictures and words if still needed."""
    torch.manual_seed(seed)
    model = Reader(plan.channels, plan.side).to(compute.device)

    def prepared() -> Callable[[int], Tensor]:
        pictures, words = painted()

        def loss_of(step: int) -> Tensor:
            images, answers = drawn_words(pictures, words, plan.batch, generator(seed, READER_STAGE, step))
            scores = model(images.to(compute.device))
            truths = answers.to(compute.device).unbind(dim=1)
            return torch.stack(
                [F.cross_entropy(scores[head], truth) for head, truth in zip(HEADS, truths, strict=True)]
            ).sum()

        return loss_of

    fit("reader", model, prepared, plan, budget, work)
    return model


def drawn_words(pictures: Tensor, words: Tensor, batch: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures as a model might draw them: mirrored, grainy, each channel a little brighter or darker."""
    picks = torch.randint(len(pictures), (batch,), generator=draw)
    images = pictures[picks].permute(0, 3, 1, 2).float() / 255
    gain = 1 + 0.04 * torch.randn(batch, 3, 1, 1, generator=draw)
    grain = 0.02 * torch.randn(images.shape, generator=draw)
    images = (images * gain + grain).clamp(0, 1)
    mirrored = torch.rand(batch, generator=draw) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images), words[picks]
