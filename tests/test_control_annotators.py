"""Photos to control maps with the real detectors of controlnet_aux, at the photo's own size."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from hgc.control import annotators
from hgc.control.annotators import ANNOTATORS, Annotated, AnnotatorSettings, AnnotatorUnavailable, annotate
from hgc.control.reading import Reading

PALETTE = {"sky": (70, 130, 180), "grass": (90, 180, 80), "house": (200, 60, 60)}
WEIGHTLESS = ("canny", "lineart_standard", "content_shuffle", "palette_snap")
SIZES = [(64, 128), (100, 77), (33, 250), (8, 8)]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return data.coffee()[:256, :256]


def resized(photo: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return cv2.resize(photo, (columns, rows), interpolation=cv2.INTER_AREA)


def test_the_three_that_the_package_gives_and_colour_snap_need_no_weights() -> None:
    assert tuple(name for name, annotator in ANNOTATORS.items() if not annotator.needs_weights) == WEIGHTLESS


def test_every_annotator_says_what_to_use_instead_and_that_needs_nothing() -> None:
    needing = [annotator for annotator in ANNOTATORS.values() if annotator.needs_weights]
    assert len(needing) == 12
    assert all(annotator.instead in WEIGHTLESS for annotator in needing)


@pytest.mark.parametrize("name", WEIGHTLESS)
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_the_map_has_the_photos_size(photo: np.ndarray, name: str, rows: int, columns: int) -> None:
    annotated = annotate(resized(photo, rows, columns), name, palette=PALETTE)
    assert annotated.map.shape == (rows, columns, 3)
    assert annotated.map.dtype == np.uint8
    assert annotated.kind == ANNOTATORS[name].kind


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_canny_is_opencvs_inside_the_frame(photo: np.ndarray, rows: int, columns: int) -> None:
    """Nothing is resized on the way, so the detector's lines are those of OpenCV on the photo itself."""
    small = resized(photo, rows, columns)
    ours = annotate(small, "canny", AnnotatorSettings(low_threshold=50, high_threshold=50)).map[:, :, 0]
    expected = cv2.Canny(small, 50, 50)
    np.testing.assert_array_equal(ours[2:-2, 2:-2], expected[2:-2, 2:-2])


def test_canny_obeys_its_thresholds(photo: np.ndarray) -> None:
    few = annotate(photo, "canny", AnnotatorSettings(low_threshold=200, high_threshold=400)).map
    many = annotate(photo, "canny", AnnotatorSettings(low_threshold=20, high_threshold=50)).map
    assert 0 < few.mean() < many.mean()
    assert set(np.unique(many)) == {0, 255}


def test_lineart_finds_dark_strokes_and_obeys_its_blur(photo: np.ndarray) -> None:
    page = np.full((128, 128, 3), 220, np.uint8)
    page[60:63, 20:100] = 30
    lines = annotate(page, "lineart_standard").map[:, :, 0]
    assert lines[61, 30:90].min() > 100
    assert lines[100:, :].max() < 20
    narrow = annotate(photo, "lineart_standard", AnnotatorSettings(sigma_px=1.0)).map
    assert not np.array_equal(narrow, annotate(photo, "lineart_standard").map)


@pytest.mark.parametrize(("rows", "columns"), [(64, 128), (64, 64)])
def test_a_resolution_is_how_large_the_detector_sees_the_photo(photo: np.ndarray, rows: int, columns: int) -> None:
    """The map keeps the photo's size; lines stay lines, neither torn nor blurred."""
    settings = {"low_threshold": 50, "high_threshold": 100}
    large = resized(photo, 2 * rows, 2 * columns)
    coarse = annotate(large, "canny", AnnotatorSettings(**settings, resolution_px=rows)).map
    seen = annotate(resized(large, rows, columns), "canny", AnnotatorSettings(**settings)).map
    np.testing.assert_array_equal(coarse, seen.repeat(2, axis=0).repeat(2, axis=1))
    assert not np.array_equal(coarse, annotate(large, "canny", AnnotatorSettings(**settings)).map)


