"""HGC's fine cache by measured similarity: each cross-attention is repeated where its output changes least."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

from hgc.cache.anatomy import Anatomy, Kind, State
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import rehearse
from hgc.cache.rules import PlanRefused
from hgc.cache.schedules.rows import Rows
from hgc.cache.schedules.similarity import Similarity


def attention_rows(
    plan: Plan,
    anatomy: Anatomy,
    similarity: Similarity,
    every: int,
    *,
    guidance: bool = True,
    off: Sequence[Collection[str]] | None = None,
) -> Rows:
    """Rows by which all cross-attentions together are computed at every n-th time that `plan` asks for one.

    One bound on what a repetition does to the final latents holds for all layers and steps: those that change least, or
    matter least, are repeated most. The first time a layer is asked for it is computed. Raises PlanRefused for `every`
    below 1.
    """
    if every < 1:
        raise PlanRefused(f"attention_every {every}: at least 1 (1 computes it whenever a step asks for it)")
    if every == 1:
        return {}
    played = rehearse(plan, anatomy, guidance=guidance, off=off).steps
    asked = {
        site.name: [step for step, states in enumerate(played) if states[site.name] is State.COMPUTED]
        for site in anatomy.of(Kind.CROSS_ATTENTION)
    }
    asked = {name: steps for name, steps in asked.items() if len(steps) > 1}
    errors = _errors(asked, similarity)
    total = sum(map(len, asked.values()))

    def enough(bound: float) -> bool:
        return sum(len(_fresh(asked[name], errors[name], bound)) for name in asked) * every <= total

    bounds = sorted({error for pairs in errors.values() for error in pairs.values()})
    if not bounds:
        return {}
    bound = bounds[min(bisect_left(bounds, True, key=enough), len(bounds) - 1)]
    return {name: _row(plan.steps, asked[name], _fresh(asked[name], errors[name], bound)) for name in asked}


def _errors(asked: Mapping[str, Sequence[int]], similarity: Similarity) -> dict[str, dict[tuple[int, int], float]]:
    """The effect of every repetition on the final latents, by the step and the earlier one it goes on from."""
    return {
        name: {
            (step, since): similarity.growth(step) * similarity.attention(name, step, since)
            for step in steps
            for since in steps
            if since < step
        }
        for name, steps in asked.items()
    }


def _fresh(asked: Sequence[int], errors: Mapping[tuple[int, int], float], bound: float) -> list[int]:
    """The steps in which a layer is computed because repeating it would pass the bound."""
    fresh = [asked[0]]
    for step in asked[1:]:
        if errors[step, fresh[-1]] > bound:
            fresh.append(step)
    return fresh


def _row(steps: int, asked: Sequence[int], fresh: Sequence[int]) -> str:
    return "".join("R" if step in asked and step not in fresh else "C" for step in range(steps))
