"""Replaced forwards: the only file that changes a module, and the place where every change is undone.

A module's forward is replaced by a dispatcher while at least one run is active on it. Which handler it calls is decided
by the context (thread, task) of the caller, so that runs in other threads never meet and plain calls stay plain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any

from torch import nn

Forward = Callable[..., Any]
Handler = Callable[..., Any]

_handlers: ContextVar[Mapping[nn.Module, Handler] | None] = ContextVar("hgc_handlers", default=None)
_lock = Lock()


@dataclass
class _Patch:
    users: int
    replaced: Forward | None  # an instance attribute that stood there before, as accelerate's hooks leave


_patches: dict[nn.Module, _Patch] = {}


@contextmanager
def replaced_forwards(handlers: Mapping[nn.Module, Handler]) -> Iterator[None]:
    """While the block runs, calls of these modules from this context go to `handler(original, *args, **kwargs)`.

    Undone exactly on leaving, whatever the reason. Blocks nest: the innermost handles a module that both name.
    """
    patched: list[nn.Module] = []
    token = _handlers.set({**(_handlers.get() or {}), **handlers})
    try:
        for module in handlers:
            _install(module)
            patched.append(module)
        yield
    finally:
        # The modules first: a generator closed from another context cannot reset the variable, and must not matter.
        for module in reversed(patched):
            _remove(module)
        _handlers.reset(token)


def _install(module: nn.Module) -> None:
    with _lock:
        if (patch := _patches.get(module)) is not None:
            patch.users += 1
            return
        _patches[module] = _Patch(1, vars(module).get("forward"))
        module.forward = _dispatcher(module, module.forward)


def _remove(module: nn.Module) -> None:
    with _lock:
        patch = _patches[module]
        patch.users -= 1
        if patch.users:
            return
        del _patches[module]
        if patch.replaced is None:
            del module.forward
        else:
            module.forward = patch.replaced


def _dispatcher(module: nn.Module, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        handlers = _handlers.get()
        handler = handlers.get(module) if handlers else None
        return original(*args, **kwargs) if handler is None else handler(original, *args, **kwargs)

    return forward
