"""Attention maps of the queries and keys that a run executes. Nothing stays on a module.

look = AttentionLook(pipe, anatomy, words)
with cached(pipe, plan, witness=look), look.at_queries():
    pipe(...)
look.maps["unet.mid_block.attentions.0.transformer_blocks.0.attn2"][step]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgc.cache.anatomy import Anatomy, Kind
from hgc.cache.anatomy.layers import prompt_attentions
from hgc.cache.anatomy.networks import Networks
from hgc.cache.anatomy.sites import survey
from hgc.cache.running.patching import replaced_forwards

Maps = dict[str, dict[int, NDArray[np.float16]]]  # by cross-attention and step: [words, h, w]


class AttentionLook:
    """A witness of one run. A word's map is the share of attention, 0..1, that each place gives to the word's tokens.

    It is the mean over heads, of the last image's guided branch. A step has a map where the attention was executed;
    keys kept since an earlier step are those that the step used.
    """

    def __init__(self, pipe: Any, anatomy: Anatomy, words: Sequence[Collection[int]]) -> None:
        self._attentions = prompt_attentions(survey(Networks.of(pipe)))
        self._sizes = {name: _size(anatomy, name) for name in self._attentions}
        self._words = words
        self._queries: dict[str, torch.Tensor] = {}
        self._keys: dict[str, torch.Tensor] = {}
        self.maps: Maps = {name: {} for name in self._attentions}

    @contextmanager
    def at_queries(self) -> Iterator[None]:
        """Sees the queries while the block runs; to be entered inside `cached`."""
        seen: dict[Any, Callable[..., Any]] = {
            attention.queries: partial(self._query, name) for name, attention in self._attentions.items()
        }
        with replaced_forwards(seen):
            yield

    def _query(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._queries[name] = original(*args, **kwargs)
        return self._queries[name]

    def __call__(self, kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        """Takes in the keys when they are computed, and makes the map when their attention has been."""
        if kind is Kind.TEXT_KV:
            self._keys[site.rpartition(".")[0]] = value
        elif kind is Kind.CROSS_ATTENTION:
            query, attention = self._queries.pop(site), self._attentions[site]
            shares = word_shares(query[-1], self._keys[site][-1], attention.heads, attention.scale, self._words)
            self.maps[site][step] = shares.unflatten(1, self._sizes[site]).half().cpu().numpy()


def word_shares(
    query: torch.Tensor, key: torch.Tensor, heads: int, scale: float, words: Sequence[Collection[int]]
) -> torch.Tensor:
    """The attention that each place gives to each word, [words, places], from queries [places, C], keys [tokens, C]."""
    q, k = (part.float().unflatten(-1, (heads, -1)).transpose(0, 1) for part in (query, key))  # [heads, ·, dim]
    shares = torch.softmax(q @ k.transpose(1, 2) * scale, dim=-1).mean(0)  # [places, tokens]
    return torch.stack([shares[:, sorted(tokens)].sum(1) for tokens in words]) if words else shares[:0, :0]


def _size(anatomy: Anatomy, name: str) -> tuple[int, int]:
    """Height and width of what an attention attends from: those of the transformer around it."""
    parent = anatomy[name].parent
    assert parent is not None  # an attention lies inside a transformer
    height, width = anatomy[parent].shape[-2:]
    return height, width
