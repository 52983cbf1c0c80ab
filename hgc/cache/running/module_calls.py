"""What modules inside of a network do in place of their own forward: compute, or give out what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from hgc.cache.anatomy import Block, Kind, State
from hgc.cache.recording.session import CaptureFrame
from hgc.cache.running.clock import Step
from hgc.cache.running.first_call import CallInputs, Pass


class ModuleCalls:
    """The calls of one run's sites and blocks."""

    def __init__(self, given: CallInputs) -> None:
        self._given, self._plan, self._timed = given, given.plan, given.watching.all
        self.now: Pass | None = None  # from the run's first call on
        self.frame: CaptureFrame | None = None  # of the network's call under way, where rows are recorded

    def handlers(self) -> dict[nn.Module, Callable[..., Any]]:
        """The functions in place of each module's forward while the block runs."""
        handlers: dict[nn.Module, Callable[..., Any]] = {}
        survey, attended = self._given.survey, self._given.attended
        for site in survey.sites:
            if site.name not in attended:
                continue
            for part, module in enumerate(survey.modules.get(site.name, ())):
                if site.name in survey.repeated:
                    handlers[module] = partial(self._repeated, site.name)
                elif site.kind is Kind.TEXT_KV:
                    handlers[module] = partial(self._text, site.name, part)
                else:
                    handlers[module] = partial(self._site, site.name, part, site.kind is Kind.TRANSFORMER)
        for block in survey.blocks:
            if block.name in attended:
                whole: Any = survey.modules[block.name][0]
                handlers[whole] = partial(self._block, block, len(whole.resnets) - 1)
        return handlers

    def _site(
        self, name: str, part: int, wrapped: bool, original: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        now = self.now
        if now is None or (step := now.step) is None:
            return original(*args, **kwargs)
        if step.states[name] is not State.COMPUTED:
            value = self._handed(now, step, name, part)
            return (value,) if wrapped else value
        return self._computed(now, step, name, part, wrapped, original, *args, **kwargs)

    def _repeated(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A site that a Union network calls once for every control map."""
        assert self.now is not None  # its network is being called
        part = self.now.repeats[name]
        self.now.repeats[name] += 1
        return self._site(name, part, False, original, *args, **kwargs)

    def _text(self, name: str, part: int, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A projection of the text to keys or values. An attention's processor decides what it is given."""
        now = self.now
        capturing = self.frame is not None and not self.frame.timed  # decided before: see `Forgetting`
        if now is None or (step := now.step) is None or not args or name not in self._plan.table or capturing:
            return self._site(name, part, False, original, *args, **kwargs)
        if step.states[name] is not State.COMPUTED:
            changed = now.constants.text_changed(name, part, args[0])
            if changed is None:
                return self._handed(now, step, name, part)
            step.reasons[name] = changed
            now.values.forget(name, part)
        now.constants.saw_text(name, part, args[0])
        return self._computed(now, step, name, part, False, original, *args, **kwargs)

    def _block(self, block: Block, last: int, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Passes a block by when none of its sites is computed: its outputs are kept values or nobody's business.

        `last` is the place of its last layer. What the block hands on twice is one tensor: a T2I-adapter writes into
        the hidden state and means the skip as well, or has its features added to the last layer here.
        """
        now = self.now
        if now is None or (step := now.step) is None or block.name not in step.idle:
            return original(*args, **kwargs)
        values = {name: self._handed(now, step, name) for name in dict.fromkeys((*block.skips, block.hidden))}
        if (features := kwargs.get("additional_residuals")) is not None:
            layer = block.skips[last]
            values[layer] = values[layer] + features
        hidden = values[block.hidden]
        return (hidden, tuple(values[name] for name in block.skips)) if block.skips else hidden

    def _computed(
        self,
        now: Pass,
        step: Step,
        name: str,
        part: int,
        wrapped: bool,
        original: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        frame = self.frame
        timed = self._timed if frame is None else frame.timed
        mark = now.recorder.watch.start() if timed else None
        out = original(*args, **kwargs)
        span = None if mark is None else now.recorder.watch.stop(mark)
        value = out[0] if wrapped else out
        if frame is None:
            keep(now, step, name, part, value, now.branches, span)
        else:
            frame.computed(name, part, value, span, partial(keep, now, step, name, part, value, now.branches, span))
        return out

    def _handed(self, now: Pass, step: Step, name: str, part: int = 0) -> torch.Tensor:
        """The value that stands in for a site inside of a network."""
        if self.frame is None:
            return now.values.stand_in(step, name, part, now.branches, now.like)
        live = partial(now.values.stand_in, step, name, part, now.branches, now.like)
        return self.frame.stand_in(name, part, step.states[name] is State.DEAD, live)

    def lend(self, name: str, part: int) -> torch.Tensor:
        """The run's value of a site that is not computed in the step under way, for a session that only reads it."""
        now = self.now
        assert now is not None
        assert now.step is not None
        return now.values.stand_in(now.step, name, part, now.branches, now.like, lent=True)

    def take_in(self, name: str, part: int, value: torch.Tensor) -> None:
        """Keeps what a replay computed; the next one writes over it, and all that is kept are copies."""
        now = self.now
        assert now is not None
        assert now.step is not None
        if now.anatomy[name].kind is Kind.TEXT_KV:
            now.constants.saw_text(name, part, now.text)
        keep(now, now.step, name, part, value, now.branches)

    def replayed(self, network: str, spans: Mapping[str, tuple[Any, ...]]) -> None:
        """Notes that a network's call was replayed, and its sites' times when the row was met first."""
        assert self.now is not None
        self.now.recorder.replayed(network, spans)


def keep(now: Pass, step: Step, name: str, part: int, value: torch.Tensor, branches: int, span: Any = None) -> None:
    """Keeps what was computed where the plan has a use for it, and shows it to what decides while running."""
    if now.glimpse is not None:
        now.glimpse(name, value)
        return
    error = now.values.computed(step, name, part, value, branches, span)
    now.clock.see_feature(name, value[-now.images :])
    if error is not None:
        now.clock.see_error(step, name, error)
