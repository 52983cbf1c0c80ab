"""Values kept because they do not depend on the step, and how a change of what they do depend on is noticed.

A tensor is not read for that: where it lies and how often it was written to tell. Those made in inference mode do not
tell: inputs are then compared with a copy, and weights never trusted. Writes through `.data` leave no trace at all; who
makes them between two steps calls `run.forget()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hgc.cache.anatomy import Kind, Site
from hgc.cache.anatomy.layers import Survey
from hgc.cache.running.marks import Seen, mark, placed

SOURCES = {
    Kind.IMAGE_KV: "added_cond_kwargs",
    Kind.CONDITION: "controlnet_cond",
    Kind.EMBEDDING: "added_cond_kwargs",
}
SCALES = "cross_attention_kwargs"  # the scale of a LoRA among them


class Constants:
    """The marks of what the constant sites of one run were computed from."""

    def __init__(self, survey: Survey) -> None:
        self._places = survey.places
        self._marks: dict[str, tuple[Any, ...]] = {}
        self._texts: dict[tuple[str, int], tuple[Seen, Any]] = {}
        self._scales: Any = None

    def stale(self, sites: Sequence[Site], call: Mapping[str, Any]) -> dict[str, str]:
        """Why the values of some of a network's sites (in order) no longer hold in this call of it.

        Keys and values of the text are not among them: what an attention's processor hands to their projections shows
        only there, see `text_changed`.
        """
        self._scales = mark(call.get(SCALES))
        inputs: dict[str, Any] = {}
        reasons: dict[str, str] = {}
        for site in sites:
            if site.kind is Kind.TEXT_KV:
                continue
            source = SOURCES[site.kind]
            if source not in inputs:
                inputs[source] = mark(call.get(source))
            now = (inputs[source], self._scales, [placed(place) for place in self._places[site.name]])
            before = self._marks.get(site.name, now)
            self._marks[site.name] = now
            if before != now:
                reasons[site.name] = _reason(source, before, now)
            elif any(name in reasons for name in site.inputs):
                reasons[site.name] = "its input changed"
        return reasons

    def text_changed(self, name: str, part: int, value: torch.Tensor) -> str | None:
        """Why kept keys (part 0) or values (1) do not hold for this input [B, tokens, C]; None where they do.

        Where one branch of two is left, its samples are the last ones.
        """
        if (name, part) not in self._texts:
            return None
        seen, before = self._texts[name, part]
        if not seen.holds(value):
            return "encoder_hidden_states changed"
        now = (None, self._scales, [placed(self._places[name][part])])
        return None if before == now else _reason("", before, now)

    def saw_text(self, name: str, part: int, value: torch.Tensor) -> None:
        """Notes what keys or values are computed from."""
        self._texts[name, part] = Seen(value), (None, self._scales, [placed(self._places[name][part])])


def _reason(source: str, before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    if before[0] != now[0]:
        return f"{source} changed"
    return f"{SCALES} changed" if before[1] != now[1] else "its weights or adapters changed"
