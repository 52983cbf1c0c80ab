"""All about a network that a recording of it has to notice: where its weights lie, and every attribute of its layers.

Weights that are written in place are read anew by every replay; whatever else changes shows as another tensor, another
object or another number somewhere in the module tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from hgc.cache.running.patching import COMPILED, WRAPPED, plain

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
HOLDERS = ("_parameters", "_buffers", "_modules", *HOOKS)
# Of every module, and nothing that a forward reads.
ASIDE = frozenset(vars(nn.Module())) - {*HOLDERS}
OFFLOADED = "_hf_hook"  # accelerate's


class Snapshot:
    """A network as it was. Holds no module, so that it does not keep a network alive."""

    def __init__(self, net: nn.Module) -> None:
        self._now = [holder for module in net.modules() for holder in _holders(module)]
        self._then = [_copy(holder) for holder in self._now]
        self._tensors = [holder for module in net.modules() for holder in (module._parameters, module._buffers)]
        self._places = self._weights()

    @property
    def still(self) -> bool:
        """Whether nothing has changed; looked at before every replay, in half a millisecond for a UNet's 686 layers."""
        same = all(_equal(now, then) for now, then in zip(self._now, self._then, strict=True))
        return same and self._weights() == self._places

    def _weights(self) -> list[tuple[int, torch.dtype]]:
        """Where every tensor lies."""
        held = (tensor for tensors in self._tensors for tensor in tensors.values() if tensor is not None)
        return [(tensor.data_ptr(), tensor.dtype) for tensor in held]


def refusal_of(net: nn.Module) -> str | None:
    """Why calls of a network cannot be recorded, in half a sentence; None when they can."""
    for name, module in net.named_modules():
        where = name or type(net).__name__
        if OFFLOADED in vars(module):
            return f"{where} is offloaded, its weights move"
        if any(vars(module)[hooks] for hooks in HOOKS):
            return f"a hook stands on {where}, which a replay would pass by"
        if vars(module).get(COMPILED) is not None or WRAPPED in module._modules:
            return f"{where} is compiled on its own"
    return None


def _holders(module: nn.Module) -> Iterator[Any]:
    """The module's attributes, and whatever among them can change without being replaced."""
    own = vars(module)
    yield own
    for name, value in own.items():
        if name in HOLDERS or (name not in ASIDE and isinstance(value, dict | list | set)):
            yield value
    if (processor := own.get("processor")) is not None and not isinstance(processor, nn.Module):
        yield vars(processor)


def _copy(holder: Any) -> Any:
    return dict(plain(holder)) if isinstance(holder, Mapping) else type(holder)(holder)


def _equal(now: Any, then: Any) -> bool:
    try:  # containers look at identity first: tensors are compared only when replaced
        return bool(now == then) or (isinstance(now, Mapping) and bool(plain(now) == then))
    except (RuntimeError, ValueError):  # a tensor or an array beside another one has no single truth
        return False


def looked_on() -> str | None:
    """Why calls in this thread cannot be recorded now, in half a sentence; None when they can."""
    if torch.is_grad_enabled():
        return "gradients are being recorded"
    if torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack():
        return "a mode of torch looks at every operation"
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        return "a hook stands on all modules, which a replay would pass by"
    return None
