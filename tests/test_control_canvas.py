"""From what the editor sends to what the model reads: composing, snapping, finding lines, fitting."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from skimage.color import deltaE_cie76, rgb2lab

from hgc.control.canvas import Framing, Kind, snap
from hgc.control.fitting import fit, on_sheet
from hgc.landscapes.labels import COLOURS, PALETTE


def painted(labels: np.ndarray) -> np.ndarray:
    return COLOURS[labels]


def two_shapes(back: str, front: str, side: int = 128) -> np.ndarray:
    """An anti-aliased triangle of one class on a ground of another."""
    large = Image.new("RGB", (side * 4, side * 4), PALETTE[back])
    corners = [(side * 0.5, side * 0.3), (side * 3.7, side * 1.6), (side * 0.8, side * 3.6)]
    ImageDraw.Draw(large).polygon(corners, fill=PALETTE[front])
    return np.array(large.resize((side, side), Image.Resampling.LANCZOS))


class TestSnap:
    @given(arrays(np.uint8, (12, 9), elements=st.integers(0, len(PALETTE) - 1)))
    def test_a_clean_map_is_its_own_label_map(self, labels: np.ndarray) -> None:
        snapped = snap(painted(labels), PALETTE, "sky")
        np.testing.assert_array_equal(snapped.labels, labels)
        np.testing.assert_array_equal(snapped.map, painted(labels))
        assert (snapped.share_snapped, snapped.share_unpainted) == (0, 0)

    @given(arrays(np.uint8, (8, 8, 3)))
    def test_snapping_twice_changes_nothing(self, image: np.ndarray) -> None:
        once = snap(image, PALETTE, "sky")
        twice = snap(once.map, PALETTE, "sky")
        np.testing.assert_array_equal(once.labels, twice.labels)
        assert twice.share_snapped == 0

    @given(arrays(np.uint8, (1, 1, 3)))
    def test_a_single_colour_goes_to_the_nearest_class_in_lab(self, image: np.ndarray) -> None:
        """Independent reference: scikit-image's Lab and CIE76; OpenCV's Lab is interpolated, a few tenths off."""
        distance = deltaE_cie76(rgb2lab(COLOURS / 255.0), rgb2lab(image[0] / 255.0))
        label = snap(image, PALETTE, "sky", paper=None).labels[0, 0]
        assert distance[label] == pytest.approx(distance.min(), abs=1.0)

    @pytest.mark.parametrize(("back", "front"), list(itertools.combinations(PALETTE, 2)))
    def test_an_anti_aliased_outline_makes_no_third_class(self, back: str, front: str) -> None:
        image = two_shapes(back, front)
        snapped = snap(image, PALETTE, "sky")
        names = list(PALETTE)
        assert set(np.unique(snapped.labels)) == {names.index(back), names.index(front)}
        blends = (image[:, :, None] != COLOURS).any(axis=3).all(axis=2)
        assert snapped.share_snapped == pytest.approx(blends.mean())
        assert blends.any()

    def test_plain_nearest_colour_would_make_third_classes(self) -> None:
        """The rule above is needed: some blend lies nearer to a class that nobody painted."""
        blends = two_shapes("water", "path").reshape(-1, 1, 3)
        alone = {int(snap(pixel[None], PALETTE, "sky").labels[0, 0]) for pixel in np.unique(blends, axis=0)}
        assert len(alone) > 2

    def test_a_jpeg_of_a_map_keeps_its_classes(self) -> None:
        labels = np.repeat(np.arange(9, dtype=np.uint8).reshape(3, 3), 40, axis=0).repeat(40, axis=1)
        buffer = io.BytesIO()
        Image.fromarray(painted(labels)).save(buffer, "JPEG", quality=85)
        snapped = snap(np.array(Image.open(buffer)), PALETTE, "sky")
        assert (snapped.labels == labels).mean() > 0.98
        assert snapped.share_snapped > 0.1

    def test_share_snapped_counts_pixels(self) -> None:
        image = painted(np.zeros((10, 10), np.uint8))
        image[0, :3] = (72, 131, 180)
        assert snap(image, PALETTE, "grass").share_snapped == pytest.approx(0.03)

    def test_clear_and_paper_take_the_class_for_unpainted(self) -> None:
        image = np.zeros((4, 4, 4), np.uint8)
        image[0] = (*PALETTE["house"], 255)
        image[1] = (255, 255, 255, 255)
        snapped = snap(image, PALETTE, "grass")
        assert snapped.labels[:, 0].tolist() == [8, 4, 4, 4]
        assert tuple(snapped.map[3, 3]) == PALETTE["grass"]
        assert (snapped.share_snapped, snapped.share_unpainted) == (0, 0.75)

    def test_a_half_clear_brush_edge_keeps_its_colour(self) -> None:
        image = np.zeros((1, 2, 4), np.uint8)
        image[0, 0] = (*PALETTE["tree"], 200)
        image[0, 1] = (*PALETTE["tree"], 100)
        assert snap(image, PALETTE, "sky").labels.tolist() == [[7, 0]]

    def test_white_is_a_class_where_the_palette_says_so_and_a_colour_where_paper_is_none(self) -> None:
        white = np.full((2, 2, 3), 255, np.uint8)
        assert snap(white, {"road": (0, 0, 0), "snow": (255, 255, 255)}, "road").share_unpainted == 0
        assert snap(white, PALETTE, "sky", paper=None).labels[0, 0] == 2
        assert snap(white, PALETTE, "sky").labels[0, 0] == 0

    def test_wrong_calls_name_both_sides(self) -> None:
        with pytest.raises(ValueError, match=r"'lava'.*sky, sun_moon"):
            snap(np.zeros((2, 2, 3), np.uint8), PALETTE, "lava")
        with pytest.raises(ValueError, match=r"\(2, 2\).*float64.*uint8 \[H, W, 3\]"):
            snap(np.zeros((2, 2)), PALETTE, "sky")


class TestFit:
    @pytest.mark.parametrize("kind", ["labels", "photo", "edges"])
    @pytest.mark.parametrize("framing", ["crop", "fill"])
    @pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3), (300, 77), (20, 500, 3), (33, 31, 4)])
    def test_the_size_is_the_models(self, shape: tuple[int, ...], framing: Framing, kind: Kind) -> None:
        fitted = fit(np.zeros(shape, np.uint8), (64, 96), kind, framing)
        assert fitted.shape == (64, 96, *shape[2:])
        assert fitted.dtype == np.uint8

    @given(arrays(np.uint8, (16, 24), elements=st.integers(0, 8)))
    def test_the_right_size_is_left_alone(self, labels: np.ndarray) -> None:
        for kind in ("labels", "photo", "edges"):
            np.testing.assert_array_equal(fit(labels, (16, 24), kind), labels)

    @given(arrays(np.uint8, (37, 53), elements=st.sampled_from([0, 3, 8])))
    def test_labels_are_never_mixed(self, labels: np.ndarray) -> None:
        for size in ((16, 16), (64, 80)):
            assert set(np.unique(fit(labels, size, "labels"))) <= {0, 3, 8}

    def test_a_crop_lies_where_it_is_told_and_fit_keeps_all(self) -> None:
        wide = np.repeat(np.array([[1, 2, 2, 3]], np.uint8), 2, axis=0)
        assert fit(wide, (2, 2), "labels").tolist() == [[2, 2], [2, 2]]
        assert fit(wide, (2, 2), "labels", "crop", 0).tolist() == [[1, 2], [1, 2]]
        assert fit(wide, (2, 2), "labels", "crop", 1).tolist() == [[2, 3], [2, 3]]
        assert fit(wide.T, (2, 2), "labels", "crop", 1).tolist() == [[2, 2], [3, 3]]
        kept = fit(np.repeat(wide[:, :, None], 3, axis=2), (4, 4), "labels", "fit")
        sheet = on_sheet(kept, (4, 4), (9, 9, 9))
        assert sheet[:, :, 1].tolist() == [[9] * 4, [1, 2, 2, 3], [1, 2, 2, 3], [9] * 4]
        assert fit(wide, (4, 4), "labels", "fill").tolist() == [[1, 2, 2, 3]] * 4

    @pytest.mark.parametrize("side", [100, 257, 1200])
    def test_thin_lines_survive_shrinking(self, side: int) -> None:
        lines = np.zeros((side, side), np.uint8)
        lines[:, side // 3] = lines[side // 2, :] = 255
        small = fit(lines, (64, 64), "edges")
        assert set(np.unique(small)) == {0, 255}
        assert small.any(axis=0).all()
        assert small.any(axis=1).all()

    def test_a_shrunk_photo_is_averaged(self) -> None:
        checks = np.indices((128, 128)).sum(axis=0).astype(np.uint8) % 2 * 200
        np.testing.assert_array_equal(fit(checks, (64, 64), "photo"), 100)
