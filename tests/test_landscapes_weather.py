"""Weather, ink and the lessons made of them: what each hides, and that captions say what is there."""

from collections import Counter

import numpy as np
import pytest

from hgc.landscapes.caption import asked, inked, vocabulary, weathered
from hgc.landscapes.colours import Mood
from hgc.landscapes.hand.drawing import hand_scene
from hgc.landscapes.labels import CLASSES, label
from hgc.landscapes.relief import near_of_map
from hgc.landscapes.scene import depth_of, paint, paint_with_depth
from hgc.landscapes.style import STYLES, drawn_in
from hgc.landscapes.tokenizer import build_tokenizer, read_prompt
from hgc.landscapes.weather import WEATHERS, Weather, laid_over
from hgc.training.lessons import any_style, any_weather, lesson

DAY = Mood("day", "summer")


def test_a_scene_and_its_depth_are_those_painted_apart() -> None:
    scene, near = paint_with_depth(7)
    alone = paint(7)
    assert np.array_equal(scene.image, alone.image)
    assert scene.caption == alone.caption
    assert np.array_equal(near, depth_of(7))


def test_clear_and_flat_change_nothing() -> None:
    scene, near = paint_with_depth(7)
    rng = np.random.default_rng(0)
    assert laid_over("clear", scene.image, near, DAY, rng) is scene.image
    assert drawn_in("flat", scene.image, scene.labels, rng) is scene.image


def test_fog_hides_what_is_far_and_keeps_what_is_near() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::16] = 255
    near = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[:, None], 256, axis=1)
    foggy = laid_over("fog", stripes, near, DAY, np.random.default_rng(0)).astype(int)
    left = np.abs(foggy[:, 0] - foggy[:, 8]).mean(axis=1) / 255
    assert left[:8].max() < 0.25
    assert left[-8:].min() > 0.85
    assert (np.diff(left[::32]) > 0).all()


@pytest.mark.parametrize("weather", ["rain", "snowfall"])
def test_what_falls_is_seen_everywhere_and_by_its_seed(weather: Weather) -> None:
    """On a grey sheet at one distance: bright specks in each sixteenth of it, nowhere many."""
    sheet, near = np.full((256, 256, 3), 90, np.uint8), np.full((256, 256), 0.5, np.float32)
    falling, again, other = (laid_over(weather, sheet, near, DAY, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(falling, again)
    assert not np.array_equal(falling, other)
    specks = falling.mean(axis=2) > np.median(falling.mean(axis=2)) + 12
    shares = specks.reshape(4, 64, 4, 64).mean(axis=(1, 3))
    assert shares.min() > 0.01
    assert shares.max() < 0.3


def test_rain_darkens_the_day() -> None:
    scene, near = paint_with_depth(5)
    sky = scene.labels == label("sky")
    wet = laid_over("rain", scene.image, near, Mood(scene.time, scene.season), np.random.default_rng(0))
    assert wet[sky].mean() < scene.image[sky].mean()


def test_ink_keeps_a_hint_of_colour_and_draws_outlines() -> None:
    scene = paint(5, "day", "summer")
    made = drawn_in("ink", scene.image, scene.labels, np.random.default_rng(0)).astype(int)
    grass, sky = scene.labels == label("grass"), scene.labels == label("sky")
    spread = [np.ptp(picture, axis=2)[grass].mean() for picture in (made, scene.image.astype(int))]
    assert 0.15 < spread[0] / spread[1] < 0.6
    assert made[grass][:, 1].mean() > made[grass][:, 2].mean()  # still green
    assert made[sky][:, 2].mean() > made[sky][:, 0].mean()  # and blue
    across = scene.labels[1:] != scene.labels[:-1]
    beside = np.pad(across, ((0, 1), (0, 0)))
    assert made[beside].mean() < made[~beside].mean() - 30


def test_what_is_unknown_is_refused() -> None:
    picture, near = np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), np.float32)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"'hail'.*clear, fog, rain, snowfall"):
        laid_over("hail", picture, near, DAY, rng)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'oil'.*flat, ink"):
        drawn_in("oil", picture, picture[..., 0], rng)  # type: ignore[arg-type]


@pytest.mark.parametrize("weather", WEATHERS)
def test_a_caption_that_names_the_weather_says_the_rest_as_before(weather: Weather) -> None:
    known, tokenizer = set(vocabulary()), build_tokenizer()
    for seed in range(40):
        plain, rng = paint(seed).caption, np.random.default_rng(seed)
        told = inked(weathered(plain, weather, rng), rng)
        before, now = asked(plain), asked(told)
        assert (now.time, now.season, now.weather, now.style) == (before.time, before.season, weather, "ink"), told
        assert set(told.replace(",", "").split()) <= known
        assert not read_prompt(tokenizer, told).cut
        assert "sunny" not in told or weather == "clear"
    assert asked(weathered("", weather, np.random.default_rng(0))).weather == weather


def test_a_lesson_is_its_scene_in_a_weather_and_a_style() -> None:
    for seed in range(16):
        taught, scene = lesson(seed), hand_scene(seed) if seed % 2 else paint(seed)
        assert np.array_equal(taught.labels, scene.labels)
        assert np.array_equal(taught.edges, scene.edges)
        assert (taught.time, taught.season) == (scene.time, scene.season)
        assert (taught.near.shape, taught.near.dtype) == ((256, 256), np.float32)
        plain = (taught.weather, taught.style) == ("clear", "flat")
        assert np.array_equal(taught.image, scene.image) == plain
        assert np.array_equal(taught.image, lesson(seed).image)
        words = asked(taught.caption)
        assert words.weather in (None, taught.weather)
        assert words.style in (None, taught.style)
        assert bool(taught.caption) == bool(scene.caption)


@pytest.mark.parametrize("name", CLASSES)
def test_fog_lies_over_a_sheet_full_of_one_thing(name: str) -> None:
    near = near_of_map(np.full((256, 256), label(name), np.uint8))
    assert np.isfinite(near).all()
    laid_over("fog", np.zeros((256, 256, 3), np.uint8), near, DAY, np.random.default_rng(0))


def test_most_lessons_are_clear_and_flat() -> None:
    rng = np.random.default_rng(0)
    weathers, styles = (Counter(draw(rng) for _ in range(2000)) for draw in (any_weather, any_style))
    assert set(weathers) == set(WEATHERS)
    assert set(styles) == set(STYLES)
    assert weathers["clear"] / 2000 == pytest.approx(0.7, abs=0.04)
    assert all(weathers[other] / 2000 == pytest.approx(0.1, abs=0.03) for other in WEATHERS if other != "clear")
    assert styles["ink"] / 2000 == pytest.approx(0.1, abs=0.03)
