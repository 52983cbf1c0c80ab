"""Areas painted for a depth control: how near things are is told from where they stand, where the model's world can."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hgc.control.canvas import Pixels
from hgc.control.images import ImageRefused
from hgc.landscapes.eyes import DepthReader, Segmenter
from hgc.landscapes.labels import colour_map, label
from hgc.landscapes.relief import depth_map, near_of_map
from hgc.models.presets import landscapes_in, presets
from hgc.studio.control_map import AREAS, NEARNESS, prepare_control
from hgc.studio.judge import OWN_DEPTH, Judge
from hgc.studio.world import ANYTHING, LANDSCAPES
from hgc.ui.playground.drawing import AUTO, kind_drawn, painted, sources_of

ROOT = Path(__file__).parents[1]
HALF_WAY = ROOT / "assets" / "training" / "landscapes"
SIDE = 256


@pytest.fixture
def sheet() -> Pixels:
    """A near house and a far one on a meadow under the sky, RGBA [256, 256, 4]."""
    labels = np.full((SIDE, SIDE), label("sky"), np.uint8)
    labels[120:] = label("grass")
    labels[190:230, 30:90] = label("house")
    labels[118:135, 180:200] = label("house")
    return np.dstack([colour_map(labels), np.full((SIDE, SIDE), 255, np.uint8)])


def test_painted_areas_become_the_depth_map_of_what_they_show(sheet: Pixels) -> None:
    made = prepare_control(sheet, "depth", (SIDE, SIDE), LANDSCAPES.sets, AREAS, near=LANDSCAPES.near)
    areas = prepare_control(sheet, "segmentation", (SIDE, SIDE), LANDSCAPES.sets)
    numbers = np.argmin(np.abs(areas.map[:, :, None].astype(int) - list(LANDSCAPES.sets[0].palette.values())).sum(3), 2)
    np.testing.assert_array_equal(made.map, depth_map(near_of_map(numbers.astype(np.uint8)), (SIDE, SIDE)))
    grey = made.map[:, :, 0]
    assert grey[210, 60] > grey[125, 190] > grey[20, 128] == 0
    assert NEARNESS in made.notes


def test_a_model_that_cannot_tell_how_near_areas_are_says_so(sheet: Pixels) -> None:
    with pytest.raises(ImageRefused, match="cannot be painted in areas"):
        prepare_control(sheet, "depth", (SIDE, SIDE), ANYTHING.sets, AREAS, near=ANYTHING.near)


def test_a_canvas_is_offered_for_depth_where_areas_can_be_painted_for_it(sheet: Pixels) -> None:
    controls = ("segmentation", "edges", "depth")
    assert sources_of(controls, "depth", LANDSCAPES.painted) == ("paint", "photo")
    assert sources_of(controls, "depth", ANYTHING.painted) == ("photo",)
    assert sources_of(controls, AUTO, LANDSCAPES.painted) == ("paint", "lines", "photo")
    assert sources_of(controls, "edges", LANDSCAPES.painted) == ("lines", "photo")
    assert [kind_drawn("paint", "", which) for which in (AUTO, "segmentation", "depth", "edges")] == [
        "segmentation",
        "segmentation",
        "depth",
        "segmentation",
    ]
    assert painted(sheet, "depth", "paint").annotator == AREAS
    assert painted(sheet, "segmentation", "paint").annotator is None


def test_weights_with_a_depth_net_have_the_control() -> None:
    assert list(landscapes_in(HALF_WAY).controls) == ["segmentation", "edges", "depth"]
    there = (Path(presets()["landscapes"].source) / "controlnet_depth").is_dir()
    assert ("depth" in presets()["landscapes"].controls) == there


def test_a_picture_under_depth_is_scored_by_the_model_s_own_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """RMSE in grey levels, whatever scale and shift the map has; 0 the best."""
    near = np.linspace(0, 1, 16, dtype=np.float32)[:, None].repeat(16, 1)
    monkeypatch.setattr(DepthReader, "read", lambda reader, images: torch.from_numpy(near)[None])
    judge = Judge(Segmenter((8, 8)), (50, 120), depth_reader=DepthReader((8, 8)))
    picture = np.zeros((16, 16, 3), np.uint8)
    of = np.repeat((40 + 100 * near)[..., None], 3, 2).astype(np.uint8)
    assert judge.score(picture, of, "depth") < 1
    assert judge.score(picture, of[::-1], "depth") == pytest.approx(of.astype(float)[..., 0].std(), rel=0.02)
    assert judge.name("depth").startswith(OWN_DEPTH)
    assert judge.overlaps(picture, of, "depth") == {}


def test_weights_without_a_depth_reader_leave_depth_unscored() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    assert np.isnan(Judge(Segmenter((8, 8)), (50, 120)).score(picture, picture, "depth"))
