"""Large numbers as people read them."""

from __future__ import annotations

from math import ceil


def giga(macs: float) -> str:
    """Multiply-accumulates with three figures and a unit: '27.9 G', '6.70 T', '312 M'."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if macs >= size:
            return f"{_three(macs / size)} {unit}"
    return f"{macs:.0f}"


def size(count: float) -> str:
    """Bytes with three figures: '3.21 MB'."""
    for unit, base in (("GB", 2**30), ("MB", 2**20), ("kB", 2**10)):
        if count >= base:
            return f"{_three(count / base)} {unit}"
    return f"{count:.0f} B"


def seconds(latency_ms: float) -> str:
    """A duration with three figures: '812 ms', '2.48 s'."""
    return f"{latency_ms:.0f} ms" if latency_ms < 1000 else f"{_three(latency_ms / 1000)} s"


def duration(time_s: float) -> str:
    """How long something will take, roughly: '35 s', '4 min'."""
    return f"{max(1, ceil(time_s))} s" if time_s < 100 else f"{round(time_s / 60)} min"


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
