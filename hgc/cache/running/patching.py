"""Replaced forwards: the only file that changes a module, and the place where every change is undone.

A module's forward is replaced by a dispatcher while at least one run is active on it. Which handler it calls is decided
by the context (thread, task) of the caller, so that runs in other threads never meet and plain calls stay plain.

A module that was compiled (`module.compile()`) is dispatched outside of its graph, which stays whole. Inside of one, a
dispatcher breaks the graph around its module, and what it calls runs uncompiled: compile layers, not whole networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn

Forward = Callable[..., Any]
Handler = Callable[..., Any]

_handlers: ContextVar[Mapping[nn.Module, Handler] | None] = ContextVar("hgc_handlers", default=None)
_lock = Lock()

COMPILED = "_compiled_call_impl"  # what `module.compile()` leaves on a module, to be called in its place


@dataclass
class _Patch:
    users: int
    attribute: str  # the one replaced: `forward`, or COMPILED
    replaced: Forward | None  # an instance attribute that stood there before, as accelerate's hooks leave
    original: Forward


_patches: dict[nn.Module, _Patch] = {}
# Compiled code is made for the very dispatcher it met: another one for every run would be compiled for anew.
_breaking: WeakKeyDictionary[nn.Module, Forward] = WeakKeyDictionary()


@contextmanager
def replaced_forwards(handlers: Mapping[nn.Module, Handler]) -> Iterator[None]:
    """While the block runs, calls of these modules from this context go to `handler(original, *args, **kwargs)`.

    Undone exactly on leaving, whatever the reason. Blocks nest: the innermost handles a module that both name.
    """
    patched: list[nn.Module] = []
    token = _handlers.set({**(_handlers.get() or {}), **handlers})
    try:
        inside = _inside_compiled(handlers)
        for module in handlers:
            _install(module, module in inside)
            patched.append(module)
        yield
    finally:
        # The modules first: a generator closed from another context cannot reset the variable, and must not matter.
        for module in reversed(patched):
            _remove(module)
        _handlers.reset(token)


def _inside_compiled(modules: Iterable[nn.Module]) -> set[nn.Module]:
    """Those inside of a compiled module; that one's graph runs through them, compiled for themselves or not."""
    seen = set[nn.Module]()  # shared by the walks, so that what lies inside of several modules is met once
    compiled = {part for module in modules for _, part in module.named_modules(memo=seen) if _is_compiled(part)}
    return {part for module in compiled for part in module.modules() if part is not module}


def _is_compiled(module: nn.Module) -> bool:
    return vars(module).get(COMPILED) is not None


def _install(module: nn.Module, inside_compiled: bool) -> None:
    with _lock:
        if (patch := _patches.get(module)) is not None:
            patch.users += 1
            return
        attribute = COMPILED if _is_compiled(module) and not inside_compiled else "forward"
        original = getattr(module, attribute)
        _patches[module] = _Patch(1, attribute, vars(module).get(attribute), original)
        dispatcher = _breaking_dispatcher(module) if inside_compiled else _dispatcher(module, original)
        setattr(module, attribute, dispatcher)


def _remove(module: nn.Module) -> None:
    with _lock:
        patch = _patches[module]
        patch.users -= 1
        if patch.users:
            return
        del _patches[module]
        if patch.replaced is None:
            delattr(module, patch.attribute)
        else:
            setattr(module, patch.attribute, patch.replaced)


def _dispatcher(module: nn.Module, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        handlers = _handlers.get()
        handler = handlers.get(module) if handlers else None
        return original(*args, **kwargs) if handler is None else handler(original, *args, **kwargs)

    return forward


def _breaking_dispatcher(module: nn.Module) -> Forward:
    if module not in _breaking:
        known = ref(module)

        def forward(*args: Any, **kwargs: Any) -> Any:
            own = known()
            assert own is not None  # it is being called
            patch = _patches.get(own)
            return _dispatcher(own, own.forward if patch is None else patch.original)(*args, **kwargs)

        _breaking[module] = torch.compiler.disable(forward)
    return _breaking[module]
