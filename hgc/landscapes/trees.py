"""Round trees and pines."""

import numpy as np

from hgc.landscapes.canvas import Canvas
from hgc.landscapes.colours import Colour, Mood


def paint_round_tree(
    canvas: Canvas,
    mood: Mood,
    foot: tuple[float, float],
    height: float,
    distance: float,
    side: int,
    leaves: Colour,
    rng: np.random.Generator,
) -> None:
    """A trunk and a ball of leaves, lit from `side` (-1 left, 1 right)."""
    x, y = foot
    trunk = 0.055 * height
    canvas.box(x - trunk, y - 0.5 * height, x + trunk, y, mood.shaded(mood.growth.trunk, distance), "tree")
    radius = height * rng.uniform(0.27, 0.33)
    crown = (x, y - height + radius * 1.15)
    tall = rng.uniform(1.0, 1.25)
    dark, bright = mood.shaded(leaves, distance), mood.lit(leaves, distance)
    canvas.ellipse(crown, (radius, radius * tall), dark, "tree")
    canvas.ellipse(
        (crown[0] + side * 0.17 * radius, crown[1] - 0.14 * radius),
        (radius * 0.80, radius * 0.82 * tall),
        bright,
        "tree",
    )


def paint_pine(
    canvas: Canvas, mood: Mood, foot: tuple[float, float], height: float, distance: float, side: int
) -> None:
    """Three tiers of needles, one half in shade, snow on the tips in winter."""
    x, y = foot
    trunk = 0.045 * height
    canvas.box(x - trunk, y - 0.2 * height, x + trunk, y, mood.shaded(mood.growth.trunk, distance), "tree")
    bright, dark = mood.lit(mood.growth.pine, distance), mood.shaded(mood.growth.pine, distance)
    for top, bottom, half in ((0.44, 0.12, 0.25), (0.72, 0.34, 0.20), (1.0, 0.60, 0.145)):
        peak, low = y - top * height, y - bottom * height
        tier = np.array([[x, peak], [x + half * height, low], [x - half * height, low]])
        canvas.polygon(tier, bright, "tree")
        canvas.polygon(np.array([[x, peak], [x - side * half * height, low], [x, low]]), dark, "tree")
        if mood.growth.snowy:
            cap = peak + (low - peak) * 0.45
            reach = half * height * 0.45
            tip = np.array([[x, peak], [x + reach, cap], [x, cap - 0.03 * height], [x - reach, cap]])
            canvas.polygon(tip, mood.snow(False, distance), "tree")
