"""The painter: the same scene for the same seed, all labels in order, captions the tokenizer can read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgc.landscapes import tokenizer as tokenizers
from hgc.landscapes.caption import PromptWords, asked, vocabulary
from hgc.landscapes.colours import SEASONS, TIMES, Mood
from hgc.landscapes.hand.doodles import doodle
from hgc.landscapes.hand.greys import drawn_greys, shaded
from hgc.landscapes.hand.pens import drawn_edges, drawn_labels
from hgc.landscapes.labels import CLASSES, PALETTE, colour_map, label
from hgc.landscapes.relief import HORIZON, near_of_map
from hgc.landscapes.scene import depth_of, edge_map, paint
from hgc.landscapes.tokenizer import MAX_TOKENS, build_tokenizer, read_prompt, word_ids

SEEDS = range(40)


def test_palette_is_the_fixed_one_in_label_order() -> None:
    assert CLASSES == ("sky", "sun_moon", "cloud", "mountain", "grass", "water", "path", "tree", "house")
    assert list(PALETTE.values()) == [
        (70, 130, 180), (255, 220, 60), (220, 220, 235), (120, 100, 90), (90, 180, 80),
        (40, 80, 220), (210, 180, 120), (20, 110, 50), (200, 60, 60),
    ]  # fmt: skip
    assert tuple(PALETTE) == CLASSES


def test_colour_map_is_the_palette_lookup_and_refuses_other_labels() -> None:
    labels = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert colour_map(labels).reshape(9, 3).tolist() == [list(colour) for colour in PALETTE.values()]
    with pytest.raises(ValueError, match=r"9.* 0 to 8"):
        colour_map(np.array([[9]], np.uint8))
    with pytest.raises(ValueError, match="class 'river' is unknown"):
        label("river")


def test_a_seed_is_a_scene() -> None:
    first, again, other = paint(11), paint(11), paint(12)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert first.caption == again.caption
    assert not np.array_equal(first.image, other.image)


def test_shapes_and_kinds() -> None:
    scene = paint(3)
    assert (scene.image.shape, scene.image.dtype) == ((256, 256, 3), np.uint8)
    assert (scene.labels.shape, scene.labels.dtype) == ((256, 256), np.uint8)
    assert set(np.unique(scene.edges)) == {0, 255}
    assert np.array_equal(scene.edges, edge_map(scene.image))


def test_every_class_time_and_season_turns_up() -> None:
    scenes = [paint(seed) for seed in SEEDS]
    assert {int(c) for scene in scenes for c in np.unique(scene.labels)} == set(range(len(CLASSES)))
    assert {scene.time for scene in scenes} == set(TIMES)
    assert {scene.season for scene in scenes} == set(SEASONS)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("season", SEASONS)
def test_time_and_season_can_be_asked_for(time: str, season: str) -> None:
    scene = paint(5, time=time, season=season)  # type: ignore[arg-type]
    assert (scene.time, scene.season) == (time, season)


def test_night_is_dark_and_winter_is_white() -> None:
    assert paint(5, "night", "summer").image.mean() < 0.6 * paint(5, "day", "summer").image.mean()
    grass = {}
    for season in ("summer", "winter"):
        scene = paint(5, "day", season)
        grass[season] = scene.image[scene.labels == label("grass")].mean()
    assert grass["winter"] > grass["summer"] + 40


def test_mood_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"'noon'.*dawn, day, sunset, night"):
        Mood("noon", "summer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'monsoon'"):
        Mood("day", "monsoon")  # type: ignore[arg-type]


def test_labels_are_where_the_colours_are() -> None:
    scene = paint(5, "day", "summer")
    red, _, blue = (scene.image[scene.labels == label("sky")].mean(axis=0)[i] for i in range(3))
    assert blue > red


def test_captions_stay_inside_the_vocabulary_and_fit() -> None:
    tokenizer = build_tokenizer()
    known = set(vocabulary())
    for seed in SEEDS:
        caption = paint(seed).caption
        assert set(caption.replace(",", "").split()) <= known
        reading = read_prompt(tokenizer, caption)
        assert not reading.unknown
        assert not reading.cut


def test_every_word_is_one_token() -> None:
    tokenizer = build_tokenizer()
    for word in vocabulary():
        assert tokenizer.tokenize(word) == [word + "</w>"]
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()


def test_prompt_reading_names_unknown_words_and_the_lost_end() -> None:
    tokenizer = build_tokenizer()
    reading = read_prompt(tokenizer, "A purple lake at night, purple trees")
    assert reading.unknown == ("purple",)
    assert reading.cut == ()
    # Words of another alphabet fill up the reading letter by letter: they are unknown, not too many.
    russian = read_prompt(tokenizer, "красивый закат над морем")
    assert russian.unknown == ("красивый", "закат", "над", "морем")
    assert russian.cut == ()
    long = read_prompt(tokenizer, "lake " * (MAX_TOKENS + 3))
    assert long.cut == ("lake",) * 5  # start and end take two of the tokens


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("a foggy autumn scene at night", PromptWords("night", "autumn", "fog", None)),
        ("winter on a rainy evening, in ink", PromptWords("sunset", "winter", "rain", "ink")),
        ("snowy winter at dawn with snow", PromptWords("dawn", "winter", None, None)),
        ("flat illustration of spring in falling snow", PromptWords(None, "spring", "snowfall", "flat")),
        ("summer on a clear morning with a pink lake", PromptWords("dawn", "summer", "clear", None)),
    ],
)
def test_a_prompt_is_read_for_time_season_weather_and_style(prompt: str, read: PromptWords) -> None:
    assert asked(prompt) == read


def test_a_tokenizer_of_fewer_words_reads_the_others_as_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its model never saw them, though the vocabulary has them now."""
    words = tuple(word for word in vocabulary() if word not in ("fog", "rain"))
    monkeypatch.setattr(tokenizers, "vocabulary", lambda: words)
    before = build_tokenizer()
    monkeypatch.undo()
    assert read_prompt(before, "a lake in fog or rain").unknown == ("fog", "or", "rain")
    assert read_prompt(build_tokenizer(), "a lake in fog or rain").unknown == ("or",)
    assert len(word_ids(build_tokenizer())) == len(word_ids(before)) + 2


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_hand_drawn_maps_invent_no_class_and_no_grey(seed: int) -> None:
    scene, rng = paint(seed % 50), np.random.default_rng(seed)
    assert set(np.unique(drawn_labels(scene.labels, len(CLASSES), rng))) <= set(np.unique(scene.labels))
    assert set(np.unique(drawn_edges(scene.edges, rng))) <= {0, 255}


