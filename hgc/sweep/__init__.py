"""Many requests from one: two settings run over values, everything else stays. Plain data; nothing is drawn here.

Sweep(base, Axis.parse("budget", "0.2, 0.35, 0.5"), Axis.parse("seed", "0..4")).cells
"""

from hgc.sweep.axis import LADDER, MOST_RUNS, SETTINGS, Axis, Setting, Value, parse_seeds
from hgc.sweep.grid import LADDER_AXIS, Sweep, SweepCell, base_of

__all__ = [
    "LADDER",
    "LADDER_AXIS",
    "MOST_RUNS",
    "SETTINGS",
    "Axis",
    "Setting",
    "Sweep",
    "SweepCell",
    "Value",
    "base_of",
    "parse_seeds",
]
