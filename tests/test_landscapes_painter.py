"""Any map is painted: each class from its own mask, wherever and whatever it is; and hands draw maps and lines."""

import hashlib

import numpy as np
import pytest

from hgc.landscapes.caption import vocabulary
from hgc.landscapes.colours import Mood, plain_colours
from hgc.landscapes.hand.doodles import doodle
from hgc.landscapes.hand.drawing import hand_scene
from hgc.landscapes.hand.pens import Pen, borders, outlined
from hgc.landscapes.labels import CLASSES, label
from hgc.landscapes.painter.paint import Painted, paint_map
from hgc.landscapes.scene import paint
from hgc.metrics import edge_score

DAY = Mood("day", "summer")
WINTER = Mood("day", "winter")
PINNED = {0: "64ef460f331c5151", 5: "eff0ce0833ddaa7b", 23: "6a39464b9680f08d"}


def _map(background: str, **boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A map with a box (top, bottom, left, right) of every class named."""
    labels = np.full((256, 256), label(background), np.uint8)
    for name, (top, bottom, left, right) in boxes.items():
        labels[top:bottom, left:right] = label(name)
    return labels


def _bright(painted: Painted, rows: slice, columns: slice) -> float:
    return float(painted.image[rows, columns].mean())


@pytest.mark.parametrize("seed", PINNED)
def test_the_scene_of_a_seed_is_the_one_the_calibrations_were_made_on(seed: int) -> None:
    scene = paint(seed)
    whole = scene.image.tobytes() + scene.labels.tobytes() + scene.caption.encode()
    assert hashlib.sha256(whole).hexdigest()[:16] == PINNED[seed]


def test_a_map_and_a_seed_are_a_picture() -> None:
    labels = doodle(np.random.default_rng(3))
    first, again, other = (paint_map(labels, DAY, seed).image for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first.shape, first.dtype) == ((256, 256, 3), np.uint8)


@pytest.mark.parametrize("name", CLASSES)
def test_one_class_alone_fills_the_sheet_in_its_colours(name: str) -> None:
    mean = paint_map(_map(name), DAY, 0).image.mean(axis=(0, 1))
    assert np.abs(mean - np.array(plain_colours(DAY)[label(name)])).max() < 90


def test_a_map_of_another_size_or_with_other_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="256"):
        paint_map(np.zeros((128, 128), np.uint8), DAY, 0)
    with pytest.raises(ValueError, match="labels up to 9"):
        paint_map(np.full((256, 256), 9, np.uint8), DAY, 0)


def test_what_is_drawn_can_be_seen() -> None:
    """The picture's edges run along the borders of the map, on hand-like maps as on scenes."""
    scenes = [hand_scene(seed, "day", "autumn") for seed in range(24)]
    rng = np.random.default_rng(0)
    along = [edge_score(scene.edges, outlined(scene.labels, Pen(), rng)).recall for scene in scenes]
    assert np.mean(along) > 0.95


@pytest.mark.parametrize("outline", [(40, 250, 30, 220), (60, 120, 90, 170)], ids=["wall", "floating rock"])
def test_rock_of_any_outline_carries_snow_on_top(outline: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = outline
    painted = paint_map(_map("sky", mountain=outline), WINTER, 4)
    inside = slice(left + 6, right - 6)
    summit, foot = slice(top + 3, top + 12), slice(bottom - 12, bottom - 3)
    assert _bright(painted, summit, inside) > _bright(painted, foot, inside) + 25


def test_a_square_becomes_a_house_with_roof_wall_and_door() -> None:
    painted = paint_map(_map("grass", house=(90, 170, 80, 160)), DAY, 1)
    roof, wall = painted.image[98:112, 90:150], painted.image[140:146, 84:156]
    assert painted.houses == 1
    assert wall.mean() > roof.mean() + 25
    assert len(np.unique(painted.image[125:168, 84:156].reshape(-1, 3), axis=0)) >= 3  # wall, door, glass


def test_a_long_block_becomes_a_row_of_houses() -> None:
    assert paint_map(_map("grass", house=(100, 140, 20, 240)), DAY, 1).houses >= 3


def test_a_blob_becomes_a_tree_on_a_trunk_and_a_field_of_it_a_wood() -> None:
    painted = paint_map(_map("grass", tree=(80, 180, 90, 160)), DAY, 1)
    assert painted.round_trees == 1
    trunk, crown = painted.image[176, 125].astype(int), painted.image[110, 125].astype(int)
    assert trunk[0] > trunk[1]  # brown
    assert crown[1] > crown[0]  # green
    wood = paint_map(_map("sky", tree=(100, 256, 0, 256)), DAY, 1)
    assert wood.round_trees + wood.pines > 8


def test_every_sun_shines() -> None:
    labels = _map("sky", sun_moon=(40, 70, 20, 50))
    labels[40:70, 110:140] = labels[100:130, 200:230] = label("sun_moon")
    lit, plain = paint_map(labels, DAY, 0).image.astype(int), paint_map(_map("sky"), DAY, 0).image.astype(int)
    for row, column in ((34, 35), (34, 125), (94, 215)):
        assert abs(lit[row, column] - plain[row, column]).sum() > 30


def test_water_is_darker_under_a_shore_than_under_the_sky() -> None:
    under_land = paint_map(_map("grass", water=(100, 220, 0, 256)), DAY, 0)
    under_sky = paint_map(_map("sky", water=(100, 220, 0, 256)), DAY, 0)
    rows, columns = slice(102, 106), slice(10, 240)
    assert _bright(under_land, rows, columns) < _bright(under_sky, rows, columns) - 8


def test_hands_draw_every_class_and_captions_stay_in_the_vocabulary() -> None:
    scenes = [hand_scene(seed) for seed in range(30)]
    words = {word for scene in scenes for word in scene.caption.replace(",", "").split()}
    assert words <= set(vocabulary())
    assert {int(c) for scene in scenes for c in np.unique(scene.labels)} == set(range(len(CLASSES)))
    counts = [len(np.unique(scene.labels)) for scene in scenes]
    assert min(counts) <= 2
    assert max(counts) >= 7
    assert any(scene.caption == "" for scene in scenes)
    again = hand_scene(7)
    assert np.array_equal(scenes[7].image, again.image)
    assert scenes[7].caption == again.caption


def test_a_way_below_a_low_horizon_stays_on_the_sheet() -> None:
    labels = hand_scene(1_000_067).labels  # its path begins below 95% of the height
    assert (labels == label("path")).any()


def test_a_steady_pen_draws_every_border_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for seed in range(8):
        labels = doodle(np.random.default_rng(seed))
        lines = outlined(labels, Pen(), rng)
        changes = np.zeros_like(labels)
        changes[1:] |= labels[1:] != labels[:-1]
        changes[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        changes[[0, 1, -2, -1]] = changes[:, [0, 1, -2, -1]] = 0
        score = edge_score(lines, changes, tolerance_px=1.5)
        assert score.precision > 0.97
        assert score.recall > 0.93


def test_a_border_is_drawn_once_and_never_along_the_edge_of_the_sheet() -> None:
    labels = _map("sky", grass=(128, 256, 0, 256), house=(100, 150, 60, 120))
    strokes = borders(labels)
    points = np.concatenate(strokes)
    assert points.min() >= 1
    assert points.max() <= 254
    house = [stroke for stroke in strokes if (stroke[:, 1] < 126).any()]
    assert len(house) == 1
    grass = np.concatenate([stroke for stroke in strokes if not (stroke[:, 1] < 126).any()])
    assert not ((grass[:, 0] > 62) & (grass[:, 0] < 117)).any()


def test_pens_differ() -> None:
    labels = doodle(np.random.default_rng(3))

    def ink(pen: Pen) -> int:
        return int((outlined(labels, pen, np.random.default_rng(1)) > 0).sum())

    plain = ink(Pen())
    assert ink(Pen(thickness=4)) > 2.5 * plain
    assert ink(Pen(twice=True, shake=1.5)) > 1.3 * plain
    assert ink(Pen(gap=0.4)) < 0.85 * plain
    assert ink(Pen(missing=1.0)) == 0
    rng = np.random.default_rng(0)
    assert np.array_equal(np.unique(outlined(labels, Pen.any(rng), rng)), [0, 255])
