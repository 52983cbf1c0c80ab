"""The things of a scene: sky, stars, sun or moon and clouds, trees, houses."""

import cv2
import numpy as np

from hgc.landscapes.canvas import BIG, Canvas
from hgc.landscapes.colours import Colour, Mood, mix
from hgc.landscapes.labels import label

WALLS: tuple[Colour, ...] = ((244, 232, 212), (236, 212, 180), (226, 226, 226), (240, 216, 200))
ROOFS: tuple[Colour, ...] = ((196, 74, 62), (176, 92, 60), (110, 84, 96), (84, 108, 140))


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


def paint_house(
    canvas: Canvas, mood: Mood, foot: tuple[float, float], width: float, side: int, rng: np.random.Generator
) -> None:
    """A gable end and a long wall, the end on the lit `side` (-1 left, 1 right); `width` is both walls together."""
    x, y = foot
    wall, roof = WALLS[int(rng.integers(len(WALLS)))], ROOFS[int(rng.integers(len(ROOFS)))]
    tall, rise = width * 0.40, width * 0.32
    end, far = x + side * width * 0.5, x - side * width * 0.5
    turn = end - side * width * 0.42
    ridge = (end + turn) / 2
    eaves = y - tall
    canvas.box(min(turn, far), eaves, max(turn, far), y, mood.shaded(wall), "house")
    gable = np.array([[end, y], [end, eaves], [ridge, eaves - rise], [turn, eaves], [turn, y]])
    canvas.polygon(gable, mood.lit(wall), "house")
    chimney = far + side * width * 0.24
    half = width * 0.045
    canvas.box(chimney - half, eaves - rise * 1.25, chimney + half, eaves - rise * 0.6, mood.shaded(roof), "house")
    snowy = mood.growth.snowy
    slope_colour = mood.snow(False) if snowy else mood.lit(roof)
    verge_colour = mood.snow(True) if snowy else mood.shaded(roof)
    lip = width * 0.04
    slope = np.array(
        [
            [ridge, eaves - rise],
            [far - side * lip * 0.2 + side * width * 0.12, eaves - rise],
            [far - side * lip, eaves + lip],
            [turn, eaves + lip],
        ]
    )
    canvas.polygon(slope, slope_colour, "house")
    verge = width * 0.055
    for corner, out in ((end, side * lip), (turn, -side * lip)):
        rafter = np.array(
            [
                [ridge, eaves - rise - verge * 0.4],
                [corner + out, eaves + lip],
                [corner + out, eaves + lip - verge * 1.2],
                [ridge, eaves - rise - verge * 1.5],
            ]
        )
        canvas.polygon(rafter, verge_colour, "house")
    paint_openings(canvas, mood, (ridge, (turn + far) / 2), y, width)


def paint_openings(canvas: Canvas, mood: Mood, centres: tuple[float, float], y: float, width: float) -> None:
    """A door and a window in the gable end, two windows in the long wall."""
    glass = mood.light.window if mood.time != "day" else mix(mood.light.window, (90, 120, 150), 0.4)
    pane, tall = width * 0.055, width * 0.15
    gable, wall = centres
    canvas.box(gable - pane * 1.1, y - width * 0.24, gable + pane * 1.1, y, mood.shaded((128, 84, 62)), "house")
    canvas.box(gable - pane * 0.9, y - width * 0.44, gable + pane * 0.9, y - width * 0.33, glass, "house")
    for shift in (-0.13, 0.13):
        middle = wall + shift * width
        canvas.box(middle - pane, y - width * 0.27, middle + pane, y - width * 0.27 + tall, glass, "house")
