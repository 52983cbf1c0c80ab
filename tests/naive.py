"""A plan carried out naively: every module runs in every step, and what the plan keeps is put in its output's place.

None of it is the engine's: modules are found by the dotted names of sites, who is consumed is read off autograd's
graph, both guidance branches always run, and forecasts are fitted to the values themselves.
"""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import factorial
from typing import Any

import numpy as np
import tiny
import torch

from hgc.cache.forecast import Lines, by_frequency
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, ForecastRule

PREDICTION, UNGUIDED = "unet", "guidance.unguided"


@dataclass(frozen=True, eq=False)
class Past:
    """A value of one image by branch; the unguided half is None where that branch was left out."""

    step: int
    unguided: torch.Tensor | None
    guided: torch.Tensor


@dataclass
class Naive:
    """One pass; `states[site]` is a letter a step: computed, reused, forecast, or `.` where nobody consumed it."""

    pipe: Any
    plan: Plan
    guidance: bool
    lines: Lines | None = None
    states: dict[str, str] = field(default_factory=lambda: defaultdict(str))
    _past: dict[tuple[str, int], list[Past]] = field(default_factory=lambda: defaultdict(list))
    _met: list[tuple[str, int, str, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    _calls: Counter[tuple[str, int]] = field(default_factory=Counter)  # in this step, of each module of a site
    _samples: list[torch.Tensor] = field(default_factory=list)  # the UNet's input of every step, guided
    _step: int = 0

    def latents(self, sites: Iterable[str], **call: Any) -> torch.Tensor:
        hooks = [
            module.register_forward_hook(lambda _m, _a, out, site=site, part=part: self._stand_in(site, part, out))
            for site in sites
            if site not in (PREDICTION, UNGUIDED)
            for part, module in enumerate(modules_of(self.pipe, site))
        ]
        hooks.append(self.pipe.unet.register_forward_hook(lambda _m, given, out: self._close(given[0], out)))
        hooks += [layer.attn.register_forward_hook(self._reads_itself) for layer in mixers(self.pipe)]
        hooks += [net.register_forward_hook(_cut_off, with_kwargs=True) for net in controlnets(self.pipe)]
        guidance = 4.0 if self.guidance else 1.0
        call = tiny.arguments(self.pipe, steps=self.plan.steps, guidance=guidance, **call)
        with_gradients = inspect.unwrap(type(self.pipe).__call__)
        try:
            found = with_gradients(self.pipe, **call)
        finally:
            for hook in hooks:
                hook.remove()
        return found.images.detach()

    def _letter(self, site: str) -> str:
        return self.plan.table.get(site, "C" * self.plan.steps)[self._step]

    @property
    def _alone(self) -> bool:
        return self.guidance and self._letter(UNGUIDED) != "C"

    def _reads_itself(self, layer: Any, given: Any, out: Any) -> Any:
        """In a Union network samples of one batch read each other; a branch that is left alone reads itself."""
        if not self._alone or len(given[0]) == 1:
            return out
        guided = layer(*(value[1:] for value in given), need_weights=False)[0]
        return torch.cat([out[0][:1], guided]), None

    def _stand_in(self, site: str, part: int, out: Any) -> Any:
        self._calls[site, part] += 1
        part += self._calls[site, part] - 1  # a Union network's map embedding is called once a map
        value = out[0] if isinstance(out, tuple) else out
        kept = self._kept(site, part, value)
        # A copy is a node of its own in the graph, whatever the module handed on; another is safe from writers.
        marked = (value if kept is None else kept.detach().requires_grad_()).clone()
        self._met.append((site, part, "C" if kept is None else self._letter(site), marked, marked.detach().clone()))
        return (marked, *out[1:]) if isinstance(out, tuple) else marked

    def _kept(self, site: str, part: int, value: torch.Tensor) -> torch.Tensor | None:
        """What stands in for a value; None where it is to be computed, or never was for these branches."""
        past = self._past[site, part]
        if self._letter(site) == "C" or not past:
            return None
        if len(value) == 1:
            return self._onward(site, past, [entry.guided for entry in past])
        if self._alone:
            averaged = self.plan.fusion == "average" and site.endswith((".attn1", ".attn2"))
            guided = [_mean(entry) if averaged else entry.guided for entry in past]
            return torch.cat([value[:1], self._onward(site, past, guided)])
        both = [entry for entry in past if entry.unguided is not None]
        if not both:
            return None
        unguided = self._onward(site, both, [entry.unguided for entry in both if entry.unguided is not None])
        return torch.cat([unguided, self._onward(site, past, [entry.guided for entry in past])])

    def _onward(self, site: str, past: Sequence[Past], values: Sequence[torch.Tensor]) -> torch.Tensor:
        rule = self.plan.forecast_of(site) if self._letter(site) == "F" else REPEAT
        if rule.basis == "residual":
            moved = self._samples[self._step] - self._samples[past[-1].step]
            return values[-1] + moved[:, : values[-1].shape[1]]  # an inpainting UNet is given more than the latents
        return onward(rule, [entry.step for entry in past], values, self._step, site, self.lines)

    def _close(self, sample: torch.Tensor, out: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        """The end of a step: what was consumed is remembered, and the guidance branches are joined."""
        self._samples.append(sample[-1:].detach().clone())
        prediction = self._stand_in(PREDICTION, 0, out[0])
        alive = _reached(prediction)
        for site, part, letter, value, copy in self._met:
            if part == 0:
                self.states[site] += letter if value.grad_fn in alive else "."
            if letter == "C" and value.grad_fn in alive:
                self._remember(site, part, copy)
        whole = self._joined(prediction.detach(), computed=self._met[-1][2] == "C")
        self._met.clear()
        self._calls.clear()
        self._step += 1
        return (whole,)

    def _remember(self, site: str, part: int, value: torch.Tensor) -> None:
        unguided = value[:1] if len(value) == 2 and not self._alone else None
        self._past[site, part].append(Past(self._step, unguided, value[-1:]))

    def _joined(self, prediction: torch.Tensor, computed: bool) -> torch.Tensor:
        if not self.guidance:
            return prediction
        unguided, guided = prediction.chunk(2)
        if self._letter(UNGUIDED) == "C":
            if computed:
                self._past[UNGUIDED, 0].append(Past(self._step, None, guided - unguided))
            return prediction
        if self.plan.fusion != "difference":
            return torch.cat([guided, guided])
        past = self._past[UNGUIDED, 0]
        difference = self._onward(UNGUIDED, past, [entry.guided for entry in past])
        if (split := self.plan.split) is not None:
            difference = by_frequency(difference, split.low[self._step], split.high[self._step], split.radius)
        return torch.cat([guided - difference, guided])


def modules_of(pipe: Any, site: str) -> Sequence[torch.nn.Module]:
    """The modules whose outputs a site stands for, by its name."""
    path, _, last = site.rpartition(".")
    if last == "text":
        attention: Any = _at(pipe, path)
        return attention.to_k, attention.to_v
    if path.endswith(".image"):
        processor: Any = _at(pipe, path.removesuffix(".image") + ".processor")
        return processor.to_k_ip[int(last)], processor.to_v_ip[int(last)]
    return (_at(pipe, site),)


def controlnets(pipe: Any) -> Sequence[torch.nn.Module]:
    control = pipe.components.get("controlnet")
    return () if control is None else getattr(control, "nets", (control,))


def mixers(pipe: Any) -> Sequence[Any]:
    """The layers by which a Union network's control maps read each other."""
    return [layer for net in controlnets(pipe) for layer in getattr(net, "transformer_layes", ())]


def onward(
    rule: ForecastRule, steps: Sequence[int], values: Sequence[torch.Tensor], at: int, site: str, lines: Lines | None
) -> torch.Tensor:
    """The value expected at a step, by each basis' own definition, from all that was computed before (oldest first)."""
    if rule.basis == "repeat":
        return values[-1]
    if rule.basis == "scale_shift":
        assert lines is not None
        scale, shift = (torch.as_tensor(number).float() for number in lines.at(site, steps[-1], at))
        channels = (-1, 1, 1) if values[-1].ndim == 4 else (-1,)
        return values[-1] * scale.reshape(channels) + shift.reshape(channels)
    if rule.weighings is not None:
        entry = next(w for w in rule.weighings if w.at == at and w.steps == tuple(steps[-len(w.steps) :]))
        return sum(
            (values[steps.index(s)] * w for s, w in zip(entry.steps, entry.weights, strict=True)), torch.zeros(())
        )
    count = rule.window or rule.order + 1
    steps, values = steps[-count:], values[-count:]
    return _hermite(steps, values, at) if rule.basis == "hermite" else _polynomial(rule.order, steps, values, at)


def _polynomial(order: int, steps: Sequence[int], values: Sequence[torch.Tensor], at: int) -> torch.Tensor:
    """The polynomial of at most that degree nearest to the values, element by element; through them if it can."""
    table = torch.stack(list(values)).double().flatten(1).numpy()
    fitted = np.polyfit(np.array(steps) - steps[-1], table, min(order, len(steps) - 1))
    expected = sum(coefficient * float(at - steps[-1]) ** k for k, coefficient in enumerate(fitted[::-1]))
    return torch.from_numpy(np.asarray(expected)).to(values[-1].dtype).reshape(values[-1].shape)


def _hermite(steps: Sequence[int], values: Sequence[torch.Tensor], at: int) -> torch.Tensor:
    """HiCache, arXiv 2508.16984: differences of the values on Hermite polynomials, both contracted by 0.5."""
    x, total, rows = 0.5 * (at - steps[-1]), values[-1], list(values)
    for k, polynomial in ((1, 2 * x), (2, 4 * x * x - 2)):
        if k == len(values):
            break
        gaps = [b - a for a, b in zip(steps[k - 1 : -1], steps[k:], strict=True)]
        rows = [(b - a) / gap for a, b, gap in zip(rows[:-1], rows[1:], gaps, strict=True)]
        total = total + rows[-1] / factorial(k) * 0.5**k * polynomial
    return total


def _at(pipe: Any, path: str) -> torch.nn.Module:
    network, _, rest = path.partition(".")
    module: torch.nn.Module = getattr(pipe, network).get_submodule(rest)
    return module


def _mean(entry: Past) -> torch.Tensor:
    return entry.guided if entry.unguided is None else (entry.unguided + entry.guided) / 2


def _cut_off(_net: Any, _args: Any, kwargs: Mapping[str, Any], out: tuple[Sequence[torch.Tensor], torch.Tensor]) -> Any:
    """At scale zero the values of a ControlNet are zeros, which say nothing about it."""
    if kwargs["conditioning_scale"]:
        return out
    return [residual.detach() for residual in out[0]], out[1].detach()


def _reached(value: torch.Tensor) -> set[Any]:
    """The nodes of autograd's graph that a value was made of."""
    found: set[Any] = set()
    pending = [value.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in found:
            continue
        found.add(node)
        pending += [source for source, _ in node.next_functions]
    return found
