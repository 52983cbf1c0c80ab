"""Attention maps and drift, as seen by a witness of a run, against what the modules and the values say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgc.cache import schedules
from hgc.cache.anatomy import UNGUIDED, Kind, State
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.running.attention_look import AttentionLook, word_shares
from hgc.cache.running.drift_look import DriftLook, last_computed, spans, with_drift
from hgc.cache.running.engine import cached
from hgc.cache.trace import Cell, Trace
from hgc.models.words import words_of

STEPS = 5
WORDS = ({1}, {2, 3}, set(range(16)))
SITE = "unet.up_blocks.2.attentions.1.transformer_blocks.0.attn2"


def watched(pipe: Any, plan: Plan, **more: Any) -> tuple[AttentionLook, Trace, torch.Tensor]:
    look = AttentionLook(pipe, measure(Networks.of(pipe), (16, 16), 16, model="tiny"), WORDS)

    def witness(kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        look(kind, site, step, value)
        for other in more.get("others", ()):
            other(kind, site, step, value)

    with cached(pipe, plan, witness=witness) as run, look.at_queries():
        final = tiny.latents(pipe, steps=STEPS)
    return look, run.trace, final


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.control_pipeline()


@pytest.fixture(scope="module")
def plans(pipe: Any) -> dict[str, Plan]:
    anatomy = measure(Networks.of(pipe), (16, 16), 16, model="tiny")
    return {"full": schedules.full(anatomy, STEPS), "hgc": schedules.HGC(gate=3 / STEPS).plan(anatomy, STEPS)}


@pytest.mark.parametrize("plan", ["full", "hgc"])
def test_every_executed_attention_has_a_map_and_no_other(pipe: Any, plans: dict[str, Plan], plan: str) -> None:
    look, trace, _ = watched(pipe, plans[plan])
    for site in trace.sites:
        if site.kind is Kind.CROSS_ATTENTION:
            executed = [i for i, cell in enumerate(trace.cells[site.name]) if cell.state is State.COMPUTED]
            assert sorted(look.maps[site.name]) == executed
            for found in look.maps[site.name].values():
                assert found.shape[0] == len(WORDS)
                assert found.shape[1] == found.shape[2]
                assert np.all((found >= 0) & (found <= 1.001))
                assert np.allclose(found[2], 1, atol=2e-3), "over all tokens the shares sum to one"


def test_looking_changes_no_bit_and_leaves_nothing_behind(pipe: Any, plans: dict[str, Plan]) -> None:
    before = [dict(vars(module)) for net in Networks.of(pipe).all for module in net.modules()]
    with cached(pipe, plans["hgc"]):
        plain = tiny.latents(pipe, steps=STEPS)
    _, _, seen = watched(pipe, plans["hgc"])
    assert torch.equal(plain, seen)
    after = [dict(vars(module)) for net in Networks.of(pipe).all for module in net.modules()]
    assert [found.keys() for found in before] == [found.keys() for found in after]
    assert all(found["_modules"] == other["_modules"] for found, other in zip(before, after, strict=True))


def test_the_shares_are_those_that_the_attention_itself_used(pipe: Any) -> None:
    """With values that tell the tokens apart, the module's own output gives its attention away."""
    module = pipe.unet.get_submodule(SITE.removeprefix("unet."))
    places, tokens, heads = 16, 6, module.heads
    hidden = torch.randn(1, places, module.to_q.in_features)
    text = torch.randn(1, tokens, module.to_k.in_features)
    with torch.no_grad():
        values = module.to_v(text)[0].unflatten(-1, (heads, -1))  # [tokens, heads, dim]
        wanted = module.to_out[0](
            torch.cat(
                [
                    torch.stack(
                        [
                            word_shares(
                                module.to_q(hidden)[0].unflatten(-1, (heads, -1))[:, head],
                                module.to_k(text)[0].unflatten(-1, (heads, -1))[:, head],
                                1,
                                module.scale,
                                [{token}],
                            )[0]
                            for token in range(tokens)
                        ],
                        dim=1,
                    )
                    @ values[:, head]
                    for head in range(heads)
                ],
                dim=1,
            )
        )
        assert torch.allclose(module(hidden, encoder_hidden_states=text)[0], wanted, atol=1e-5)


def test_several_heads_are_the_mean_of_each() -> None:
    query, key = torch.randn(9, 8), torch.randn(5, 8)
    words = [{0}, {1, 4}]
    alone = [word_shares(query[:, part], key[:, part], 1, 0.5, words) for part in (slice(0, 4), slice(4, 8))]
    assert torch.allclose(word_shares(query, key, 2, 0.5, words), sum(alone) / 2, atol=1e-6)
    assert word_shares(query, key, 2, 0.5, []).shape[0] == 0


def test_drift_is_measured_over_just_the_steps_that_a_value_was_kept(pipe: Any, plans: dict[str, Plan]) -> None:
    values: dict[tuple[str, int], torch.Tensor] = {}

    def remember(kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        values[site, step] = value[-1:].clone()

    _, kept, _ = watched(pipe, plans["hgc"])
    with cached(pipe, plans["full"], observe=True) as run:
        tiny.latents(pipe, steps=STEPS)
    drift = DriftLook(1, spans(run.trace, kept))
    watched(pipe, plans["full"], others=[drift, remember])
    observed = with_drift(run.trace, drift.moved)
    for name, row in run.trace.cells.items():
        if row[1].drift is not None:  # of a site with two modules an observed run says nothing
            assert drifts(observed.cells[name]) == pytest.approx(drifts(row), rel=1e-5)
    seen = 0
    for name, row in with_drift(kept, drift.moved).cells.items():
        for step, cell in enumerate(row):
            if cell.age:
                seen += 1
                old, new = values[name, step - cell.age], values[name, step]
                assert cell.drift == pytest.approx(
                    float((new - old).abs().mean() / old.abs().mean()), rel=1e-4, abs=1e-9
                )
    assert seen > 20
    assert with_drift(kept, drift.moved).cells[UNGUIDED][4].drift is not None


def drifts(row: Sequence[Cell]) -> list[float]:
    """Below zero where nothing was measured."""
    return [-1.0 if cell.drift is None else cell.drift for cell in row]


@given(st.text(alphabet="CRF.", min_size=1, max_size=30))
def test_last_computed_looks_back_only(row: str) -> None:
    found = last_computed([Cell(State(letter), "") for letter in row])
    for step, earlier in enumerate(found):
        before = row[:step]
        assert earlier == (before.rindex("C") if "C" in before else None)


def test_words_are_numbered_and_know_their_tokens() -> None:
    words = words_of(tiny.tokenizer(), "a lake, a lake")
    ids = tiny.tokenizer()("a lake, a lake")["input_ids"]
    assert [word.title for word in words] == ["a (1)", "lake (1)", "a (2)", "lake (2)"]
    assert [ids[place] for place in words[1].tokens] == [ids[place] for place in words[3].tokens]
    assert ids[words[0].tokens[0]] == ids[words[2].tokens[0]]
    assert words_of(tiny.tokenizer(), "") == ()
