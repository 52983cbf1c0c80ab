"""Many requests from one: two settings run over values, everything else stays. Plain data; nothing is drawn here.

Sweep(base, Axis.parse("budget", "0.2, 0.35, 0.5"), Axis.parse("seed", "0..4")).cells
"""

from hgc.sweep.axis import MOST_RUNS, Axis, parse_seeds
from hgc.sweep.grid import LADDER_AXIS, Cell, Sweep, base_of
from hgc.sweep.settings import LADDER, SETTINGS, Setting, Value

__all__ = [
    "LADDER",
    "LADDER_AXIS",
    "MOST_RUNS",
    "SETTINGS",
    "Axis",
    "Cell",
    "Setting",
    "Sweep",
    "Value",
    "base_of",
    "parse_seeds",
]
