"""The ground: mountain ridges, hills, lake, path."""

from dataclasses import dataclass

import cv2
import numpy as np

from hgc.landscapes.canvas import BIG, Canvas, Points
from hgc.landscapes.colours import Mood, mix
from hgc.landscapes.labels import label


def jagged(start: Points, end: Points, roughness: float, rng: np.random.Generator, depth: int = 3) -> Points:
    """A broken line from start to end by midpoint displacement; roughness is relative to the length.

    Returns [2**depth + 1, 2].
    """
    points = np.stack([start, end])
    for _ in range(depth):
        middle = (points[:-1] + points[1:]) / 2
        length = np.linalg.norm(points[1:] - points[:-1], axis=1)
        middle[:, 1] += rng.uniform(-roughness, roughness, len(middle)) * length
        points = np.concatenate([np.stack([points[:-1], middle], axis=1).reshape(-1, 2), points[-1:]])
    return points


def paint_peak(
    canvas: Canvas,
    mood: Mood,
    apex: Points,
    width: float,
    foot: float,
    distance: float,
    sun_x: float,
    rng: np.random.Generator,
) -> None:
    """One mountain: a lit flank, a shaded flank, and a snowcap in both tones."""
    height = foot - apex[1]
    left = np.array([apex[0] - width * rng.uniform(0.85, 1.15), foot])
    right = np.array([apex[0] + width * rng.uniform(0.85, 1.15), foot])
    middle = np.array([apex[0] + width * rng.uniform(-0.25, 0.25), foot])
    west = jagged(left, apex, 0.09, rng)
    east = jagged(apex, right, 0.09, rng)
    ridge = jagged(apex, middle, 0.0, rng)
    ridge[1:-1, 0] += rng.uniform(-0.07, 0.07, len(ridge) - 2) * width
    rock = mood.growth.rock
    tones = (mood.lit, mood.shaded) if sun_x < apex[0] else (mood.shaded, mood.lit)
    reach = rng.uniform(*mood.growth.snow_reach) * height
    for flank, side, tone in ((west[::-1], -1, tones[0]), (east, 1, tones[1])):
        canvas.polygon(np.concatenate([flank, ridge[::-1]]), tone(rock, distance), "mountain")
        if height > 0.10:
            canvas.polygon(
                snowcap(flank, ridge, apex[1] + reach, side, rng),
                mood.snow(tone == mood.shaded, distance * 0.8),
                "mountain",
            )


def snowcap(flank: Points, ridge: Points, line: float, side: int, rng: np.random.Generator) -> Points:
    """The part of a flank above the snow line, with a zigzag hem."""
    outer_x, inner_x = (
        float(np.interp(line, edge[:, 1], edge[:, 0]))
        for edge in (
            np.sort(flank, axis=0)
            if side > 0
            else np.stack([np.sort(flank[:, 0])[::-1], np.sort(flank[:, 1])], axis=1),
            ridge,
        )
    )
    hem_x = np.linspace(outer_x, inner_x, 7)
    hem_y = line + np.array([0.0, 1, -0.5, 1, -0.5, 1, 0.3]) * 0.10 * (line - flank[0, 1]) * rng.uniform(0.6, 1.3, 7)
    hem = np.stack([hem_x, hem_y], axis=1)
    above = flank[flank[:, 1] < line]
    inner = ridge[ridge[:, 1] < hem_y[-1]]
    return np.concatenate([above, hem, inner[::-1]])


def paint_ridge(
    canvas: Canvas, mood: Mood, foot: float, height: float, distance: float, sun_x: float, rng: np.random.Generator
) -> None:
    """A row of overlapping peaks; height is the tallest peak's share of the picture."""
    count = int(rng.integers(3, 6))
    xs = np.linspace(0.0, 1.0, count) + rng.uniform(-0.09, 0.09, count)
    heights = height * rng.uniform(0.45, 0.85, count)
    heights[int(rng.integers(count))] = height
    for i in np.argsort(heights)[::-1]:
        apex = np.array([xs[i], foot - heights[i]])
        paint_peak(canvas, mood, apex, heights[i] * rng.uniform(0.75, 1.15) + 0.06, foot + 0.08, distance, sun_x, rng)


@dataclass(frozen=True)
class Hill:
    """One roll of ground: the line y(x) of its top and how far it lies (0 near .. 1 far)."""

    xs: Points
    ys: Points
    distance: float

    def top(self, x: float) -> float:
        """The height of the ground at x, both 0..1 of the picture."""
        return float(np.interp(x, self.xs, self.ys))


def rolling(level: float, swing: float, distance: float, rng: np.random.Generator) -> Hill:
    """A smooth hill line around a level, two waves high."""
    xs = np.linspace(-0.01, 1.01, 65)
    ys = level + swing * np.sin(xs * rng.uniform(2.2, 4.6) + rng.uniform(0, 6.3))
    ys += 0.35 * swing * np.sin(xs * rng.uniform(6, 9) + rng.uniform(0, 6.3))
    return Hill(xs, ys, distance)


