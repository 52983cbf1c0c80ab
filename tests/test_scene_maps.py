"""The maps of painted scenes, by which models are calibrated: each looks as its control's maps do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import smallhub

from hgc.control import ade20k
from hgc.control.canvas import Pixels
from hgc.control.figures import MOST_PEOPLE, draw_people
from hgc.judges.pose import JOINTS, people
from hgc.landscapes.hand.drawing import Drawing
from hgc.landscapes.labels import label
from hgc.landscapes.scene import depth_of, edge_map, paint
from hgc.models.loading import load
from hgc.models.presets import CONTROLS, presets
from hgc.studio.control_map import decoded
from hgc.studio.judge import Judge
from hgc.studio.scene_maps import canny_map
from hgc.studio.scenes import drawn, is_drawn, painted, varied
from hgc.studio.studio import Studio

SEEDS = (700_000, 700_002, 700_003, 700_007)
SIDE = 256


@pytest.fixture(scope="module")
def studio(small_hub: Path) -> Studio:
    """A model with every control there is; no weight of a ControlNet is needed to paint a scene's map."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(small_hub / "hub"))
        loaded = load(smallhub.SD15, device="cpu")
    preset = replace(loaded.preset, size=SIDE, controls=presets()["sd15"].controls)
    return Studio(replace(loaded, preset=preset), Judge.of(preset))


def map_of(studio: Studio, control: str, seed: int) -> Pixels:
    return decoded(painted(studio, seed, {"control": control, "model": studio.model}).control_png)


