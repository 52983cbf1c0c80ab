"""Differences in colours: of two pictures as a heat map with its scale, and signed ones in two colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from plotly.colors import sequential, unlabel_rgb

from hgc.control.canvas import Pixels

# Below this the map would show the noise of rounding as if it were something.
LEAST_TOP = 0.02
TICKS = 5
# Blue where the full arm has more, orange where the cached one has, dark where both agree: the arms' own colours.
LESS, EQUAL, MORE = (126, 176, 226), (20, 24, 30), (240, 166, 30)


def heat_top(difference: NDArray[np.float32]) -> float:
    """The difference, 0..1, that the brightest colour stands for: the 99.9th percentile."""
    return max(float(np.quantile(difference, 0.999)), LEAST_TOP)


def heat_levels(difference: NDArray[np.float32], top: float) -> Pixels:
    """Levels uint8 [H, W] of a difference [H, W] in 0..1: 0 where equal, 255 from `top` on."""
    return np.clip(difference / top * 255, 0, 255).round().astype(np.uint8)


def inferno() -> Pixels:
    """Colours uint8 [256, 3] of the levels, dark to bright."""
    stops = np.array([_rgb(colour) for colour in sequential.Inferno])  # [stops, 3]
    at = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, k]) for k in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def heat_map(difference: NDArray[np.float32], top: float) -> Pixels:
    """Colours uint8 [H, W, 3] of a difference [H, W] in 0..1, dark where equal, brightest from `top` on."""
    return np.asarray(inferno()[heat_levels(difference, top)])


def heat_scale(top: float) -> str:
    """A colour bar with its ticks in percent of full brightness and in levels of 255."""
    colours = ", ".join(sequential.Inferno)
    ticks = "".join(f"<span>{share:.1%}<small>{share * 255:.0f}</small></span>" for share in np.linspace(0, top, TICKS))
    return (
        f'<div class="heat-scale" role="img" aria-label="Scale of the difference: black is equal, the brightest colour '
        f'is {top:.1%} of full brightness or more"><i style="background:linear-gradient(90deg, {colours})"></i>'
        f'<div class="ticks">{ticks}</div></div><p class="aside">Mean difference of the three channels, in percent of '
        "full brightness; below, in levels of 255. One scale for all pairs of this run.</p>"
    )


def two_sided(difference: NDArray[np.floating], top: float) -> Pixels:
    """Colours uint8 [h, w, 3] of a signed difference [h, w]: `top` and more is the brightest."""
    level = np.clip(difference / top, -1, 1)[..., None]
    ends = np.where(level < 0, np.array(LESS), np.array(MORE))
    return np.asarray(np.array(EQUAL) + np.abs(level) * (ends - np.array(EQUAL))).round().astype(np.uint8)


def _rgb(colour: str) -> tuple[float, float, float]:
    if colour.startswith("#"):
        return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]
    return unlabel_rgb(colour)
