"""Training of a small network on painted answers: pace, checkpoints and the record of its losses."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from hgc.training.checkpoint import load_checkpoint, save_checkpoint
from hgc.training.optim import Pair
from hgc.training.pace import Budget, Pace, warm_constant_decay

log = logging.getLogger(__name__)

DECAY_FROM = 0.4


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
    pace, losses, path = Pace(budget), [], work / f"{name}.ckpt"
    if path.exists():
        state: dict[str, Any] = load_checkpoint(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        pace, losses = Pace(budget, state["step"], state["spent_s"]), state["losses"]

    def save() -> None:
        record = {"step": pace.step, "spent_s": pace.spent_s, "losses": losses}
        save_checkpoint(path, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), **record})

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
            save()
    save()
    model.eval()
