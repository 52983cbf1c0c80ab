"""The caption of a scene: short English from a closed vocabulary."""

from dataclasses import dataclass

import numpy as np

from hgc.landscapes.colours import Season, Time
from hgc.landscapes.style import Style
from hgc.landscapes.weather import Weather

TIME_WORDS: dict[Time, tuple[str, ...]] = {
    "dawn": ("at dawn", "at sunrise", "in the early morning"),
    "day": ("at noon", "by day", "on a sunny day"),
    "sunset": ("at sunset", "at dusk", "in the evening"),
    "night": ("at night", "by night", "at midnight"),
}
SEASON_WORDS: dict[Season, tuple[str, ...]] = {
    "spring": ("spring", "blossoming spring"),
    "summer": ("summer", "green summer"),
    "autumn": ("autumn", "fall", "golden autumn"),
    "winter": ("winter", "snowy winter"),
}
TIME_OF: dict[Time, tuple[str, ...]] = {"dawn": ("morning",), "sunset": ("evening",)}  # of "a rainy evening"
ADJECTIVES: dict[Weather, tuple[str, ...]] = {
    "clear": ("clear",),
    "fog": ("foggy", "misty"),
    "rain": ("rainy",),
    "snowfall": (),  # a snowy one lies under snow
}
WEATHER_PHRASES: dict[Weather, tuple[str, ...]] = {
    "clear": ("in clear weather",),
    "fog": ("in fog", "in the fog", "in mist"),
    "rain": ("in the rain", "in rain", "while it rains"),
    "snowfall": ("in falling snow", "while it snows", "in a snowfall"),
}
WEATHER_WORDS: dict[Weather, tuple[str, ...]] = {
    "fog": ("fog", "foggy", "mist", "misty"),
    "rain": ("rain", "rainy", "rains", "raining"),
    "snowfall": ("snowfall", "falling snow", "snows", "snowing"),
    "clear": ("clear",),
}
STYLE_WORDS: dict[Style, tuple[str, ...]] = {"ink": ("ink",), "flat": ("flat", "poster")}
INK_LEADS: tuple[str, ...] = ("an ink drawing of", "an ink painting of", "an ink wash of")
INK_ENDS: tuple[str, ...] = ("in ink", "in ink wash", "drawn in ink")
MEDIA: tuple[str, ...] = ("flat illustration", "poster", "painting")
COUNTS: tuple[str, ...] = ("no", "a", "two", "three", "four", "five")
# fmt: off
EXTRA_WORDS: tuple[str, ...] = (
    "an", "and", "beautiful", "behind", "big", "blossom", "blossoms", "blue", "bright", "by", "clear", "cloud",
    "clouds", "cloudy", "cold", "cottage", "cottages", "countryside", "dark", "day", "dusk", "evening", "few",
    "field", "flat", "forest", "golden", "grass", "green", "hill", "hills", "house", "houses", "illustration", "in",
    "lake", "landscape", "leaves", "lit", "many", "meadow", "midnight", "moon", "morning", "mountain", "mountains",
    "nature", "near", "noon", "of", "on", "one", "orange", "over", "painting", "path", "peak", "peaks", "picture",
    "pine", "pines", "pink", "pond", "poster", "quiet", "red", "river", "road", "round", "scene", "simple", "sky",
    "small", "snow", "snowcapped", "snowy", "some", "star", "starry", "stars", "sun", "sunrise", "tall", "the",
    "trail", "tree", "trees", "under", "valley", "view", "village", "warm", "water", "white", "window", "windows",
    "with", "wood",
)
# fmt: on
SCENE_NOUNS: tuple[str, ...] = ("landscape", "scene", "view", "valley", "countryside")


@dataclass(frozen=True)
class PromptWords:
    """The time of day, season, weather and style that a prompt names, if it does."""

    time: Time | None
    season: Season | None
    weather: Weather | None
    style: Style | None


def asked(prompt: str) -> PromptWords:
    """Reads a prompt in the captions' wording; of several times, seasons or weathers the first one known counts."""
    text = f" {' '.join(prompt.lower().replace(',', ' ').split())} "
    time = next((t for t, phrases in TIME_WORDS.items() if _names(text, t, *phrases, *TIME_OF.get(t, ()))), None)
    season = next((s for s, phrases in SEASON_WORDS.items() if _names(text, s, *phrases)), None)
    weather = next((w for w, phrases in WEATHER_WORDS.items() if _names(text, *phrases)), None)
    style = next((s for s, phrases in STYLE_WORDS.items() if _names(text, *phrases)), None)
    return PromptWords(time, season, weather, style)


def _names(text: str, *phrases: str) -> bool:
    return any(f" {phrase} " in text for phrase in phrases)


@dataclass(frozen=True)
class Content:
    """The things a caption may mention; counts are of visible ones."""

    time: Time
    season: Season
    disc: bool
    clouds: int
    mountains: bool
    lake: bool
    path: bool
    round_trees: int
    pines: int
    houses: int