def paint_hill(canvas: Canvas, mood: Mood, hill: Hill, rng: np.random.Generator) -> None:
    """Ground with a lighter band along its crest."""
    haze = 0.5 * hill.distance
    grass, meadow = mood.growth.grass, mood.growth.meadow
    crest = mood.snow(False, haze) if mood.growth.snowy else mood.lit(meadow, haze)
    canvas.below(hill.xs, hill.ys, crest, "grass")
    band = 0.012 + 0.05 * (1 - hill.distance) * rng.uniform(0.6, 1.2)
    sway = band * (1 + 0.7 * np.sin(hill.xs * rng.uniform(3, 6) + rng.uniform(0, 6.3)))
    body = mix(crest, mood.snow(True, haze), 0.5) if mood.growth.snowy else mood.lit(grass, haze)
    canvas.below(hill.xs, hill.ys + sway, body, "grass")


def paint_lake(
    canvas: Canvas,
    mood: Mood,
    y: float,
    centre: float,
    half: tuple[float, float],
    sun_x: float,
    rng: np.random.Generator,
) -> None:
    """A lake with a pale shore, the sky's colours upside down, and a few bright streaks under the sun."""
    angle = np.linspace(0, 2 * np.pi, 49)
    wave = 1 + 0.07 * np.sin(2 * angle + rng.uniform(0, 6.3)) + 0.05 * np.sin(3 * angle + rng.uniform(0, 6.3))
    outline = np.stack([centre + half[0] * wave * np.cos(angle), y + half[1] * wave * np.sin(angle)], axis=1)
    rim = outline + np.array([0.0, 0.010])
    canvas.polygon(rim, mood.snow(True) if mood.growth.snowy else mood.shaded(mood.growth.grass), "grass")
    mask = np.zeros((BIG, BIG), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * BIG).astype(np.int32)], 1)
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return
    water = mood.lit(mood.growth.water)
    reflected = mood.sky_column(2 * len(rows))[::-1][len(rows) // 4 : len(rows) // 4 + len(rows)]
    column = reflected * 0.78 + np.array(water) * 0.22
    inside = mask[rows[0] : rows[-1] + 1] > 0
    patch = canvas.picture[rows[0] : rows[-1] + 1]
    patch[inside] = np.broadcast_to(column[:, None, :], patch.shape)[inside].astype(np.uint8)
    canvas.classes[mask > 0] = label("water")
    paint_glints(canvas, mood, mask, y, centre, half, sun_x, rng)


def paint_glints(
    canvas: Canvas,
    mood: Mood,
    mask: np.ndarray,
    y: float,
    centre: float,
    half: tuple[float, float],
    sun_x: float,
    rng: np.random.Generator,
) -> None:
    """Horizontal streaks of light on the water, gathered under the sun or moon."""
    streaks = np.zeros_like(mask)
    near_sun = abs(sun_x - centre) < half[0] * 0.8
    for _ in range(int(rng.integers(3, 6))):
        x = (sun_x if near_sun else centre) + rng.normal(0, 0.25) * half[0] * (0.3 if near_sun else 1.0)
        row = y + rng.uniform(-0.6, 0.7) * half[1]
        length = rng.uniform(0.10, 0.28) * half[0]
        p, q = (round((x - length) * BIG), round(row * BIG)), (round((x + length) * BIG), round(row * BIG))
        cv2.line(streaks, p, q, 1, 4)
    canvas.tint((streaks & mask) > 0, mood.light.disc, 0.55 if near_sun else 0.30)


def paint_path(canvas: Canvas, mood: Mood, start: tuple[float, float], end_x: float, rng: np.random.Generator) -> None:
    """A winding path from a far point down to the lower edge, wider as it comes near."""
    at = np.linspace(0, 1, 40)
    ys = start[1] + (1.02 - start[1]) * at**1.15
    swing = rng.uniform(0.05, 0.13) * rng.choice((-1, 1))
    xs = start[0] + (end_x - start[0]) * at + swing * np.sin(at * np.pi * rng.uniform(1.4, 2.3)) * (0.25 + 0.75 * at)
    width = 0.008 + 0.075 * at**1.6 * rng.uniform(0.8, 1.2)
    left, right = np.stack([xs - width, ys], axis=1), np.stack([xs + width, ys], axis=1)
    canvas.polygon(np.concatenate([left, right[::-1]]), mood.lit(mood.growth.path), "path")
    inner = np.stack([xs + width * 0.45, ys], axis=1)
    canvas.polygon(np.concatenate([inner, right[::-1]]), mood.lit(mix(mood.growth.path, (150, 120, 90), 0.30)), "path")
