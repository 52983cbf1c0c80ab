"""Houses with gabled roofs and windows that are lit after dark."""

import numpy as np

from hgc.landscapes.canvas import Canvas
from hgc.landscapes.colours import Colour, Mood, mix

WALLS: tuple[Colour, ...] = ((244, 232, 212), (236, 212, 180), (226, 226, 226), (240, 216, 200))
ROOFS: tuple[Colour, ...] = ((196, 74, 62), (176, 92, 60), (110, 84, 96), (84, 108, 140))


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
