"""The difference of two pictures as a heat map, and the scale it was drawn on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from plotly.colors import sequential, unlabel_rgb

from hgc.control.canvas import Pixels

# Below this the map would show the noise of rounding as if it were something.
LEAST_TOP = 0.02


def heat_top(difference: NDArray[np.float32]) -> float:
    """The difference, 0..1, that the brightest colour stands for: the 99.9th percentile."""
    return max(float(np.quantile(difference, 0.999)), LEAST_TOP)


def heat_map(difference: NDArray[np.float32], top: float | None = None) -> Pixels:
    """Colours uint8 [H, W, 3] of a difference [H, W] in 0..1, dark where equal, brightest at `top`."""
    stops = np.array([_rgb(colour) for colour in sequential.Inferno])  # [stops, 3]
    level = np.clip(difference / (top or heat_top(difference)), 0, 1) * (len(stops) - 1)
    channels = [np.interp(level, np.arange(len(stops)), stops[:, k]) for k in range(3)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def heat_legend(difference: NDArray[np.float32]) -> str:
    """A bar with both ends in words."""
    colours = ", ".join(sequential.Inferno)
    mean = float(difference.mean())
    return (
        f'<div class="heat-legend"><span>equal</span><i style="background:linear-gradient(90deg, {colours})"></i>'
        f"<span>{heat_top(difference):.0%} of full brightness</span></div>"
        f'<p class="aside">On average {mean:.2%} over all pixels and channels.</p>'
    )


def _rgb(colour: str) -> tuple[float, float, float]:
    if colour.startswith("#"):
        return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]
    return unlabel_rgb(colour)
