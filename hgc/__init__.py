"""HGC Studio: see what a hybrid-grained cache does to a picture made with ControlNet.

    hgc.enable(pipe, "hgc", budget=0.37)

Plans, requests and traces are here at once. What needs torch and diffusers is imported when it is first used.
"""

from importlib import import_module
from typing import Any

from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.cache.trace import Trace
from hgc.request import Request

__version__ = "0.1.0"
__all__ = ["Plan", "Request", "Studio", "Trace", "anatomy", "cached", "disable", "enable", "load", "schedules"]

_NEEDS_TORCH = {
    "Studio": "hgc.studio.studio",
    "anatomy": "hgc.cache.anatomy.measured",
    "cached": "hgc.enabled",
    "disable": "hgc.enabled",
    "enable": "hgc.enabled",
    "load": "hgc.models.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module 'hgc' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_NEEDS_TORCH[name]), name)
