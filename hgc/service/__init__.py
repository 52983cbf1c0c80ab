"""Runs requests: what the interface, the command line and the benchmarks all call."""

from hgc.service.arms import Arm, Cancelled, Comparison, Forecast, Progress
from hgc.service.control_map import Prepared, prepare_control
from hgc.service.presets import PRESETS, Preset
from hgc.service.studio import Studio

__all__ = [
    "PRESETS",
    "Arm",
    "Cancelled",
    "Comparison",
    "Forecast",
    "Prepared",
    "Preset",
    "Progress",
    "Studio",
    "prepare_control",
]
