"""Every colour of a scene, decided by its time of day and its season."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.labels import label

Time = Literal["dawn", "day", "sunset", "night"]
Season = Literal["spring", "summer", "autumn", "winter"]
TIMES: tuple[Time, ...] = get_args(Time)
SEASONS: tuple[Season, ...] = get_args(Season)

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """A time of day: RGB colours 0..255 of what shines, and the tint (0..1 per channel) it lays on everything else."""

    sky: tuple[Colour, Colour, Colour]  # zenith, middle, horizon
    disc: Colour
    glow: Colour
    cloud: tuple[Colour, Colour]  # body, underside
    haze: Colour
    tint: Colour
    shade: Colour
    window: Colour


@dataclass(frozen=True)
class Growth:
    """A season: RGB colours 0..255 in white light, and how far down the mountains the snow comes (0..1)."""

    grass: Colour
    meadow: Colour
    leaves: tuple[Colour, ...]
    pine: Colour
    trunk: Colour
    rock: Colour
    snow_reach: tuple[float, float]
    water: Colour
    path: Colour
    snowy: bool


LIGHTS: dict[Time, Light] = {
    "dawn": Light(
        sky=((118, 138, 196), (222, 178, 204), (255, 222, 190)),
        disc=(255, 246, 214),
        glow=(255, 226, 196),
        cloud=((255, 226, 222), (236, 186, 200)),
        haze=(238, 198, 206),
        tint=(0.98, 0.87, 0.90),
        shade=(0.66, 0.64, 0.80),
        window=(255, 214, 140),
    ),
    "day": Light(
        sky=((66, 148, 220), (128, 192, 236), (206, 234, 244)),
        disc=(255, 236, 140),
        glow=(255, 246, 206),
        cloud=((255, 255, 255), (218, 232, 244)),
        haze=(186, 216, 236),
        tint=(1.0, 1.0, 1.0),
        shade=(0.72, 0.77, 0.88),
        window=(150, 196, 220),
    ),
    "sunset": Light(
        sky=((88, 58, 124), (226, 92, 98), (255, 190, 96)),
        disc=(255, 228, 132),
        glow=(255, 178, 96),
        cloud=((255, 156, 116), (196, 84, 112)),
        haze=(208, 108, 112),
        tint=(0.97, 0.70, 0.60),
        shade=(0.56, 0.46, 0.62),
        window=(255, 206, 110),
    ),
    "night": Light(
        sky=((12, 18, 50), (24, 38, 86), (58, 80, 138)),
        disc=(250, 246, 220),
        glow=(108, 128, 182),
        cloud=((72, 90, 142), (48, 62, 110)),
        haze=(46, 64, 118),
        tint=(0.34, 0.44, 0.66),
        shade=(0.62, 0.64, 0.74),
        window=(255, 212, 96),
    ),
}

GROWTHS: dict[Season, Growth] = {
    "spring": Growth(
        grass=(134, 196, 84),
        meadow=(170, 214, 104),
        leaves=((246, 172, 196), (252, 202, 214), (126, 190, 92)),
        pine=(60, 138, 96),
        trunk=(122, 88, 72),
        rock=(132, 132, 152),
        snow_reach=(0.22, 0.40),
        water=(96, 176, 214),
        path=(226, 200, 150),
        snowy=False,
    ),
    "summer": Growth(
        grass=(78, 158, 70),
        meadow=(128, 186, 78),
        leaves=((40, 122, 66), (62, 142, 62), (30, 106, 74)),
        pine=(26, 96, 78),
        trunk=(110, 78, 58),
        rock=(122, 116, 128),
        snow_reach=(0.10, 0.26),
        water=(46, 140, 204),
        path=(222, 190, 132),
        snowy=False,
    ),
    "autumn": Growth(
        grass=(192, 152, 56),
        meadow=(224, 182, 78),
        leaves=((222, 118, 40), (196, 70, 46), (236, 172, 58)),
        pine=(70, 104, 66),
        trunk=(98, 68, 54),
        rock=(130, 114, 116),
        snow_reach=(0.16, 0.32),
        water=(74, 132, 168),
        path=(206, 170, 122),
        snowy=False,
    ),
    "winter": Growth(
        grass=(226, 234, 246),
        meadow=(246, 250, 255),
        leaves=((186, 200, 216), (206, 216, 230), (168, 186, 206)),
        pine=(66, 110, 118),
        trunk=(106, 92, 92),
        rock=(124, 132, 152),
        snow_reach=(0.45, 0.70),
        water=(150, 198, 222),
        path=(196, 190, 186),
        snowy=True,
    ),
}


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` (0..1) of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def times(colour: Colour, factor: Colour) -> Colour:
    """Colour seen in a coloured light, channel by channel."""
    return (colour[0] * factor[0], colour[1] * factor[1], colour[2] * factor[2])


@dataclass(frozen=True)
class Mood:
    """One time of day in one season; asks for every colour go through here so that a scene stays in one key."""

    time: Time
    season: Season

    def __post_init__(self) -> None:
        if self.time not in TIMES:
            raise ValueError(f"time of day {self.time!r} is unknown; known: {', '.join(TIMES)}")
        if self.season not in SEASONS:
            raise ValueError(f"season {self.season!r} is unknown; known: {', '.join(SEASONS)}")

    @property
    def light(self) -> Light:
        return LIGHTS[self.time]

    @property
    def growth(self) -> Growth:
        return GROWTHS[self.season]

    def lit(self, colour: Colour, distance: float = 0.0) -> Colour:
        """A surface in this light; distance 0 (near) .. 1 (lost in haze)."""
        return mix(times(colour, self.light.tint), self.light.haze, distance)

    def shaded(self, colour: Colour, distance: float = 0.0) -> Colour:
        """The same surface turned away from the light."""
        return mix(times(times(colour, self.light.tint), self.light.shade), self.light.haze, distance)

    def snow(self, shaded: bool, distance: float = 0.0) -> Colour:
        """Snow takes the sky's colour in its shadows."""
        white: Colour = (246, 250, 255)
        if not shaded:
            return mix(times(white, mix(self.light.tint, (1.0, 1.0, 1.0), 0.35)), self.light.haze, distance)
        return mix(mix(self.shaded(white), self.light.sky[0], 0.38), self.light.haze, distance)

    def sky_column(self, height: int) -> NDArray[np.float32]:
        """The sky's gradient from zenith to horizon, [height, 3]."""
        stops = np.array(self.light.sky, dtype=np.float32)
        at = np.linspace(0.0, 1.0, height)
        return np.stack([np.interp(at, (0.0, 0.55, 1.0), stops[:, c]) for c in range(3)], axis=1).astype(np.float32)


def plain_colours(mood: Mood) -> tuple[Colour, ...]:
    """One colour for each class, for specks too small to be shaded."""
    growth, light = mood.growth, mood.light
    colours = {
        "sky": light.sky[1],
        "sun_moon": light.disc,
        "cloud": light.cloud[0],
        "mountain": mood.lit(growth.rock, 0.2),
        "grass": mood.snow(False, 0.2) if growth.snowy else mood.lit(growth.grass, 0.2),
        "water": mood.lit(growth.water),
        "path": mood.lit(growth.path),
        "tree": mood.shaded(growth.leaves[0]),
        "house": mood.lit((236, 212, 180)),
    }
    return tuple(colours[name] for name in sorted(colours, key=label))
