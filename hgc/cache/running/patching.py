"""Replaced forwards: the only file that changes a module, and the place where every change is undone.

A module's forward is replaced by a dispatcher while at least one run is active on it. Which handler it calls is decided
by the context (thread, task) of the caller, so that runs in other threads never meet and plain calls stay plain.

A module that was compiled (`module.compile()`, or `torch.compile(module)` in its place) is dispatched outside of its
graph, which stays whole. Inside of one, a dispatcher breaks the graph around its module, and what it calls runs
uncompiled: compile layers, not whole networks.

A copy or a pickle made of a patched module meanwhile is that of the plain one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn

Forward = Callable[..., Any]
Handler = Callable[..., Any]
Beyond = Callable[..., Any]  # see `replaced_forwards`
Outside = Callable[[], None]  # told that a module is called from a context that has no handler for it

_handlers: ContextVar[Mapping[nn.Module, Handler] | None] = ContextVar("hgc_handlers", default=None)
_lock = Lock()

COMPILED = "_compiled_call_impl"  # what `module.compile()` leaves on a module, to be called in its place
WRAPPED = "_orig_mod"  # the module inside the one that `torch.compile(module)` returns
STATE = "__getstate__"  # what `copy` and `pickle` ask an object for


@dataclass
class _Patch:
    users: int
    attribute: str  # the one replaced: `forward`, or COMPILED
    replaced: Forward | None  # an instance attribute that stood there before, as accelerate's hooks leave
    original: Forward
    outside: list[Outside] = field(default_factory=list)


_patches: dict[nn.Module, _Patch] = {}
# Compiled code is made for the very dispatcher it met: another one for every run would be compiled for anew.
_breaking: WeakKeyDictionary[nn.Module, Forward] = WeakKeyDictionary()
_dispatchers: WeakKeyDictionary[Forward, Forward | None] = WeakKeyDictionary()  # and what each one stands before


@contextmanager
def replaced_forwards(
    handlers: Mapping[nn.Module, Handler], outside: Mapping[nn.Module, Outside] | None = None
) -> Iterator[Beyond]:
    """While the block runs, calls of these modules from this context go to `handler(original, *args, **kwargs)`.

    Calls from other contexts stay plain; `outside` is told of them. Undone exactly on leaving, whatever the reason.
    Blocks nest: the innermost handles a module that both name. The block's value, called with a module, its original
    and the arguments, makes the call as it would be made without this block, inside of the others.
    """
    patched: list[nn.Module] = []
    around = _handlers.get()
    handlers_outside = outside or {}
    token = _handlers.set({**(around or {}), **handlers})
    try:
        inside = _inside_compiled(handlers)
        for module in handlers:
            _install(module, module in inside, handlers_outside.get(module))
            patched.append(module)
        yield partial(_beyond, around)
    finally:
        # The modules first: a generator closed from another context cannot reset the variable, and must not matter.
        for module in reversed(patched):
            _remove(module, handlers_outside.get(module))
        _handlers.reset(token)


def _beyond(
    around: Mapping[nn.Module, Handler] | None, module: nn.Module, original: Forward, *args: Any, **kwargs: Any
) -> Any:
    token = _handlers.set(around)
    try:
        handler = (around or {}).get(module)
        return original(*args, **kwargs) if handler is None else handler(original, *args, **kwargs)
    finally:
        _handlers.reset(token)


def plain(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """A module's attributes as they are when no run is active on it."""
    if (dispatcher := attributes.get("forward")) is None or dispatcher not in _dispatchers:
        return attributes
    before = _dispatchers[dispatcher]
    own = {name: value for name, value in attributes.items() if name not in ("forward", STATE)}
    return own if before is None else {**own, "forward": before}


def _inside_compiled(modules: Iterable[nn.Module]) -> set[nn.Module]:
    """Those inside of a compiled module; that one's graph runs through them, compiled for themselves or not."""
    seen = set[nn.Module]()  # shared by the walks, so that what lies inside of several modules is met once
    compiled = {part for module in modules for _, part in module.named_modules(memo=seen) if _is_compiled(part)}
    return {part for module in compiled for part in module.modules() if part is not module}


def _is_compiled(module: nn.Module) -> bool:
    return WRAPPED in module._modules or vars(module).get(COMPILED) is not None


def _install(module: nn.Module, inside_compiled: bool, outside: Outside | None) -> None:
    with _lock:
        if (patch := _patches.get(module)) is None:
            patch = _patches[module] = _patched(module, inside_compiled)
        patch.users += 1
        if outside is not None:
            patch.outside.append(outside)


def _patched(module: nn.Module, inside_compiled: bool) -> _Patch:
    attributes = vars(module)
    attribute = COMPILED if attributes.get(COMPILED) is not None and not inside_compiled else "forward"
    patch = _Patch(0, attribute, attributes.get(attribute), getattr(module, attribute))
    dispatcher = _breaking_dispatcher(module) if inside_compiled else _dispatcher(module, patch)
    _dispatchers[dispatcher] = patch.replaced
    attributes[attribute] = dispatcher
    attributes[STATE] = partial(_plain_state, module, patch)
    return patch


def _remove(module: nn.Module, outside: Outside | None) -> None:
    with _lock:
        patch, attributes = _patches[module], vars(module)
        patch.users -= 1
        if outside is not None:
            patch.outside.remove(outside)
        if patch.users:
            return
        del _patches[module]
        del attributes[STATE]
        if patch.replaced is None:
            del attributes[patch.attribute]
        else:
            attributes[patch.attribute] = patch.replaced


def _plain_state(module: nn.Module, patch: _Patch) -> Any:
    """The state that a copy of the module is made from: without the patches of a run."""
    state = type(module).__getstate__(module)
    state.pop(STATE, None)
    if state.pop(patch.attribute, None) is not None and patch.replaced is not None:
        state[patch.attribute] = patch.replaced
    return state


def _dispatcher(module: nn.Module, patch: _Patch) -> Forward:
    original = patch.original

    def forward(*args: Any, **kwargs: Any) -> Any:
        handlers = _handlers.get()
        handler = handlers.get(module) if handlers else None
        if handler is not None:
            return handler(original, *args, **kwargs)
        for tell in patch.outside:
            tell()
        return original(*args, **kwargs)

    return forward


def _breaking_dispatcher(module: nn.Module) -> Forward:
    if module not in _breaking:
        known = ref(module)

        def forward(*args: Any, **kwargs: Any) -> Any:
            own = known()
            assert own is not None  # it is being called
            patch = _patches.get(own)
            return own.forward(*args, **kwargs) if patch is None else _dispatcher(own, patch)(*args, **kwargs)

        _breaking[module] = torch.compiler.disable(forward)
    return _breaking[module]
