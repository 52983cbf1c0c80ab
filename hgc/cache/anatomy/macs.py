"""MACs of every site, counted on the meta device: paper (convolutions and linear layers) and full (attention too)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, _len_torch_dispatch_stack, _pop_mode, _push_mode

from hgc.cache.anatomy import Macs

aten = torch.ops.aten


def _convolution(out: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor, *rest: Any) -> Macs:
    transposed = rest[4]
    places = inputs.shape[0] * prod((inputs if transposed else out).shape[2:])
    return _both(places * weight.numel())


def _matrix(out: torch.Tensor, left: torch.Tensor, *_: Any) -> Macs:
    return _both(out.numel() * left.shape[-1])


def _biased_matrix(out: torch.Tensor, _bias: torch.Tensor, left: torch.Tensor, *_: Any) -> Macs:
    return _both(out.numel() * left.shape[-1])


def _batched(out: torch.Tensor, left: torch.Tensor, right: torch.Tensor, *_: Any) -> Macs:
    """An attention product; or a linear layer without bias, whose weight torch repeats over the batch."""
    count = out.numel() * left.shape[-1]
    repeated = right.shape[0] > 1 and right.stride(0) == 0
    return _both(count) if repeated else Macs(0, count)


def _biased_batched(out: torch.Tensor, _bias: torch.Tensor, left: torch.Tensor, *_: Any) -> Macs:
    return Macs(0, out.numel() * left.shape[-1])


def _attention(_out: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any) -> Macs:
    rows = prod(query.shape[:-1])  # batch * heads * tokens
    return Macs(0, rows * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _both(count: int) -> Macs:
    return Macs(count, count)


FORMULAS: Mapping[Any, Callable[..., Macs]] = {
    aten.convolution: _convolution,
    aten.mm: _matrix,
    aten.addmm: _biased_matrix,
    aten.bmm: _batched,
    aten.baddbmm: _biased_batched,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten._scaled_dot_product_cudnn_attention: _attention,
    aten._scaled_dot_product_fused_attention_overrideable: _attention,
}


class MacCounter(TorchDispatchMode):
    """Counts the MACs of every operation executed inside the `with` block; slow, never time under it."""

    def __init__(self) -> None:
        super().__init__()
        self.total = Macs()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(out, *args)
        return out


@contextmanager
def uncounted() -> Iterator[None]:
    """Inside the block no counter counts, nor any other mode that watches operations."""
    modes = [_pop_mode() for _ in range(_len_torch_dispatch_stack())]
    try:
        yield
    finally:
        for mode in reversed(modes):
            _push_mode(mode)


class NetworkMacs:
    """Counts inside the `with` block what calls of these networks execute, whoever makes them.

    Attention between samples of one batch, as a Union ControlNet makes, counts as far as it lies in each sample.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        self._networks = tuple(networks)
        self.total = Macs()

    def __enter__(self) -> NetworkMacs:
        self._counters: list[MacCounter] = []
        self._hooks = [
            hook
            for net in self._networks
            for hook in (net.register_forward_pre_hook(self._begin), net.register_forward_hook(self._end))
        ]
        across = [part for net in self._networks for part in net.modules() if isinstance(part, nn.MultiheadAttention)]
        self._hooks += [part.register_forward_hook(self._crossed) for part in across if not part.batch_first]
        return self

    def _begin(self, *_: Any) -> None:
        self._counters.append(MacCounter().__enter__())

    def _end(self, *_: Any) -> None:
        counter = self._counters.pop()
        counter.__exit__(None, None, None)
        self.total += counter.total

    def _crossed(self, _: Any, given: tuple[torch.Tensor, ...], _out: Any) -> None:
        samples, tokens, width = given[0].shape
        self._counters[-1].total -= Macs(0, 2 * (samples**2 - samples) * tokens * width)

    def __exit__(self, *_: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        while self._counters:  # of calls that an error broke off
            self._end()
