"""The sky above the land: gradient, stars, sun or moon, clouds."""

import cv2
import numpy as np

from hgc.landscapes.canvas import BIG, Canvas
from hgc.landscapes.colours import Mood, mix
from hgc.landscapes.labels import label


def paint_sky(canvas: Canvas, mood: Mood, horizon: float, rng: np.random.Generator) -> None:
    """The gradient, and stars at night."""
    rows = max(1, int((horizon + 0.08) * BIG))
    column = np.repeat(mood.light.sky[2:], BIG, axis=0).astype(np.float32)
    column[:rows] = mood.sky_column(rows)
    canvas.picture[:] = column[:, None, :].astype(np.uint8)
    if mood.time == "night":
        for _ in range(int(rng.integers(14, 34))):
            centre = (rng.uniform(0.02, 0.98), rng.uniform(0.02, horizon * 0.8))
            size = float(rng.choice((0.0035, 0.005)))
            canvas.ellipse(centre, (size, size), mix((150, 166, 210), (255, 250, 230), rng.uniform(0, 1)), "sky")


def paint_disc(canvas: Canvas, mood: Mood, horizon: float, rng: np.random.Generator) -> float:
    """Sun or moon in a soft glow; its x (0..1), so that the rest can be lit from that side."""
    low = mood.time in ("dawn", "sunset")
    x = rng.uniform(0.12, 0.88)
    y = horizon * (rng.uniform(0.58, 0.86) if low else rng.uniform(0.18, 0.46))
    radius = rng.uniform(0.05, 0.085) if low else rng.uniform(0.038, 0.062)
    for ring, share in ((2.6, 0.16), (1.7, 0.26)):
        canvas.glow((x, y), radius * ring, mood.light.glow, share)
    canvas.ellipse((x, y), (radius, radius), mood.light.disc, "sun_moon")
    if mood.time == "night":
        for dx, dy, size in ((-0.35, -0.2, 0.24), (0.3, 0.25, 0.17), (0.15, -0.45, 0.12)):
            spot = (x + dx * radius, y + dy * radius)
            canvas.ellipse(spot, (size * radius, size * radius), (222, 218, 198), "sun_moon")
    return x


def paint_cloud(
    canvas: Canvas, mood: Mood, centre: tuple[float, float], width: float, rng: np.random.Generator
) -> None:
    """One flat-bottomed heap of round puffs with a shaded belly."""
    x, y = centre
    heap = np.zeros((BIG, BIG), np.uint8)
    count = int(rng.integers(3, 6))
    for a in np.linspace(-0.32, 0.32, count):
        radius = width * (0.21 - 0.5 * a * a) * rng.uniform(0.85, 1.15)
        cv2.circle(heap, (round((x + a * width) * BIG), round(y * BIG)), round(radius * BIG), 1, -1)
    foot = round(y * BIG)
    heap[foot:] = 0
    thick = width * 0.075
    left, right = (round((x - 0.5 * width) * BIG), foot), (round((x + 0.5 * width) * BIG), foot)
    cv2.line(heap, left, right, 1, max(2, round(thick * 2 * BIG)))
    drop = max(2, round(width * 0.09 * BIG))
    lower = heap.copy()
    lower[:-drop] &= 1 - heap[drop:]
    body_colour, belly_colour = mood.light.cloud
    canvas.picture[heap > 0] = np.array(body_colour, np.uint8)
    canvas.picture[lower > 0] = np.array(belly_colour, np.uint8)
    canvas.classes[heap > 0] = label("cloud")
