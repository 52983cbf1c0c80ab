"""Weather laid over a finished picture: fog, rain, falling snow.

foggy = laid_over("fog", scene.image, near, Mood("dawn", "autumn"), rng)
"""

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.canvas import BIG, SIZE
from hgc.landscapes.colours import Colour, Mood, mix, times

Weather = Literal["clear", "fog", "rain", "snowfall"]
WEATHERS: tuple[Weather, ...] = get_args(Weather)

Picture = NDArray[np.uint8]  # [256, 256, 3]
Sheet = NDArray[np.float32]  # [256, 256]: how near everything is, or a share of something laid over it

MILK: Colour = (228, 230, 232)
OVERCAST: Colour = (142, 152, 166)
SNOW_CLOUD: Colour = (186, 196, 210)
THICK, CLEARING = 0.9, 2.6  # of fog: the share of it before the sky, and how fast that falls with nearness
BANDS = (9, 3)  # rows and columns of fog's soft banks


def laid_over(weather: Weather, image: Picture, near: Sheet, mood: Mood, rng: np.random.Generator) -> Picture:
    """The picture in a weather; `near` 0 (far) .. 1 (near). Raises ValueError for an unknown weather."""
    if weather not in WEATHERS:
        raise ValueError(f"weather {weather!r} is unknown; known: {', '.join(WEATHERS)}")
    if weather == "clear":
        return image
    laid = {"fog": _fog, "rain": _rain, "snowfall": _snowfall}[weather](image.astype(np.float32), near, mood, rng)
    return np.round(laid).clip(0, 255).astype(np.uint8)


def _fog(image: Sheet, near: Sheet, mood: Mood, rng: np.random.Generator) -> Sheet:
    """Haze by distance, in soft banks."""
    banks = cv2.resize(rng.uniform(-1, 1, BANDS).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    distance = _softened(near, 2.0)
    share = THICK * np.exp(-CLEARING * distance) * (1 + 0.10 * banks)
    return _mixed(image, mix(mood.light.haze, _seen(MILK, mood), 0.4), share.clip(0, 0.94))


def _rain(image: Sheet, near: Sheet, mood: Mood, rng: np.random.Generator) -> Sheet:
    """A grey, darker light and slanted streaks of one direction."""
    grey = _seen(OVERCAST, mood)
    dull = _mixed(_faded(image, 0.38) * 0.88, grey, 0.62 * np.exp(-4.0 * _softened(near, 1.5)))
    lean = float(rng.choice((-1, 1)) * rng.uniform(0.18, 0.42))
    streaks: Picture = np.zeros((BIG, BIG), np.uint8)
    for x, y in _spread(11, rng):
        length = rng.uniform(26, 58)
        end = (round(x - lean * length), round(y + length))
        cv2.line(streaks, (round(x), round(y)), end, 255, int(rng.integers(2, 4)), cv2.LINE_AA)
    return _mixed(dull, mix(grey, (240, 246, 255), 0.6), 0.42 * _averaged(streaks))


def _snowfall(image: Sheet, near: Sheet, mood: Mood, rng: np.random.Generator) -> Sheet:
    """A pale sky and soft flakes: many small ones far away, few large ones near."""
    pale = _mixed(_faded(image, 0.25), _seen(SNOW_CLOUD, mood), 0.6 * np.exp(-3.6 * _softened(near, 1.5)))
    flakes: Picture = np.zeros((BIG, BIG), np.uint8)
    for rows, radius, shine in ((17, 2, 190), (9, 3, 235), (5, 4, 255)):
        for x, y in _spread(rows, rng):
            cv2.circle(flakes, (round(x), round(y)), radius, shine, -1, cv2.LINE_AA)
    return _mixed(
        pale, mix(mood.snow(False), (255, 255, 255), 0.5), 0.92 * _averaged(cv2.GaussianBlur(flakes, (0, 0), 0.9))
    )


def _seen(colour: Colour, mood: Mood) -> Colour:
    """A colour of the air in the mood's light, half of its tint."""
    return mix(times(colour, mood.light.tint), mood.light.haze, 0.25)


def _faded(image: Sheet, share: float) -> Sheet:
    """Less colourful by a share."""
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    return image + (grey[..., None] - image) * np.float32(share)


def _mixed(image: Sheet, colour: Colour, share: Sheet) -> Sheet:
    return image + (np.array(colour, np.float32) - image) * share[..., None]


def _softened(near: Sheet, sigma: float) -> Sheet:
    return np.asarray(cv2.GaussianBlur(near, (0, 0), sigma), np.float32)


def _averaged(big: cv2.typing.MatLike) -> Sheet:
    """A sheet at double size averaged down, 0..1."""
    return np.asarray(cv2.resize(big, (SIZE, SIZE), interpolation=cv2.INTER_AREA) / 255, np.float32)


def _spread(rows: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Places at double size [rows², 2], one somewhere in each field of a grid, so that none are crowded."""
    fields = np.stack(np.meshgrid(np.arange(rows), np.arange(rows)), axis=-1).reshape(-1, 2)
    return np.asarray((fields + rng.uniform(0, 1, fields.shape)) / rows * BIG, np.float64)
