"""Metrics against hand-computed values, scikit-image, and plain definitions written out."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from hgc.control.annotators import AnnotatorSettings, annotate
from hgc.landscapes.scene import paint
from hgc.metrics import (
    difference,
    edge_f1,
    edge_score,
    extract_edges,
    feature_distance,
    overlaps,
    pooled_miou,
    psnr,
    ssim,
)
from hgc.models.presets import presets
from hgc.studio.judge import Judge

CLASSES = ("sky", "grass", "house")
pictures = arrays(np.uint8, (12, 14, 3))
label_maps = arrays(np.uint8, (6, 7), elements=st.integers(0, len(CLASSES) - 1))
edge_maps = arrays(np.bool_, (10, 11))


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)


class TestPsnr:
    def test_by_hand(self) -> None:
        """One of four grey pixels is off by 51 of 255: MSE 0.2² / 4 = 0.01, so 20 dB."""
        black = np.zeros((2, 2), np.uint8)
        spotted = np.array([[51, 0], [0, 0]], np.uint8)
        assert psnr(black, spotted) == pytest.approx(20.0)

    def test_identical_is_infinite_and_opposite_is_zero(self) -> None:
        black, white = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 255, np.uint8)
        assert psnr(black, black) == math.inf
        assert psnr(black, white) == pytest.approx(0)

    @given(pictures, pictures)
    def test_scikit_image_agrees(self, a: np.ndarray, b: np.ndarray) -> None:
        if (a != b).any():
            assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b))
            assert psnr(a, b) == psnr(b, a)


def ssim_written_out(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of one channel in 0..1 as in the paper, one window at a time, where the window fits."""
    axis = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(axis, axis) / axis.sum() ** 2
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for row in range(a.shape[0] - 10):
        for column in range(a.shape[1] - 10):
            x, y = (image[row : row + 11, column : column + 11] for image in (a, b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            values.append(
                ((2 * mean_x * mean_y + c1) * (2 * covariance + c2))
                / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
            )
    return float(np.mean(values))


class TestSsim:
    @given(pictures, pictures)
    def test_the_papers_formula_agrees(self, a: np.ndarray, b: np.ndarray) -> None:
        expected = np.mean([ssim_written_out(a[:, :, c] / 255, b[:, :, c] / 255) for c in range(3)])
        assert ssim(a, b) == pytest.approx(expected, abs=1e-9)

    def test_flat_pictures_by_hand(self) -> None:
        dark, light = np.full((16, 16), 0.2), np.full((16, 16), 0.8)
        expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
        assert ssim(dark, light) == pytest.approx(expected)

    @given(pictures)
    def test_identical_is_one(self, a: np.ndarray) -> None:
        assert ssim(a, a) == pytest.approx(1)

    def test_a_picture_smaller_than_the_window_is_refused_with_both_numbers(self) -> None:
        with pytest.raises(ValueError, match=r"11.*20 × 8"):
            ssim(np.zeros((8, 20)), np.zeros((8, 20)))


class TestPictures:
    @given(pictures, pictures)
    def test_bytes_floats_and_tensors_are_the_same_picture(self, a: np.ndarray, b: np.ndarray) -> None:
        forms = [
            (a / 255, b / 255),
            (as_tensor(a), as_tensor(b)),
            (as_tensor(a)[None].double() / 255, as_tensor(b)[None].double() / 255),
            (a, as_tensor(b)),
        ]
        for form in forms:
            assert psnr(*form) == pytest.approx(psnr(a, b))
            assert ssim(*form) == pytest.approx(ssim(a, b))
            np.testing.assert_allclose(difference(*form), difference(a, b), atol=1e-6)

    def test_half_precision_and_gradients_are_taken(self) -> None:
        picture = torch.rand(3, 16, 16, requires_grad=True)
        assert psnr(picture.half(), picture) > 60

    def test_wrong_pictures_name_both_numbers(self) -> None:
        with pytest.raises(ValueError, match=r"\(12, 14, 3\).*\(14, 12, 3\)"):
            psnr(np.zeros((12, 14, 3)), np.zeros((14, 12, 3)))
        with pytest.raises(ValueError, match=r"-1.* 1.*0\.\.1"):
            psnr(np.array([[-1.0, 1.0]]), np.zeros((1, 2)))
        with pytest.raises(ValueError, match=r"shape \(2, 3, 8, 8\)"):
            psnr(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8))
        with pytest.raises(ValueError, match="float64 runs from nan"):
            psnr(np.full((2, 2), np.nan), np.zeros((2, 2)))


class TestFeatureDistance:
    def test_by_hand(self) -> None:
        """Two levels of one and two positions: at one position at right angles (distance 2), at one opposite (4)."""
        level = torch.tensor([3.0, 0.0])[None, :, None, None]  # [1, 2, 1, 1]
        turned = torch.tensor([0.0, 0.5])[None, :, None, None]
        wide = torch.tensor([[1.0, 1.0], [0.0, 0.0]])[None, :, None, :]  # [1, 2, 1, 2]
        opposed = torch.tensor([[-2.0, 7.0], [0.0, 0.0]])[None, :, None, :]
        assert feature_distance([level], [turned]).tolist() == pytest.approx([2])
        assert feature_distance([level, wide], [turned, opposed]).tolist() == pytest.approx([(2 + (4 + 0) / 2) / 2])

    def test_where_nothing_responds_nothing_differs(self) -> None:
        silent = torch.zeros(1, 2, 1, 1)
        assert feature_distance([silent], [silent]).tolist() == [0]

    @given(arrays(np.float32, (3, 4, 2, 5), elements=st.floats(-9, 9, width=32)), st.integers(0, 99))
    def test_bounds_symmetry_and_batch(self, features: np.ndarray, seed: int) -> None:
        a = torch.from_numpy(features)
        b = torch.randn(a.shape, generator=torch.Generator().manual_seed(seed))
        found = feature_distance([a], [b])
        assert torch.equal(found, feature_distance([b], [a]))
        assert 0 <= found.min() <= found.max() <= 4 + 1e-5
        assert feature_distance([a], [a]).tolist() == [0, 0, 0]
        one_by_one = torch.cat([feature_distance([a[i : i + 1]], [b[i : i + 1]]) for i in range(3)])
        torch.testing.assert_close(found, one_by_one)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.of(presets()["landscapes"])


class TestPerceptual:
    """The segmenter's eye on a painted scene."""

    SCENE = paint(9_000_004).image

    def test_identical_pictures_differ_by_nothing(self, judge: Judge) -> None:
        assert judge.perceptual(self.SCENE, self.SCENE.copy()) == 0

    def test_it_grows_with_blur(self, judge: Judge) -> None:
        found = [judge.perceptual(self.SCENE, cv2.GaussianBlur(self.SCENE, (0, 0), sigma)) for sigma in (0.7, 1.5, 3)]
        assert 0 < found[0] < found[1] < found[2] < 4

    def test_it_grows_with_noise(self, judge: Judge) -> None:
        grain = np.random.default_rng(0).normal(size=self.SCENE.shape)
        noisy = [np.clip(self.SCENE + size * grain, 0, 255).astype(np.uint8) for size in (3, 9, 27)]
        found = [judge.perceptual(self.SCENE, picture) for picture in noisy]
        assert 0 < found[0] < found[1] < found[2] < 4

    def test_another_scene_is_farther_than_a_blurred_one(self, judge: Judge) -> None:
        other, blurred = paint(9_000_005).image, cv2.GaussianBlur(self.SCENE, (0, 0), 1.5)
        assert judge.perceptual(self.SCENE, other) > judge.perceptual(self.SCENE, blurred)

    def test_where_no_network_knows_the_world_nothing_is_said(self) -> None:
        assert Judge(None, (100, 200)).perceptual(self.SCENE, self.SCENE) is None


class TestDifference:
    def test_by_hand(self) -> None:
        a = np.zeros((1, 3, 3), np.uint8)
        b = np.array([[[0, 0, 0], [255, 255, 255], [51, 102, 0]]], np.uint8)
        np.testing.assert_allclose(difference(a, b), [[0, 1, 0.2]], atol=1e-6)

    @given(pictures, pictures)
    def test_range_and_symmetry(self, a: np.ndarray, b: np.ndarray) -> None:
        heat = difference(a, b)
        assert heat.shape == a.shape[:2]
        assert 0 <= heat.min() <= heat.max() <= 1
        np.testing.assert_array_equal(heat, difference(b, a))
        assert ((heat == 0) == (a == b).all(axis=2)).all()


class TestMiou:
    def test_by_hand(self) -> None:
        """sky 2 of 3, grass 0 of 1; nobody has a house, so it does not count."""
        pixels = overlaps(np.array([[0, 0, 0]]), np.array([[0, 0, 1]]), CLASSES)
        assert pixels == {"sky": (2, 3), "grass": (0, 1)}
        assert pooled_miou([pixels]) == pytest.approx(1 / 3)

    @given(label_maps)
    def test_identical_is_one_for_every_class_present(self, labels: np.ndarray) -> None:
        pixels = overlaps(labels, labels, CLASSES)
        assert pixels == {CLASSES[i]: (np.count_nonzero(labels == i),) * 2 for i in np.unique(labels)}
        assert pooled_miou([pixels]) == 1

    @given(label_maps, label_maps)
    def test_symmetric_and_as_sets(self, predicted: np.ndarray, target: np.ndarray) -> None:
        pixels = overlaps(predicted, target, CLASSES)
        assert overlaps(target, predicted, CLASSES) == pixels
        for index, name in enumerate(CLASSES):
            ours, theirs = (set(np.flatnonzero(labels == index)) for labels in (predicted, target))
            if ours | theirs:
                assert pixels[name] == (len(ours & theirs), len(ours | theirs))
            else:
                assert name not in pixels

    def test_pooled_over_pictures_a_class_weighs_its_pixels(self) -> None:
        """sky 2 of 3 and 3 of 3, grass 0 of 1: as one map of six pixels would be judged."""
        pictures = [
            overlaps(np.array([[0, 0, 0]]), np.array([[0, 0, 1]]), CLASSES),
            overlaps(np.array([[0, 0, 0]]), np.array([[0, 0, 0]]), CLASSES),
        ]
        assert pooled_miou(pictures) == pytest.approx((5 / 6 + 0) / 2)
        assert np.isnan(pooled_miou([]))

    def test_wrong_maps_name_both_numbers(self) -> None:
        with pytest.raises(ValueError, match=r"3.* 3"):
            overlaps(np.array([[3]]), np.array([[0]]), CLASSES)
        with pytest.raises(ValueError, match=r"\(1, 1\).*\(1, 2\)"):
            overlaps(np.array([[0]]), np.array([[0, 0]]), CLASSES)


def column(at: int, side: int = 16) -> np.ndarray:
    edges = np.zeros((side, side), np.bool_)
    edges[:, at] = True
    return edges


class TestEdges:
    @pytest.mark.parametrize(("shift_px", "tolerance_px", "expected"), [(0, 0, 1), (1, 0, 0), (2, 2, 1), (3, 2, 0)])
    def test_a_shifted_line_counts_up_to_the_tolerance(
        self, shift_px: int, tolerance_px: float, expected: float
    ) -> None:
        assert edge_f1(column(5), column(5 + shift_px), tolerance_px) == expected

    def test_precision_and_recall_by_hand(self) -> None:
        """Two far columns predicted, one of them wanted: half of ours is right, all of theirs is there."""
        score = edge_score(column(2) | column(12), column(2))
        assert (score.precision, score.recall) == (0.5, 1)
        assert score.f1 == pytest.approx(2 / 3)

    @given(edge_maps, edge_maps)
    def test_without_tolerance_it_is_the_pixel_exact_f1(self, ours: np.ndarray, wanted: np.ndarray) -> None:
        hits = (ours & wanted).sum()
        total = ours.sum() + wanted.sum()
        assert edge_f1(ours, wanted, tolerance_px=0) == pytest.approx(2 * hits / total if total else 1)

    @given(edge_maps, edge_maps, st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0]))
    def test_distance_is_the_nearest_pixels(self, ours: np.ndarray, wanted: np.ndarray, tolerance_px: float) -> None:
        """Independent reference: all pairs of pixels."""
        if not (ours.any() and wanted.any()):
            return
        gaps = np.linalg.norm(np.argwhere(ours)[:, None] - np.argwhere(wanted)[None], axis=2)
        score = edge_score(ours, wanted, tolerance_px)
        assert score.precision == pytest.approx((gaps.min(axis=1) <= tolerance_px).mean())
        assert score.recall == pytest.approx((gaps.min(axis=0) <= tolerance_px).mean())

    @given(edge_maps, edge_maps)
    def test_more_tolerance_never_scores_less(self, ours: np.ndarray, wanted: np.ndarray) -> None:
        scores = [edge_f1(ours, wanted, tolerance_px) for tolerance_px in (0, 1, 2, 4)]
        assert scores == sorted(scores)

    def test_empty_maps(self) -> None:
        empty = np.zeros((16, 16), np.bool_)
        assert edge_f1(empty, empty) == 1
        assert edge_f1(empty, column(3)) == edge_f1(column(3), empty) == 0

    def test_control_maps_are_taken_as_they_are(self) -> None:
        as_map = np.repeat(column(4)[:, :, None].astype(np.uint8) * 255, 3, axis=2)
        assert edge_f1(as_map, as_map) == 1
        with pytest.raises(ValueError, match=r"\(16, 16, 3\).*\(16, 16\)"):
            edge_f1(as_map, column(4))

    def test_edges_are_those_of_the_canny_annotator(self) -> None:
        photo = np.ascontiguousarray(data.coffee()[:256, :256])
        settings = AnnotatorSettings(low_threshold=50, high_threshold=120)
        annotated = annotate(photo, "canny", settings).map[:, :, 0] > 0
        np.testing.assert_array_equal(extract_edges(photo, 50, 120), annotated)
        np.testing.assert_array_equal(extract_edges(as_tensor(photo).float() / 255, 50, 120), annotated)
        np.testing.assert_array_equal(extract_edges(photo), cv2.Canny(photo, 100, 200) > 0)
