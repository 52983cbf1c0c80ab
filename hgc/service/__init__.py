"""Runs requests: what the interface, the command line and the benchmarks all call."""

from hgc.service.arms import Arm, ArmName, Cancelled, Comparison, Forecast, Likeness, Progress
from hgc.service.control_map import Prepared, prepare_control
from hgc.service.exports import EXPORTS
from hgc.service.presets import PRESETS, Preset
from hgc.service.studio import Studio

__all__ = [
    "EXPORTS",
    "PRESETS",
    "Arm",
    "ArmName",
    "Cancelled",
    "Comparison",
    "Forecast",
    "Likeness",
    "Prepared",
    "Preset",
    "Progress",
    "Studio",
    "prepare_control",
]
