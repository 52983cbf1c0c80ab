"""Joint training of text encoder, UNet and the ControlNets on the encoded scenes."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from transformers import CLIPTokenizer

from hgc.training.batch import Batch, Prompts, Shares, draw_batch
from hgc.training.checkpoint import begin_stage, save_stage
from hgc.training.company import Company
from hgc.training.compute import Compute
from hgc.training.dataset import Dataset
from hgc.training.denoiser import Denoiser, DenoiserPlan, build_scheduler, forget_unseen_words
from hgc.training.obedience import Obedience, ObedienceReader
from hgc.training.optim import Pair
from hgc.training.pace import Budget, Pace, warm_constant_decay

log = logging.getLogger(__name__)

STAGE = 2


@dataclass(frozen=True)
class DiffusionPlan:
    """Sizes, batch make-up and pace of the joint training.

    `shares` are the samples of a batch under each control. `sides` are (until which share of the way, latents on a
    side): small cut-outs first, several times the images a second while colours, words and obedience are learnt;
    whole pictures at the end. `obedience` is how much the labels read back from the promised picture count.
    """

    sizes: DenoiserPlan = field(default_factory=DenoiserPlan)
    shares: Shares = field(default_factory=Shares)
    rate: float = 1e-3
    matrix_rate: float = 0.01
    warmup: int = 80
    decay_from: float = 0.7
    ema: float = 0.998
    prompt_dropout: float = 0.11
    snr_cap: float = 5.0
    obedience: float = 0.1
    sides: tuple[tuple[float, int], ...] = ((0.07, 16), (0.24, 24))
    save_every: int = 200


def diffusion_loss(
    model: Denoiser,
    batch: Batch,
    alphas: Tensor,
    snr_cap: float,
    obedience: Obedience,
    compute: Compute,
    draw: torch.Generator,
) -> Tensor:
    """v-prediction error, lighter where little noise is left, and how badly the promised pictures obey their maps.

    After min-SNR (arXiv 2303.09556), but never zero at pure noise: the last step decides the whole palette.
    """
    count = len(batch.latents)
    steps = torch.randint(len(alphas), (count,), generator=draw)
    noise = torch.randn(batch.latents.shape, generator=draw)
    alpha = alphas[steps]
    signal, blur = alpha.sqrt().view(-1, 1, 1, 1), (1 - alpha).sqrt().view(-1, 1, 1, 1)
    noisy, target = signal * batch.latents + blur * noise, signal * noise - blur * batch.latents
    snr = alpha / (1 - alpha).clamp(min=1e-6)
    weight = (snr + 1).clamp(max=snr_cap + 1) / (snr + 1)
    with compute.autocast():
        made = model(
            compute.put(noisy),
            compute.put(steps),
            compute.put(batch.ids),
            [compute.put(control) for control in batch.controls],
        )
        mapped = slice(len(batch.labels))
        promised = compute.put(signal * noisy)[mapped] - compute.put(blur)[mapped] * made[mapped]
        disobeyed = obedience.loss(promised, compute.put(batch.labels), compute.put(alpha)[mapped])
    error = ((made.float() - compute.put(target)) ** 2 * compute.put(batch.emphasis)).mean(dim=(1, 2, 3))
    return (error * compute.put(weight)).mean() + disobeyed


def train_denoiser(
    dataset: Dataset,
    tokenizer: CLIPTokenizer,
    reader: ObedienceReader,
    plan: DiffusionPlan,
    budget: Budget,
    compute: Compute,
    work: Path,
    seed: int,
    on_save: Callable[[Denoiser, int], None] | None = None,
    company: Company | None = None,
) -> Denoiser:
    """Train, or go on training; returns the averaged weights. `on_save` is shown them at every checkpoint.

    In a company each process takes steps of its own; `budget` counts those of one.
    """
    torch.manual_seed(seed)
    company = company or Company()
    training = _Training.begun(plan, tokenizer, budget, compute, work / "denoiser.ckpt", company)
    model, pace = training.model, training.pace
    prompts = Prompts(_tokens(tokenizer, dataset.captions), _tokens(tokenizer, [""])[0], plan.prompt_dropout)
    alphas = build_scheduler().alphas_cumprod.float()
    obedience = Obedience(reader, compute.put(torch.from_numpy(dataset.class_weights)), plan.obedience)
    whole = dataset.latents.shape[-1]
    model.train()
    model.attend_for_training()
    over = pace.finished()
    while not over:
        draw = company.generator(seed, STAGE, pace.step)
        side = next((side for until, side in plan.sides if pace.progress < until), whole)
        batch = draw_batch(dataset, prompts, plan.shares, side, draw)
        loss = diffusion_loss(model, batch, alphas, plan.snr_cap, obedience, compute, draw)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        training.step(warm_constant_decay(pace.step, pace.progress, plan.warmup, plan.decay_from))
        training.note(float(loss.detach()), side)
        if pace.time_to_save(plan.save_every):
            training.save(on_save)
        over = company.over(pace)
    training.save(on_save)
    return training.averaged


@dataclass
class _Training:
    """The state of a training, which a checkpoint keeps and a later one goes on from."""

    model: Denoiser
    optimizer: Pair
    average: Any
    path: Path
    company: Company
    pace: Pace
    losses: list[list[float]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)

    @classmethod
    def begun(
        cls,
        plan: DiffusionPlan,
        tokenizer: CLIPTokenizer,
        budget: Budget,
        compute: Compute,
        path: Path,
        company: Company,
    ) -> "_Training":
        """Anew, or as the checkpoint has it. Raises CheckpointError for a damaged one."""
        model = Denoiser(plan.sizes, tokenizer).to(compute.device, memory_format=compute.layout)  # type: ignore[call-overload]
        forget_unseen_words(model, tokenizer)
        optimizer = Pair(model, plan.rate, plan.matrix_rate)
        average: Any = AveragedModel(model, multi_avg_fn=_growing(plan.ema))
        parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "average": average}
        pace, losses = begin_stage(path, parts, budget)
        return cls(**parts, path=path, company=company, pace=pace, losses=losses)

    @property
    def averaged(self) -> Denoiser:
        averaged: Denoiser = self.average.module.eval()
        return averaged

    def step(self, rate: float) -> None:
        """One step of the optimizer, by the gradients that there are."""
        self.optimizer.step(rate)
        self.pace.step += 1
        self.average.update_parameters(self.model)
        if self.company.meets(self.pace):
            self.company.average(list(self.model.parameters()))
            self.company.average(list(self.averaged.parameters()))

    def note(self, loss: float, side: int) -> None:
        """Keeps the mean of every twenty losses."""
        self.recent.append(loss)
        if self.pace.step % 20 == 0:
            self.losses.append([self.pace.step, round(sum(self.recent) / len(self.recent), 5)])
            self.recent.clear()
            news = {"at": self.losses[-1], "progress": round(self.pace.progress, 4), "side": side}
            log.info("denoiser %s", json.dumps(news))

    def save(self, on_save: Callable[[Denoiser, int], None] | None) -> None:
        """Writes the checkpoint, then shows the averaged weights; the first of a company does."""
        if self.company.number:
            return
        parts = {"model": self.model, "optimizer": self.optimizer, "average": self.average}
        save_stage(self.path, parts, self.pace, self.losses)
        if on_save:
            on_save(self.averaged, self.pace.step)


def _growing(decay: float) -> Callable[[Any, Any, Any], None]:
    """Takes the latest weights into an average whose memory grows with the steps taken, up to `decay`."""

    def mix(average: Any, latest: Any, steps: Any) -> None:
        torch._foreach_lerp_(average, latest, 1 - min(decay, (1 + int(steps)) / (10 + int(steps))))

    return mix


def _tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    length = tokenizer.model_max_length
    ids = tokenizer(captions, padding="max_length", truncation=True, max_length=length)["input_ids"]
    return torch.tensor(ids)
