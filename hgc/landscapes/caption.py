"""The caption of a scene: short English from a closed vocabulary."""

from dataclasses import dataclass

import numpy as np

from hgc.landscapes.colours import Season, Time

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
class Asked:
    """The time of day and the season that a prompt names, if it does."""

    time: Time | None
    season: Season | None


def asked(prompt: str) -> Asked:
    """Reads a prompt in the captions' wording; of several times or seasons the first one known counts."""
    text = f" {' '.join(prompt.lower().replace(',', ' ').split())} "
    time = next((t for t, phrases in TIME_WORDS.items() if _names(text, t, phrases)), None)
    season = next((s for s, phrases in SEASON_WORDS.items() if _names(text, s, phrases)), None)
    return Asked(time, season)


def _names(text: str, word: str, phrases: tuple[str, ...]) -> bool:
    return any(f" {phrase} " in text for phrase in (word, *phrases))


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
        lead = f"{_pick(('flat illustration', 'poster', 'painting'), rng)} of {lead}"
    return f"{lead} with {listing}" if listing else lead


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
    phrases = [phrase for group in (*TIME_WORDS.values(), *SEASON_WORDS.values()) for phrase in group]
    words = {word for phrase in phrases for word in phrase.split()} | set(TIME_WORDS)
    return tuple(sorted(words | set(COUNTS) | set(EXTRA_WORDS) | set(SCENE_NOUNS)))
