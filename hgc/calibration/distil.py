"""Scale-shift adjustment by distillation: lines fitted so that a cached run follows the uncached one, networks frozen.

Block Caching (arXiv 2312.03209, sec. 3.3) learns scale and shift of every reused output with the uncached denoiser as
the teacher. How the teacher is followed is ours: in every step of a whole cached run the lines of that step are moved
to bring its latents nearer to those of the uncached run from the same noise. The cached run goes on from its own
latents, so that later lines make up for what earlier ones left; no gradient runs from step to step, so that memory is
that of one step. Where little is computed, steps feed on each other's errors, and fitting may lead astray: other scenes
show which lines end nearer, those fitted or those in closed form that it started from. Unlike the closed form
(`adjustment`), what is found holds for one plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from inspect import unwrap
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from statistics import geometric_mean
from typing import Any, NamedTuple

import numpy as np
import torch

from hgc.cache.anatomy import Kind
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.calibration.files import write_whole
from hgc.calibration.lines import Adjustment

JUDGING_FROM = 10_000  # number of the first scene that decides whether the fitted lines are better
LEAST_DISTANCE = 1e-6  # in a following error: that of the same latents is none
RATE = 0.01  # how far a scale moves at first in one update; a shift moves by that share of its site's spread

Scene = Callable[[int], Mapping[str, Any]]  # its number to the arguments of the pipeline's call
Told = Callable[[int, int, float], None]  # rounds done, rounds wanted, following error of the last one
Key = tuple[str, int, int]  # a site, the step its value is of, and the step it is used in


@dataclass(frozen=True)
class Fit:
    """How lines are fitted: every round takes each of so many scenes once."""

    scenes: int = 8
    rounds: int = 10
    rate: float = RATE

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.rounds < 1 or not 0 < self.rate <= 1:
            raise CalibrationRefused(
                f"distillation over {self.scenes} scenes in {self.rounds} rounds at rate {self.rate}: at least one of "
                "each, and a rate above 0 and at most 1"
            )


class Distillate(NamedTuple):
    """Lines for one plan, and whether they were fitted or are those in closed form, which ended nearer."""

    lines: Adjustment
    fitted: bool


class Moving:
    """A plan's lines on the move from where they started; a run takes them as it takes an adjustment."""

    def __init__(self, start: Adjustment, spread: Mapping[str, float], device: torch.device) -> None:
        self.digest = start.digest
        self._start, self._spread, self._device = start, spread, device
        self.moves: dict[Key, torch.Tensor] = {}  # [2, C]: of scale, and of shift in units of the site's spread
        self._used: list[Key] = []

    def at(self, site: str, since: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift [C], as `Adjustment.at`."""
        scale, shift = (
            torch.from_numpy(n.astype(np.float32)).to(self._device) for n in self._start.at(site, since, step)
        )
        key = site, since, step
        if key not in self.moves:
            self.moves[key] = torch.zeros(2, len(scale), device=self._device, requires_grad=True)
        self._used.append(key)
        return scale + self.moves[key][0], shift + self._spread[site] * self.moves[key][1]

    def taken(self) -> list[torch.Tensor]:
        """The moves that were taken since this was last asked."""
        used, self._used = self._used, []
        return [self.moves[key] for key in used]

    def go_back(self) -> None:
        """To where they started."""
        with torch.no_grad():
            for move in self.moves.values():
                move.zero_()

    def arrived(self) -> Adjustment:
        """The lines as they stand, in half precision; those that the plan does not take change nothing."""
        scale = {site: np.ones_like(numbers) for site, numbers in self._start.scale.items()}
        shift = {site: np.zeros_like(numbers) for site, numbers in self._start.shift.items()}
        for (site, since, step), move in self.moves.items():
            by_scale, by_shift = move.detach().cpu().numpy().astype(np.float16)
            of_scale, of_shift = self._start.at(site, since, step)
            scale[site][step, step - since - 1] = of_scale + by_scale
            shift[site][step, step - since - 1] = of_shift + np.float16(self._spread[site]) * by_shift
        return Adjustment(self._start.subject, scale, shift)


def distil(
    pipe: Any,
    plan: Plan,
    start: Adjustment,
    scene: Scene,
    fit: Fit,
    *,
    state: Path,
    told: Told = lambda done, wanted, error: None,
) -> Distillate:
    """The adjustment that lets `plan`, which forecasts with `start`, follow full runs of the scenes.

    It is `start` as far as the plan takes it, where that ends nearer to the full runs of as many scenes from
    JUDGING_FROM on.

    `state` holds what was fitted so far, written whole after every round; a later call with the same plan, start and
    fit goes on from it and ends the same. Raises CalibrationRefused when it is damaged or of something else.
    """
    header = {"plan": plan.digest, "start": start.digest, "fit": str(fit)}
    begun = _read(state, header)
    calls = [_latents_of(scene(number), plan) for number in range(fit.scenes)]
    spread: dict[str, float] = {}
    teachers = [trajectory(pipe, call, spread if i == 0 else None) for i, call in enumerate(calls)]
    lines = Moving(start, spread, teachers[0][0].device)
    with frozen(Networks.of(pipe)):
        follow(pipe, plan, calls[0], teachers[0], lines)  # tells which lines the plan takes
        optimiser = torch.optim.Adam(lines.moves.values(), fit.rate)
        if begun:
            _restore(begun, lines, optimiser)
        for done in range(begun["rounds"] if begun else 0, fit.rounds):
            for group in optimiser.param_groups:
                group["lr"] = fit.rate * (1 - done / fit.rounds)
            error = 0.0
            for call, teacher in zip(calls, teachers, strict=True):
                optimiser.zero_grad()
                error += follow(pipe, plan, call, teacher, lines, learn=True) / fit.scenes
                optimiser.step()
            moves = [move.detach() for move in lines.moves.values()]
            _write(state, header | {"rounds": done + 1, "moves": moves, "optimiser": optimiser.state_dict()})
            told(done + 1, fit.rounds, error)
        others = [_latents_of(scene(JUDGING_FROM + number), plan) for number in range(fit.scenes)]
        ends = [(call, trajectory(pipe, call)) for call in others]
        before, after = (_typical([follow(pipe, plan, *end, arm) for end in ends]) for arm in (start, lines))
        fitted = after <= before  # not so where fitting ended in no number at all
        if not fitted:
            lines.go_back()
    return Distillate(lines.arrived(), fitted)


def _typical(distances: Sequence[float]) -> float:
    """Their geometric mean, as PSNR takes it: one scene that goes astray does not outweigh all others."""
    return geometric_mean(distance + LEAST_DISTANCE for distance in distances)


def _latents_of(call: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The arguments of a scene's call for so many steps, up to the last latents."""
    return {**call, "num_inference_steps": plan.steps, "output_type": "latent"}


def trajectory(pipe: Any, call: Mapping[str, Any], spread: dict[str, float] | None = None) -> list[torch.Tensor]:
    """The latents after every step of an uncached run; `spread` is told each site's standard deviation."""
    latents: list[torch.Tensor] = []

    def after_step(_pipe: Any, _step: int, _time: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        latents.append(state["latents"].clone())
        return {}

    def witness(_kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        if spread is not None and step == 0:
            spread[site] = float(value.float().std())

    whole = Plan(Origin("full"), call["num_inference_steps"], "any")
    with nullcontext() if spread is None else cached(pipe, whole, witness=witness):
        pipe(**call, callback_on_step_end=after_step)
    return latents


def follow(
    pipe: Any,
    plan: Plan,
    call: Mapping[str, Any],
    teacher: Sequence[torch.Tensor],
    lines: Adjustment | Moving | None = None,
    *,
    learn: bool = False,
) -> float:
    """The following error of a cached run: the root mean square of its last latents' distance over that of theirs.

    With `learn`, every step leaves its gradient on the lines it took.
    """
    last = teacher[-1]

    def after_step(_pipe: Any, step: int, _time: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal last
        latents, taken = state["latents"], lines.taken() if isinstance(lines, Moving) else []
        if learn and taken and latents.requires_grad:
            (latents - teacher[step]).float().square().mean().backward(inputs=taken)
        last = latents.detach()
        return {"latents": last}

    # The pipeline's call switches gradients off for itself: what it wraps does not.
    run = unwrap(type(pipe).__call__)
    with cached(pipe, plan, adjustment=lines), torch.set_grad_enabled(learn):
        run(pipe, **call, callback_on_step_end=after_step)
    return float((last - teacher[-1]).float().norm() / teacher[-1].float().norm())


@contextmanager
def frozen(networks: Networks) -> Iterator[None]:
    """While the block runs no weight of the networks asks for a gradient."""
    weights = [(weight, weight.requires_grad) for net in networks.all for weight in net.parameters()]
    try:
        for weight, _ in weights:
            weight.requires_grad_(False)
        yield
    finally:
        for weight, learning in weights:
            weight.requires_grad_(learning)


def _write(state: Path, progress: Mapping[str, Any]) -> None:
    buffer = BytesIO()
    torch.save(dict(progress), buffer)
    data = buffer.getvalue()
    write_whole(state, sha256(data).digest() + data)


def _read(state: Path, header: Mapping[str, str]) -> dict[str, Any] | None:
    """The state of an unfinished distillation, if there is one."""
    if not state.exists():
        return None
    where, data = f"unfinished distillation {state.name}", state.read_bytes()
    try:
        if sha256(data[32:]).digest() != data[:32]:
            raise ValueError("its sum is wrong")
        progress: dict[str, Any] = torch.load(BytesIO(data[32:]), weights_only=True)
    except (ValueError, RuntimeError, UnpicklingError, EOFError) as error:
        raise CalibrationRefused(
            f"{where}: cut off or something else ({error}); delete it and start it again"
        ) from error
    for name, value in header.items():
        if progress.get(name) != value:
            raise CalibrationRefused(
                f"{where}: its {name} is {progress.get(name)}, this one's {value}; delete the file"
            )
    return progress


def _restore(begun: Mapping[str, Any], lines: Moving, optimiser: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for move, moved in zip(lines.moves.values(), begun["moves"], strict=True):
            move.copy_(moved)
    optimiser.load_state_dict(begun["optimiser"])