@pytest.mark.parametrize(
    ("name", "reading", "told"),
    [
        ("mlsd", {"line_score": 0.3, "line_length": 4.0}, {"thr_v": 0.3, "thr_d": 4.0}),
        ("openpose", {"hands": True}, {"include_hand": True, "include_face": True}),
        ("openpose", {}, {"include_hand": False, "include_face": False}),
        ("hed", {"resolution_px": 64}, {"detect_resolution": 64, "image_resolution": 64}),
        ("hed", {}, {"detect_resolution": 256, "image_resolution": 256}),
    ],
)
def test_settings_of_a_reading_reach_their_detector(
    photo: np.ndarray, name: str, reading: dict, told: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: dict[str, object] = {}

    def detector(photo: np.ndarray, **settings: object) -> np.ndarray:
        heard.update(settings)
        return photo

    monkeypatch.setattr(annotators, "_detector", lambda *_: detector)
    annotated = annotate(photo, name, Reading.parse(reading).settings((100, 200)))
    assert annotated.map.shape == photo.shape
    assert heard.items() >= told.items()


@pytest.mark.parametrize("name", ["canny", "lineart_standard"])
def test_a_photo_without_lines_gives_a_black_map_and_says_so(name: str) -> None:
    annotated = annotate(np.full((64, 80, 3), 130, np.uint8), name)
    assert not annotated.map.any()
    assert "no lines were found" in annotated.notes[0]


def test_the_shuffle_depends_on_its_seed_alone(photo: np.ndarray) -> None:
    def shuffled(seed: int) -> np.ndarray:
        return annotate(photo, "content_shuffle", AnnotatorSettings(seed=seed)).map

    first = shuffled(1)
    np.random.uniform(size=7)
    np.testing.assert_array_equal(first, shuffled(1))
    assert not np.array_equal(first, shuffled(2))
    assert not np.array_equal(first, photo)


def test_the_shuffle_leaves_the_global_generator_where_it_was(photo: np.ndarray) -> None:
    np.random.seed(5)
    expected = np.random.uniform(size=4)
    np.random.seed(5)
    annotate(photo, "content_shuffle", AnnotatorSettings(seed=9))
    np.testing.assert_array_equal(np.random.uniform(size=4), expected)


def test_the_shuffle_only_moves_colours(photo: np.ndarray) -> None:
    flat = np.full((128, 128, 3), (10, 200, 30), np.uint8)
    np.testing.assert_array_equal(annotate(flat, "content_shuffle").map, flat)


def test_colour_snap_finds_the_classes_and_says_what_it_is() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array([0, 0, 1, 2], np.uint8), 24)[:, None].repeat(96, axis=1)
    photo = (np.array(list(PALETTE.values()))[labels] + rng.normal(0, 12, (96, 96, 3))).clip(0, 255).astype(np.uint8)
    snapped = annotate(photo, "palette_snap", palette=PALETTE)
    colours = np.array(list(PALETTE.values()))
    assert (snapped.map[:, :, None] == colours).all(axis=3).any(axis=2).all(), "only palette colours come out"
    assert (snapped.map == colours[labels]).all(axis=2).mean() > 0.97
    assert "not semantic segmentation" in snapped.notes[0]


def test_colour_snap_without_a_palette_is_an_error(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="'palette_snap'"):
        annotate(photo, "palette_snap")


def unavailable(photo: np.ndarray, name: str, weights: str) -> str:
    with pytest.raises(AnnotatorUnavailable) as caught:
        annotate(photo, name, weights=weights)
    return str(caught.value)


@pytest.mark.parametrize("name", [name for name, annotator in ANNOTATORS.items() if annotator.needs_weights])
def test_weights_that_cannot_be_fetched_are_said_with_why_and_what_instead(photo: np.ndarray, name: str) -> None:
    message, annotator = unavailable(photo, name, "nobody/has-these-weights"), ANNOTATORS[name]
    assert message.startswith(f"{annotator.label} needs weights from nobody/has-these-weights")
    assert "could not be fetched (LocalEntryNotFoundError)" in message
    assert ANNOTATORS[annotator.instead].label in message


@pytest.mark.parametrize("name", ["pidinet", "midas"])
def test_a_folder_without_the_weights_is_named(photo: np.ndarray, name: str, tmp_path: Path) -> None:
    assert str(tmp_path) in unavailable(photo, name, str(tmp_path))


def test_a_detector_runs_when_its_weights_are_there(photo: np.ndarray, tmp_path: Path) -> None:
    """PiDiNet's real architecture with random weights in a folder, against the detector called directly."""
    from controlnet_aux import PidiNetDetector
    from controlnet_aux.pidi.model import pidinet

    weights = {f"module.{name}": tensor for name, tensor in pidinet().state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "table5_pidinet.pth")
    small = resized(photo, 64, 128)
    direct = PidiNetDetector.from_pretrained(str(tmp_path))(small, 64, 64, output_type="np")
    np.testing.assert_array_equal(annotate(small, "pidinet", weights=str(tmp_path)).map, direct)
    assert annotate(resized(photo, 100, 77), "pidinet", weights=str(tmp_path)).map.shape == (100, 77, 3)


def test_unknown_names_and_shapes_are_refused(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"'sobel'.*canny, lineart_standard"):
        annotate(photo, "sobel")
    with pytest.raises(ValueError, match=r"\(256, 256\).*uint8 \[H, W, 3\]"):
        annotate(photo[:, :, 0], "canny")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low_threshold": 300}, "low 300, high 200"),
        ({"low_threshold": -1}, "low -1"),
        ({"sigma_px": 0.0}, "sigma_px is 0.0"),
        ({"line_threshold": 255}, "line_threshold is 255"),
        ({"seed": -1}, "seed is -1"),
        ({"resolution_px": 32}, "resolution_px is 32"),
    ],
)
def test_settings_are_validated_when_made(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnnotatorSettings(**settings)


def test_the_detectors_package_is_imported_at_the_first_use_only() -> None:
    code = "import sys, hgc.control.annotators; print('controlnet_aux' in sys.modules, 'torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", "False"]


def test_a_map_can_be_annotated_again(photo: np.ndarray) -> None:
    shuffled: Annotated = annotate(photo, "content_shuffle")
    assert annotate(shuffled.map, "canny").map.any()
