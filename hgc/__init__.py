"""HGC Studio: see what a hybrid-grained cache does to a picture made with ControlNet.

The public verbs are imported when first used, so that plans, requests and charts need no model library:

    from hgc import Plan, Request, Studio, cached
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Request": "hgc.request",
    "CacheSettings": "hgc.request",
    "Plan": "hgc.cache.plan",
    "PlanRefused": "hgc.cache.plan",
    "Trace": "hgc.cache.trace",
    "cached": "hgc.cache.running.engine",
    "measure": "hgc.cache.anatomy.macs",
    "load": "hgc.models.loading",
    "Studio": "hgc.studio.studio",
    "Comparison": "hgc.results.comparison",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hgc' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_WHERE[name]), name)