def sheet(**bands: tuple[float, float]) -> np.ndarray:
    """A map of bands from one height to another, over the whole width."""
    labels = np.zeros((256, 256), np.uint8)
    for name, (top, foot) in bands.items():
        labels[int(256 * top) : int(256 * foot)] = label(name)
    return labels


def test_the_nearness_of_a_scenes_map_is_nearly_the_scenes_own() -> None:
    for seed in SEEDS:
        near, painted = near_of_map(paint(seed).labels), depth_of(seed)
        assert np.sqrt(((near - painted) ** 2).mean()) < 0.06, seed
        assert np.corrcoef(near.ravel(), painted.ravel())[0, 1] > 0.98, seed


@pytest.mark.parametrize("seed", range(0, 400, 7))
def test_any_map_has_a_nearness(seed: int) -> None:
    labels = doodle(np.random.default_rng(seed))
    near = near_of_map(labels)
    assert near.shape == (256, 256)
    assert near.dtype == np.float32
    assert (near[labels <= label("cloud")] == 0).all()
    solid = near[labels > label("cloud")]
    assert np.isfinite(near).all()
    assert solid.min(initial=1) > 0
    assert solid.max(initial=0) <= 1


def test_ground_is_a_plane_and_mountains_stay_behind_it() -> None:
    near = near_of_map(sheet(mountain=(0.2, 0.5), grass=(0.5, 0.7), water=(0.7, 1.0)))
    assert near[255, 9] == 1
    assert (np.diff(near[128:, 9]) > 0).all()
    assert near[127, 9] < 0.13 < near[133, 9]
    above = near_of_map(sheet(grass=(0.0, 0.3), mountain=(0.3, 0.7), water=(0.7, 1.0)))
    assert (np.diff(above[:76, 9]) >= 0).all()
    assert above[75, 9] > above[78, 9] > HORIZON


@pytest.mark.parametrize("name", CLASSES)
def test_a_sheet_full_of_one_class_has_a_nearness_that_grows_downwards(name: str) -> None:
    near = near_of_map(np.full((256, 256), label(name), np.uint8))
    assert np.isfinite(near).all()
    assert (np.diff(near, axis=0) >= 0).all()
    assert np.ptp(near, axis=1).max() == 0


def test_a_thing_is_as_near_as_the_ground_at_its_foot() -> None:
    labels = sheet(grass=(0.5, 1.0))
    labels[100:200, 100:120] = label("house")
    near = near_of_map(labels)
    assert near[150, 100] == pytest.approx(near[199, 5], abs=0.02)
    assert near[150, 100] < near[150, 110] < 1.1 * near[199, 5]
    labels[40:60, 180:220], labels[30:40, 195:200] = label("mountain"), label("tree")  # an island in the air
    near = near_of_map(labels)
    assert near[45:58, 183:217].min() >= HORIZON
    assert near[35, 197] == pytest.approx(HORIZON, rel=0.1)


def test_greys_vary_and_keep_what_is_nearer_lighter() -> None:
    labels, near = paint(5).labels, depth_of(5)
    greys = [drawn_greys(near, labels, np.random.default_rng(seed)) for seed in range(60)]
    assert len({grey.tobytes() for grey in greys}) > 50  # a few are left as they are
    assert {grey.dtype for grey in greys} == {np.dtype(np.uint8)}
    assert min(len(np.unique(grey)) for grey in greys) < 33
    for grey in greys:
        assert np.corrcoef(grey.ravel(), near.ravel())[0, 1] > 0.8
        assert grey[0, 0] == 0


def test_a_hand_shades_every_region_in_one_grey() -> None:
    labels, near = sheet(mountain=(0.3, 0.5), grass=(0.5, 1.0)), np.zeros((256, 256), np.float32)
    near[76:128], near[128:] = 0.06, np.linspace(0.1, 1, 128, dtype=np.float32)[:, None]
    flat = shaded(near, labels, np.random.default_rng(0))
    assert [len(np.unique(flat[labels == label(name)])) for name in ("sky", "mountain", "grass")] == [1, 1, 1]
    assert flat[0, 0] == 0
    assert flat[200, 9] == pytest.approx(0.55, abs=0.15)
