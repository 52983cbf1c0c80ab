"""From a picture of any proportions to a square map: crop, fit, fill; detectors' thresholds; whose look counts."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from hgc.control import annotators
from hgc.control.annotators import ANNOTATORS, AnnotatorUnavailable, annotate
from hgc.control.images import ImageRefused
from hgc.control.reading import Reading
from hgc.landscapes.labels import PALETTE
from hgc.request import Request
from hgc.studio.control_map import Prepared, prepare_control
from hgc.studio.world import LANDSCAPES
from hgc.ui.playground import reading_ways
from hgc.ui.playground.looks import Looks

SIDE = 128


def prepared(picture: np.ndarray, control: str, annotator: str | None = None, **reading: Any) -> Prepared:
    return prepare_control(picture, control, (SIDE, SIDE), LANDSCAPES.sets, annotator, Reading(**reading))


def stripes(upright: bool) -> np.ndarray:
    """Three areas side by side or one below the other: sky, water, house; 128 by 384 pixels."""
    colours = np.array([PALETTE[name] for name in ("sky", "water", "house")], np.uint8)
    picture = np.repeat(np.repeat(colours[None], 128, axis=0), 128, axis=1)
    return np.ascontiguousarray(picture.transpose(1, 0, 2)) if upright else picture


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(
    ("position", "name", "cut"),
    [
        (0.0, "sky", ("on the right", "at the bottom")),
        (0.5, "water", ("on the left and the right", "at the top and the bottom")),
        (1.0, "house", ("on the left", "at the top")),
    ],
)
def test_a_crop_shows_the_part_that_was_chosen(upright: bool, position: float, name: str, cut: tuple[str, str]) -> None:
    found = prepared(stripes(upright), "segmentation", position=position)
    assert (found.map == PALETTE[name]).all()
    assert found.notes == (f"the picture is not square: 67% of it is cut off {cut[upright]}",)


@pytest.mark.parametrize("upright", [False, True])
def test_fit_keeps_everything_and_its_bars_are_unpainted(upright: bool) -> None:
    found = prepared(stripes(upright), "segmentation", framing="fit")
    across = found.map.transpose(1, 0, 2) if upright else found.map
    assert (across[:40] == PALETTE["sky"]).all()
    assert [tuple(across[64, at]) for at in (20, 64, 108)] == [PALETTE[name] for name in ("sky", "water", "house")]
    bars = "on the left and the right" if upright else "at the top and the bottom"
    assert found.notes == (f"the picture is not square: bars stay bare {bars}",)


def test_fill_stretches() -> None:
    found = prepared(stripes(False), "segmentation", framing="fill")
    assert [tuple(found.map[at, at]) for at in (10, 64, 118)] == [PALETTE[name] for name in ("sky", "water", "house")]
    assert found.notes == ("the picture is not square: it is stretched to 3.00 times its height",)


@pytest.mark.parametrize("annotator", ["canny", "lineart_standard", None])
def test_no_detector_takes_the_bars_for_a_line(annotator: str | None) -> None:
    page = np.full((200, 400, 3), 230, np.uint8)
    cv2.circle(page, (200, 100), 60, (40, 40, 40), 6)
    found = prepared(page, "edges", annotator, framing="fit")
    rows = found.map.any(axis=(1, 2)).nonzero()[0]
    assert rows.min() == pytest.approx(32 + 40 / 400 * SIDE - 1, abs=3)
    assert rows.max() == pytest.approx(32 + 160 / 400 * SIDE, abs=3)
    assert not found.map[:34].any()
    assert not found.map[-34:].any()


@pytest.mark.parametrize("framing", ["crop", "fit", "fill"])
def test_a_square_picture_is_the_same_in_every_framing_and_needs_no_word(framing: str) -> None:
    photo = data.astronaut()
    found = prepared(photo, "edges", "canny", framing=framing, position=0.0)
    np.testing.assert_array_equal(found.map, prepared(photo, "edges", "canny").map)
    assert found.notes == ()


def test_thresholds_reach_their_detector_and_without_them_the_models_own_hold() -> None:
    photo = data.astronaut()

    def share(annotator: str, **reading: Any) -> float:
        return float(prepared(photo, "edges", annotator, **reading).map.mean())

    assert share("canny", low_threshold=20, high_threshold=60) > 1.3 * share("canny")
    assert share("canny", high_threshold=400) < share("canny")
    assert share("lineart_standard", sigma_px=2.0) != share("lineart_standard")
    own = prepare_control(photo, "edges", (SIDE, SIDE), LANDSCAPES.sets, "canny", canny=(20, 60)).map
    np.testing.assert_array_equal(own, prepared(photo, "edges", "canny", low_threshold=20, high_threshold=60).map)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"framing": "squash"}, "framing is 'squash'"),
        ({"position": 1.5}, "position is 1.5"),
        ({"position": float("nan")}, "position is nan"),
        ({"low_threshold": 10**9}, "low_threshold is 1000000000"),
        ({"low_threshold": 90, "high_threshold": 30}, "low 90 and high 30.*lower the first or raise the second"),
        ({"sigma_px": "wide"}, "sigma_px is 'wide'"),
        ({"zoom": 2}, "'zoom' is not part of a reading; known are framing, position"),
        ([1, 2], "A reading is an object"),
        ("crop", "A reading is an object"),
    ],
)
def test_a_reading_that_cannot_be_is_refused_by_name(given: Any, said: str) -> None:
    with pytest.raises(ImageRefused, match=said):
        Reading.parse(given)


def test_one_threshold_alone_takes_the_other_along() -> None:
    assert (Reading(low_threshold=300).settings((50, 120)).high_threshold) == 300
    assert (Reading(high_threshold=20).settings((50, 120)).low_threshold) == 20


@pytest.mark.parametrize("name", [name for name, known in ANNOTATORS.items() if known.needs_weights])
def test_the_files_of_a_detector_are_those_it_looks_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotatorUnavailable) as caught:
        annotate(np.zeros((64, 64, 3), np.uint8), name, weights=str(tmp_path))
    # Without its file MiDaS asks for a downloader that is not installed.
    assert ANNOTATORS[name].files[0] in str(caught.value.__cause__) or name == "midas"
    assert not ANNOTATORS[name].ready(str(tmp_path))
    for file in ANNOTATORS[name].files:
        (tmp_path / file).touch()
    assert ANNOTATORS[name].ready(str(tmp_path))


def test_what_has_to_be_fetched_is_marked_before_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotators.Annotator, "ready", lambda known: known.name in ("canny", "pidinet"))
    marked = {name for label, name in reading_ways.annotator_choices() if "downloads its weights first" in label}
    assert marked == {"hed", "scribble_hed", "mlsd", "lineart", "lineart_coarse", "lineart_anime"}


def test_a_look_that_was_replaced_is_not_waited_for_and_holds_up_nobody() -> None:
    looks, ended = Looks(), threading.Event()
    looks.begin("anna", 1)
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(looks.wait(lambda: ended.wait(60), "anna", 1)))
    waiting.start()
    try:
        looks.begin("bert", 1)
        assert looks.wait(lambda: "other", "bert", 1) == "other"
        assert looks.stands("anna", 1)
        looks.begin("anna", 2)
        begun = time.monotonic()
        waiting.join(20)
        assert answers == [None]
        assert time.monotonic() - begun < 20
        assert looks.wait(lambda: "canny", "anna", 2) == "canny"
        assert not looks.stands("anna", 1)
    finally:
        ended.set()


def test_an_error_of_slow_work_is_the_askers_own() -> None:
    def fails() -> None:
        raise TimeoutError("the hub does not answer")

    looks = Looks()
    looks.begin("anna", 1)
    with pytest.raises(TimeoutError, match="does not answer"):
        looks.wait(fails, "anna", 1)


def test_a_map_of_the_pictures_own_proportions_has_all_of_it() -> None:
    wide = prepare_control(stripes(upright=False), "segmentation", (192, 64), LANDSCAPES.sets)
    assert wide.map.shape == (64, 192, 3)
    assert {tuple(colour) for colour in wide.map.reshape(-1, 3)} == {PALETTE[n] for n in ("sky", "water", "house")}
    assert not wide.notes
    upright = prepare_control(stripes(upright=False), "segmentation", (64, 128), LANDSCAPES.sets)
    assert upright.map.shape == (128, 64, 3)
    assert "the picture has other proportions: 83% of it is cut off on the left and the right" in upright.notes


@pytest.mark.parametrize("control", ["depth", "normals", "pose", "tile"])
def test_a_finished_map_of_another_control_is_left_as_it_is(control: str) -> None:
    picture = data.astronaut()[:SIDE, :SIDE]
    assert np.array_equal(prepared(picture, control).map, picture)
    with pytest.raises(ImageRefused, match=f"Canny makes edges, this control reads {control}"):
        prepared(picture, control, "canny")


def test_a_control_of_soft_lines_is_given_grey_ones() -> None:
    """Edges alone are white or black."""
    photo = data.astronaut()[:256, :256]
    soft, hard = (prepared(photo, control, "lineart_standard").map for control in ("lineart", "edges"))
    assert set(np.unique(hard)) == {0, 255}
    assert len(np.unique(soft)) > 20


def test_a_large_photo_is_a_map_that_a_request_can_carry() -> None:
    """At SDXL's size: its colours are coarsened no further than it takes, and that is said."""
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    for photo, said in ((noise, "coarsened to"), (noise // 32 * 32, "")):
        made = prepare_control(photo, "tile", (1024, 1024), LANDSCAPES.sets)
        assert Request.make(made.png, control="tile").control_bytes == made.png
        assert said in " ".join(made.notes)
        assert np.abs(made.map.astype(int) - photo).max() < 32
