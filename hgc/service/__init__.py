"""Runs requests: what the interface, the command line and the benchmarks all call.

What runs them is imported when first used, so that the names of methods and presets need no model library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hgc.service.methods import METHODS, Method, arm_titles, plan_of
from hgc.service.presets import PRESETS, Preset

if TYPE_CHECKING:
    from hgc.service.arms import Arm, ArmName, Cancelled, Comparison, Forecast, Likeness, Progress
    from hgc.service.control_map import Prepared, prepare_control
    from hgc.service.exports import EXPORTS
    from hgc.service.inspection import Inspection, Look, Used
    from hgc.service.studio import Studio

_WHERE = {
    **dict.fromkeys(("Arm", "ArmName", "Cancelled", "Comparison", "Forecast", "Likeness", "Progress"), "arms"),
    **dict.fromkeys(("Prepared", "prepare_control"), "control_map"),
    **dict.fromkeys(("Inspection", "Look", "Used"), "inspection"),
    "EXPORTS": "exports",
    "Studio": "studio",
}

__all__ = [
    "EXPORTS",
    "METHODS",
    "PRESETS",
    "Arm",
    "ArmName",
    "Cancelled",
    "Comparison",
    "Forecast",
    "Inspection",
    "Likeness",
    "Look",
    "Method",
    "Prepared",
    "Preset",
    "Progress",
    "Studio",
    "Used",
    "arm_titles",
    "plan_of",
    "prepare_control",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hgc.service' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f"hgc.service.{_WHERE[name]}"), name)
