"""Areas painted for a depth control: how near things are is told from where they stand, where the model's world can."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from serving import forgotten_loops
from test_other_models import studio_of

from hgc.control.canvas import Pixels
from hgc.control.images import ImageRefused
from hgc.landscapes.eyes import DepthReader, Segmenter
from hgc.landscapes.labels import colour_map, label
from hgc.landscapes.relief import depth_map, near_of_map
from hgc.models.presets import landscapes_in
from hgc.studio.control_map import NEARNESS, Prepared, prepare_control
from hgc.studio.judge import OWN_DEPTH, Judge
from hgc.studio.world import ANYTHING, LANDSCAPES
from hgc.ui import Loader
from hgc.ui.pictures import png_url
from hgc.ui.playground import control_panel
from hgc.ui.playground.control_events import ControlEvents
from hgc.ui.playground.drawing import AUTO, drawn, fitted, kind_drawn, sources_of
from hgc.ui.playground.example_events import ExampleEvents
from hgc.ui.playground.size import OWN
from hgc.ui.playground.tab import Playground, build_playground
from hgc.ui.playground.wanted import control_of
from hgc.ui.runner import Runner

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
    made = prepare_control(sheet, "depth", (SIDE, SIDE), LANDSCAPES.sets, areas=True, near=LANDSCAPES.near)
    areas = prepare_control(sheet, "segmentation", (SIDE, SIDE), LANDSCAPES.sets)
    numbers = np.argmin(np.abs(areas.map[:, :, None].astype(int) - list(LANDSCAPES.sets[0].palette.values())).sum(3), 2)
    np.testing.assert_array_equal(made.map, depth_map(near_of_map(numbers.astype(np.uint8)), (SIDE, SIDE)))
    grey = made.map[:, :, 0]
    assert grey[210, 60] > grey[125, 190] > grey[20, 128] == 0
    assert NEARNESS in made.notes


def test_a_model_that_cannot_tell_how_near_areas_are_says_so(sheet: Pixels) -> None:
    with pytest.raises(ImageRefused, match="cannot be painted in areas"):
        prepare_control(sheet, "depth", (SIDE, SIDE), ANYTHING.sets, areas=True, near=ANYTHING.near)


def test_a_canvas_is_offered_for_depth_where_areas_can_be_painted_for_it() -> None:
    controls = ("segmentation", "edges", "depth")
    assert sources_of(controls, "depth", LANDSCAPES.painted) == ("paint", "photo")
    assert sources_of(controls, "depth", ANYTHING.painted) == ("photo",)
    assert sources_of(controls, AUTO, LANDSCAPES.painted) == ("paint", "lines", "photo")
    assert sources_of(controls, "edges", LANDSCAPES.painted) == ("lines", "photo")
    kinds = [kind_drawn("paint", "", which) for which in (AUTO, "segmentation", "depth", "edges")]
    assert kinds == ["segmentation", "segmentation", "depth", "segmentation"]


def test_areas_are_a_label_map_where_a_model_has_none_painted_for_depth(sheet: Pixels) -> None:
    """As the forecast has it, and the picture."""
    url, controls = png_url(sheet), ("segmentation", "depth")
    given = drawn("paint", url, None, None, "canny", OWN, "depth")
    for world, control in ((LANDSCAPES, "depth"), (ANYTHING, "segmentation")):
        studio: Any = SimpleNamespace(controls=controls, world=world)
        assert fitted(given, studio).control == control
        assert control_of("paint", "canny", "depth", controls, world.painted) == control


def test_weights_with_a_depth_net_have_the_control(tmp_path: Path) -> None:
    assert list(landscapes_in(tmp_path).controls) == ["segmentation", "edges"]
    (tmp_path / "controlnet_depth").mkdir()
    assert list(landscapes_in(tmp_path).controls) == ["segmentation", "edges", "depth"]


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
    assert judge.own("depth") == OWN_DEPTH
    assert judge.overlaps(picture, of, "depth") == {}
    assert np.isnan(judge.score(picture, picture, "depth")), "a map without relief says nothing"


def test_weights_without_a_depth_reader_leave_depth_unscored() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    judge = Judge(Segmenter((8, 8)), (50, 120))
    assert np.isnan(judge.score(picture, picture, "depth"))
    assert judge.own("depth") == ""


def playground() -> Playground:
    studio = studio_of("sd")
    with forgotten_loops(), gr.Blocks():
        return build_playground(Runner(Loader(lambda: studio).start()))


def test_a_page_opens_with_the_kinds_of_map_where_what_is_drawn_does_not_tell_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert playground().control.which.visible is ("depth" in control_panel.LANDSCAPES)
    monkeypatch.setattr(control_panel, "LANDSCAPES", ("segmentation", "edges", "depth"))
    which = playground().control.which
    assert which.visible
    assert ("Depth", "depth") in which.choices


def test_an_example_is_read_as_it_is_drawn_whatever_was_chosen_before() -> None:
    page = playground()
    event: Any = SimpleNamespace(index=0)
    taken = ExampleEvents(page).take("as_map", event)
    assert taken[3:5] == (AUTO, "")
    assert taken[5]["value"] in [name for _, name in taken[5]["choices"]], "a finished map is no way to either kind"


def test_a_photo_is_painted_over_for_depth_and_its_map_is_not_made_into_areas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = playground()
    studio: Any = SimpleNamespace(
        controls=("segmentation", "edges", "depth"),
        world=LANDSCAPES,
        size=(SIDE, SIDE),
        loaded=None,
        prepare_control=lambda picture, control, *how, areas: Prepared(picture[:, :, :3]),
    )
    monkeypatch.setattr(page.runner.loader, "studio", lambda: studio)
    photo = tmp_path / "photo.png"
    Image.new("RGB", (SIDE, SIDE)).save(photo)
    drawing = ("photo", None, None, str(photo), "as_depth", OWN, "depth")
    asked = (gr.Request(session_hash="visitor"), 1, *drawing)
    source, painting, *_ = ControlEvents(page).trace(*asked)
    assert (source, painting) == ("paint", "")
    assert "cannot be painted on" in ControlEvents(page).edit(*asked)[4]