def describe(content: Content, rng: np.random.Generator) -> str:
    """A caption; wording and order vary with rng, and things are left out now and then so that no word is needed."""
    when, season = _pick(TIME_WORDS[content.time], rng), _pick(SEASON_WORDS[content.season], rng)
    things = [thing for thing in _things(content, rng) if rng.random() < 0.85]
    rng.shuffle(things)
    listing = ", ".join(things[:-1]) + (" and " if len(things) > 1 else "") + things[-1] if things else ""
    article = "an" if season[0] in "aeiou" else "a"
    noun = _pick(SCENE_NOUNS, rng)
    lead = f"{article} {season} {noun} {when}"
    style = rng.random()
    if style < 0.20:
        lead = f"{season} {when}"
    elif style < 0.32:
        lead = _pick((f"{season}, {content.time}", f"{season} {content.time}", f"{content.time}, {season}"), rng)
    elif style < 0.40:
        lead = f"{article} {season} {noun}"
    elif style < 0.48:
        lead = f"a {noun} {when}"
    if rng.random() < 0.2:
        lead = f"{_pick(MEDIA, rng)} of {lead}"
    return f"{lead} with {listing}" if listing else lead


def weathered(caption: str, weather: Weather, rng: np.random.Generator) -> str:
    """The caption of a clear picture, of which it now names the weather; an empty one becomes a word or two."""
    phrase = _pick(WEATHER_PHRASES[weather], rng)
    if not caption:
        return phrase
    lead, with_, things = caption.partition(" with ")
    adjectives = ADJECTIVES[weather]
    if adjectives and rng.random() < 0.5:
        return f"{_described(lead, _pick(adjectives, rng), rng)}{with_}{things}"
    return f"{unsunny(lead, weather)} {phrase}{with_}{things}"


def unsunny(caption: str, weather: Weather) -> str:
    """A caption that calls no day sunny on which the weather is another."""
    return caption if weather == "clear" else caption.replace("on a sunny day", "by day")


PARTS_OF_DAY = {
    "in the early morning": "morning",
    "in the evening": "evening",
    "on a sunny day": "day",
    "by day": "day",
    "at night": "night",
    "by night": "night",
}


def _described(lead: str, adjective: str, rng: np.random.Generator) -> str:
    """ "on a foggy morning" where the lead names a part of the day, or "a foggy autumn scene"."""
    when = next((phrase for phrase in PARTS_OF_DAY if lead.endswith(phrase)), None)
    if when and (when == "on a sunny day" or rng.random() < 0.5):
        return f"{lead.removesuffix(when)}on a {adjective} {PARTS_OF_DAY[when]}"
    medium, of, scene = lead.rpartition(" of ")
    for article in ("an ", "a "):
        if scene.startswith(article):
            return f"{medium}{of}a {adjective} {scene.removeprefix(article)}"
    return f"{medium}{of}{adjective} {scene}"


def inked(caption: str, rng: np.random.Generator) -> str:
    """The caption of a flat picture for its ink wash: named before or after it."""
    scene = unflat(caption)
    if not scene:
        return _pick(INK_ENDS, rng)
    if rng.random() < 0.5:
        return f"{_pick(INK_LEADS, rng)} {scene}"
    lead, with_, things = scene.partition(" with ")
    return f"{lead} {_pick(INK_ENDS, rng)}{with_}{things}" if rng.random() < 0.5 else f"{scene}, {_pick(INK_ENDS, rng)}"


def unflat(caption: str) -> str:
    """A caption that calls its picture neither flat nor a poster nor a painting."""
    for medium in MEDIA:
        caption = caption.removeprefix(f"{medium} of ")
    return caption


def _pick(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def _things(content: Content, rng: np.random.Generator) -> list[str]:
    night = content.time == "night"
    things: list[str] = []
    if content.disc:
        things.append("the moon" if night else "the sun")
    if night:
        things.append(_pick(("stars", "a starry sky"), rng))
    if content.clouds:
        things.append(
            "a cloud" if content.clouds == 1 else _pick(("clouds", f"{COUNTS[min(content.clouds, 5)]} clouds"), rng)
        )
    if content.mountains:
        things.append(_pick(("mountains", "snowy peaks", "snowcapped mountains"), rng))
    if content.lake:
        things.append(_pick(("a lake", "a pond", "water"), rng))
    if content.path:
        things.append(_pick(("a path", "a road", "a trail"), rng))
    if content.pines:
        things.append("a pine" if content.pines == 1 else _pick(("pine trees", "pines"), rng))
    if content.round_trees:
        things.append("a tree" if content.round_trees == 1 else _pick(("round trees", "trees"), rng))
    if content.houses:
        number = "a house" if content.houses == 1 else f"{COUNTS[min(content.houses, 5)]} houses"
        things.append(_pick((number, f"{number} with lit windows"), rng) if night else number)
    return things


def vocabulary() -> tuple[str, ...]:
    """Every word a caption can hold, and its near neighbours, sorted."""
    worded = (TIME_WORDS, SEASON_WORDS, ADJECTIVES, WEATHER_PHRASES, WEATHER_WORDS, STYLE_WORDS)
    phrases = [phrase for words in worded for group in words.values() for phrase in group]
    words = {word for phrase in (*phrases, *INK_LEADS, *INK_ENDS) for word in phrase.split()}
    return tuple(sorted(words | set(TIME_WORDS) | set(COUNTS) | set(EXTRA_WORDS) | set(SCENE_NOUNS)))
