"""What the networks are taught by: a scene or a hand-like drawing, in a weather and a style, under its own words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.caption import inked, unflat, unsunny, weathered
from hgc.landscapes.colours import Mood, Season, Time
from hgc.landscapes.hand.drawing import hand_scene
from hgc.landscapes.relief import near_of_map
from hgc.landscapes.scene import Scene, paint_with_depth
from hgc.landscapes.style import Style, drawn_in
from hgc.landscapes.weather import WEATHERS, Weather, laid_over

STREAM = 67  # keeps a seed's weather and style apart from its scene
CLEAR, INK = 0.7, 0.1  # of all lessons
NAMED = 0.9  # of the lessons in another weather or in ink
NAMED_CLEAR = 0.1  # of the clear ones


@dataclass(frozen=True)
class Lesson:
    """A picture uint8 [256, 256, 3] and what is known of it.

    Labels and edges uint8 [256, 256] and `near` float32 [256, 256] are those of the clear flat picture.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    edges: NDArray[np.uint8]
    near: NDArray[np.float32]
    caption: str
    time: Time
    season: Season
    weather: Weather
    style: Style


def lesson(seed: int) -> Lesson:
    """The painter's own scene at even seeds, a hand-like drawing at odd ones; weather and style are the seed's too."""
    scene, near = _drawing(seed) if seed % 2 else paint_with_depth(seed)
    rng = np.random.default_rng((STREAM, seed))
    weather, style = any_weather(rng), any_style(rng)
    caption = _caption(scene.caption, weather, style, rng)
    image = laid_over(weather, scene.image, near, Mood(scene.time, scene.season), rng)
    image = drawn_in(style, image, scene.labels, rng)
    return Lesson(image, scene.labels, scene.edges, near, caption, scene.time, scene.season, weather, style)


def _drawing(seed: int) -> tuple[Scene, NDArray[np.float32]]:
    scene = hand_scene(seed)
    return scene, near_of_map(scene.labels)


def any_weather(rng: np.random.Generator) -> Weather:
    """Clear for the most part, the others equally often."""
    others = len(WEATHERS) - 1
    return WEATHERS[int(rng.choice(len(WEATHERS), p=(CLEAR, *[(1 - CLEAR) / others] * others)))]


def any_style(rng: np.random.Generator) -> Style:
    """Flat, and ink now and then."""
    return "ink" if rng.random() < INK else "flat"


def _caption(plain: str, weather: Weather, style: Style, rng: np.random.Generator) -> str:
    """Names what is not plain, nearly always; never says what is not so, and leaves the wordless without words."""
    if not plain:
        return plain
    caption = unsunny(plain, weather)
    if rng.random() < (NAMED_CLEAR if weather == "clear" else NAMED):
        caption = weathered(plain, weather, rng)
    if style == "flat":
        return caption
    return inked(caption, rng) if rng.random() < NAMED else unflat(caption)