def sized(scene_sheet: np.ndarray) -> np.ndarray:
    return cv2.resize(scene_sheet, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


def test_every_control_has_a_map_of_its_own(studio: Studio) -> None:
    """The one seed always gives the same; only what keeps to the picture itself is the same for several controls."""
    maps = {control: map_of(studio, control, SEEDS[0]) for control in CONTROLS}
    assert {found.shape for found in maps.values()} == {(SIDE, SIDE, 3)}
    for control, found in maps.items():
        assert found.std() > 5, control
        np.testing.assert_array_equal(found, map_of(studio, control, SEEDS[0]))
    alike = [{"tile", "inpaint", "instruction"}, {"lineart", "anime"}]
    for one in CONTROLS:
        for other in CONTROLS:
            same = one == other or {one, other} in [pair & {one, other} for pair in alike]
            assert np.array_equal(maps[one], maps[other]) is same, (one, other)


@pytest.mark.parametrize("control", ["segmentation", "edges", "scribble"])
def test_every_second_scene_of_a_map_that_people_draw_is_a_drawing(studio: Studio, control: str) -> None:
    """The one seed always gives the same, and another drawing than its neighbour's."""
    fields = {"control": control, "model": studio.model}
    asked = [varied(studio, seed, fields) for seed in range(700_000, 700_004)]
    assert asked[::2] == [painted(studio, seed, fields) for seed in (700_000, 700_002)]
    assert asked[1::2] == [drawn(studio, seed, fields) for seed in (700_001, 700_003)]
    assert asked[1].prompt == Drawing.of(700_001).scene.caption
    assert len({request.control_png for request in asked}) == 4


def test_a_drawing_is_seen_as_the_hand_made_it(studio: Studio) -> None:
    drawing, fields = Drawing.of(700_001), {"model": studio.model}
    lines = decoded(drawn(studio, 700_001, fields | {"control": "edges"}).control_png)
    np.testing.assert_array_equal(lines, drawing.line_map)
    areas = decoded(drawn(studio, 700_001, fields | {"control": "segmentation"}).control_png)
    for name in np.unique(drawing.scene.labels):
        assert len(np.unique(areas[drawing.scene.labels == name], axis=0)) == 1


def test_what_nobody_draws_is_painted_at_every_seed(studio: Studio) -> None:
    fields = {"control": "depth", "model": studio.model}
    assert varied(studio, 700_001, fields) == painted(studio, 700_001, fields)
    assert [is_drawn(700_001, control) for control in ("depth", "pose", "tile", "edges")] == [False] * 3 + [True]


@pytest.mark.parametrize("control", ["edges", "softedge", "scribble", "lineart", "anime", "lines"])
def test_lines_are_light_on_black_and_lie_on_the_pictures_edges(studio: Studio, control: str) -> None:
    hard = control in ("edges", "scribble", "lines")
    for seed in SEEDS:
        found, scene = map_of(studio, control, seed), paint(seed)
        assert np.ptp(found, axis=2).max() == 0  # no colours
        grey = found[:, :, 0]
        assert (set(np.unique(grey)) == {0, 255}) is hard
        assert 0.001 < (grey > 127).mean() < 0.25
        assert np.median(grey) < 32
        near = cv2.dilate(sized(scene.edges), np.ones((9, 9), np.uint8)) > 0
        outlines = cv2.morphologyEx(scene.labels, cv2.MORPH_GRADIENT, np.ones((9, 9), np.uint8)) > 0
        assert (near | sized(outlines.astype(np.uint8)) > 0)[grey > 127].mean() > 0.9, seed


def test_a_scribbles_pen_is_broader_than_an_edge(studio: Studio) -> None:
    """What is left of each after a thin brush was taken off all around it."""
    left = {
        control: (cv2.erode(map_of(studio, control, SEEDS[1])[:, :, 0], np.ones((3, 3), np.uint8)) > 0).sum()
        for control in ("edges", "scribble", "lines")
    }
    assert left["scribble"] > 100
    assert max(left["edges"], left["lines"]) < left["scribble"] / 20


@pytest.mark.parametrize("size", [512, 768, 1024])
def test_edges_are_found_at_every_models_size(size: int) -> None:
    for seed in SEEDS:
        assert 0.001 < (canny_map(paint(seed), (size, size), presets()["sd15"].canny) > 0).mean() < 0.1


def test_edges_of_landscapes_are_those_it_was_trained_on() -> None:
    for seed in SEEDS:
        scene = paint(seed)
        ours = canny_map(scene, (256, 256), presets()["landscapes"].canny)
        np.testing.assert_array_equal(ours, edge_map(scene.image)[:, :, None].repeat(3, axis=2))


def test_label_maps_have_the_models_own_colours(studio: Studio) -> None:
    colours = {tuple(colour) for colour in map_of(studio, "segmentation", SEEDS[0]).reshape(-1, 3).tolist()}
    assert colours <= {tuple(colour) for colour in ade20k.LABELS.palette.values()}
    assert len(colours) >= 4


def test_depth_is_bright_where_it_is_near(studio: Studio) -> None:
    """MiDaS's way: the sky black, mountains before it, the ground brighter row by row."""
    for seed in SEEDS:
        found, labels = map_of(studio, "depth", seed), sized(paint(seed).labels)
        assert np.ptp(found, axis=2).max() == 0
        grey = found[:, :, 0].astype(int)
        assert (grey.min(), grey.max()) == (0, 255)
        sky = np.isin(labels, [label(name) for name in ("sky", "sun_moon", "cloud")])
        assert np.median(grey[sky]) == 0
        ground = labels == label("grass")
        by_row = [np.median(grey[row][ground[row]]) for row in range(SIDE) if ground[row].sum() > SIDE / 4]
        assert (np.diff(by_row) >= 0).all()
        assert by_row[-1] > 200
        if (labels == label("mountain")).any():
            mountains = grey[cv2.erode((labels == label("mountain")).astype(np.uint8), np.ones((5, 5))) > 0]
            assert 0 < np.median(mountains) < by_row[len(by_row) // 2]


def test_a_thing_is_as_near_as_the_ground_it_stands_on() -> None:
    """Trees and houses of the painter's, each against the row of its foot."""
    seen = 0
    for seed in SEEDS:
        near, labels = depth_of(seed), paint(seed).labels
        count, things = cv2.connectedComponents(np.isin(labels, [label("tree"), label("house")]).astype(np.uint8))
        for number in range(1, count):
            rows, columns = np.nonzero(things == number)
            foot, column = rows.max(), columns[rows.argmax()]
            if rows.size < 60 or foot + 1 >= SIDE or labels[foot + 1, column] != label("grass"):
                continue
            seen += 1
            assert abs(np.median(near[rows, columns][rows > foot - 4]) - near[foot + 1, column]) < 0.1
    assert seen >= 6


def test_normals_have_the_colours_of_baes_network(studio: Studio) -> None:
    """Green where a surface faces up, blue where it faces the viewer, red where it faces left; each of length one."""
    for seed in SEEDS:
        found, labels = map_of(studio, "normals", seed).astype(int), sized(paint(seed).labels)
        length = np.linalg.norm(found / 127.5 - 1, axis=2)
        assert np.quantile(np.abs(length - 1), 0.95) < 0.05
        inside = cv2.erode((labels == label("grass")).astype(np.uint8), np.ones((5, 5))) > 0
        red, green, _ = np.median(found[inside], axis=0)
        assert green > 240
        assert abs(red - 128) < 5
        assert np.median(found[labels == label("sky")], axis=0).tolist() == [128, 128, 255]
    found = map_of(studio, "normals", SEEDS[1]).astype(int)
    house = sized(paint(SEEDS[1]).labels) == label("house")
    house[: SIDE // 2 + 40] = False  # the large one in front
    columns = np.nonzero(house)[1]
    middle, reach = (columns.min() + columns.max()) / 2, np.arange(SIDE)
    left, right = (house & side for side in (reach < middle - 10, reach > middle + 10))
    assert found[left][:, 0].mean() > found[right][:, 0].mean() + 10


def test_poses_are_people_that_the_judge_reads(studio: Studio) -> None:
    """Black but for limbs in OpenPose's colours; each person has all joints that COCO knows, inside the picture."""
    wanted = {joint for _, joint in JOINTS if joint is not None}
    counts = set()
    for seed in range(700_000, 700_012):
        found = draw_people(seed, (512, 512))
        assert 0.9 < (found.max(axis=2) == 0).mean() < 0.999
        drawn = people(found)
        joints = {joint for person in drawn for joint in person.points}
        assert len(joints) >= len(wanted) - 3  # a hand may lie over another joint
        assert not found[[0, -1]].any()
        assert not found[:, [0, -1]].any()
        counts.add(len(drawn))
    assert counts <= set(range(1, MOST_PEOPLE + 1))
    assert len(counts) > 1
    np.testing.assert_array_equal(map_of(studio, "pose", SEEDS[0]), draw_people(SEEDS[0], (SIDE, SIDE)))
