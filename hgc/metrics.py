"""How alike two pictures are, and how well a picture keeps to its control; always on pixels, never on a sent file.

Pictures are arrays [H, W] or [H, W, C], or tensors [C, H, W] or [1, C, H, W]; uint8, or float in 0..1. Control scores
follow ControlNet++ (arXiv 2404.07987): extract the condition from the generated picture again and compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

if TYPE_CHECKING:
    from torch import Tensor

Picture: TypeAlias = "NDArray[np.generic] | Tensor"
Mask = NDArray[np.bool_]

# Wang et al. 2004: an 11 × 11 Gaussian window.
SSIM_WINDOW_PX = 11
TINY = 1e-10  # where no channel of a level responds, as LPIPS has it


@dataclass(frozen=True)
class EdgeScore:
    """How much of the predicted edges is right, and how much of the wanted ones is there; each 0..1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def psnr(a: Picture, b: Picture) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; infinite for identical pictures."""
    first, second = _pair(a, b)
    squared_error = float(np.mean((first - second) ** 2))
    return -10 * math.log10(squared_error) if squared_error else math.inf


def ssim(a: Picture, b: Picture) -> float:
    """Structural similarity, -1..1, 1 for identical pictures, mean over channels.

    Gaussian window, sigma 1.5, population covariance (Wang et al., IEEE Trans. Image Processing 13, 2004).
    """
    first, second = _pair(a, b)
    if min(first.shape[:2]) < SSIM_WINDOW_PX:
        raise ValueError(
            f"SSIM looks through a window of {SSIM_WINDOW_PX} pixels and the pictures are "
            f"{first.shape[1]} × {first.shape[0]}: compare larger ones"
        )
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(first, second, channel_axis=2, data_range=1.0, **options))


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """How far apart pictures lie for a network, 0 (the same) to 4, for each of a batch: [B].

    `a` and `b` are the network's features [B, C, h, w] of both, a tensor a level. As in LPIPS (Zhang et al., arXiv
    1801.03924, eq. 1): features of unit length at every position, squared distances averaged over positions; with all
    channels and levels of equal weight, where LPIPS weighs them by what people judged.
    """
    first, *others = [(_unit(x) - _unit(y)).square().sum(1).mean((1, 2)) for x, y in zip(a, b, strict=True)]
    return sum(others, first) / len(a)


def _unit(features: Tensor) -> Tensor:
    return features / (features.norm(dim=1, keepdim=True) + TINY)


def difference(a: Picture, b: Picture) -> NDArray[np.float32]:
    """Heat map [H, W] of the mean absolute difference over channels, 0 (equal) to 1 (black against white)."""
    first, second = _pair(a, b)
    return np.abs(first - second).mean(axis=2).astype(np.float32)


def overlaps(
    predicted: NDArray[np.integer], target: NDArray[np.integer], classes: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Intersection and union in pixels of each class found in either of two label maps [H, W] numbered as `classes`.

    A class that is in neither is left out; one that is in one map only shares nothing (as mmsegmentation).
    """
    _same_shape(predicted.shape, target.shape, "label maps")
    known = np.arange(len(classes))
    strange = np.setdiff1d(np.union1d(predicted, target), known)
    if strange.size:
        raise ValueError(f"label {strange[0]} is in a map and there are {len(classes)} classes: relabel the map")
    pixels = {}
    for index, name in enumerate(classes):
        ours, theirs = predicted == index, target == index
        if union := int(np.count_nonzero(ours | theirs)):
            pixels[name] = (int(np.count_nonzero(ours & theirs)), union)
    return pixels


def pooled_miou(pictures: Iterable[Mapping[str, tuple[int, int]]]) -> float:
    """Mean IoU 0..1 over many pictures' `overlaps`: pixels summed over the pictures, then the mean over classes.

    The mIoU of a data set, as mmsegmentation reports it: a class of a few pixels in one picture weighs no more than
    its pixels. NaN of nothing.
    """
    sums: dict[str, tuple[int, int]] = {}
    for picture in pictures:
        for name, (shared, both) in picture.items():
            before = sums.get(name, (0, 0))
            sums[name] = (before[0] + shared, before[1] + both)
    return float(np.mean([shared / both for shared, both in sums.values()])) if sums else math.nan


def extract_edges(image: Picture, low_threshold: int = 100, high_threshold: int = 200) -> Mask:
    """Canny edges [H, W] of a picture: the lines that the `canny` annotator gives for it (defaults of ControlNet++)."""
    pixels = np.ascontiguousarray(np.round(_pixels(image) * 255).astype(np.uint8))
    return np.asarray(cv2.Canny(pixels, low_threshold, high_threshold)) > 0


def edge_score(predicted: NDArray, target: NDArray, tolerance_px: float = 2.0) -> EdgeScore:
    """Precision and recall of edge maps [H, W] or [H, W, C] (non-zero is edge), matched within a distance in pixels.

    A predicted edge is right when a wanted one lies within the tolerance, and the other way round. Tolerance 0 is the
    pixel-exact score of ControlNet++; the default is ours, about the width of a pen at 256 pixels.
    Of two empty maps both scores are 1; where only one is empty both are 0.
    """
    _same_shape(predicted.shape, target.shape, "edge maps")
    ours, theirs = _edges(predicted), _edges(target)
    if not ours.any() or not theirs.any():
        alike = float(ours.any() == theirs.any())
        return EdgeScore(alike, alike)
    return EdgeScore(
        precision=float((_distance_px(theirs)[ours] <= tolerance_px).mean()),
        recall=float((_distance_px(ours)[theirs] <= tolerance_px).mean()),
    )


def edge_f1(predicted: NDArray, target: NDArray, tolerance_px: float = 2.0) -> float:
    """Harmonic mean of `edge_score`'s precision and recall, 0..1."""
    return edge_score(predicted, target, tolerance_px).f1


def depth_misfit(near: NDArray, grey: NDArray) -> float:
    """Mean square of what is left of a depth map [H, W] when depth read back, `near`, is scaled and shifted to it.

    A map tells depth up to a scale and a shift (MiDaS, arXiv 1907.01341, sec. 5); in the square of the map's unit.
    """
    apart, centred = near - near.mean(), grey - grey.mean()
    scale = max(0.0, float((apart * centred).sum()) / max(1e-9, float((apart**2).sum())))
    return float(((centred - scale * apart) ** 2).mean())


def _edges(edge_map: NDArray) -> Mask:
    strongest = np.abs(edge_map).max(axis=2) if edge_map.ndim == 3 else edge_map
    return np.asarray(strongest != 0, np.bool_)


def _distance_px(edges: Mask) -> NDArray[np.float32]:
    """Euclidean distance [H, W] of every pixel from the nearest edge."""
    return np.asarray(cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _pixels(image: Picture) -> NDArray[np.float64]:
    """float64 [H, W, C] in 0..1 of any picture this module takes."""
    if isinstance(image, np.ndarray):
        array, is_bytes = image.astype(np.float64), image.dtype == np.uint8
    else:
        tensor, is_bytes = image.detach().cpu().double(), str(image.dtype) == "torch.uint8"
        array = (tensor[0] if tensor.ndim == 4 and len(tensor) == 1 else tensor).numpy()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    if array.ndim not in (2, 3):
        raise ValueError(f"picture has shape {tuple(image.shape)}; needs an array [H, W, C] or a tensor [C, H, W]")
    pixels = array[:, :, None] if array.ndim == 2 else array
    if is_bytes:
        return pixels / 255
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError(
            f"picture of {image.dtype} runs from {pixels.min():g} to {pixels.max():g}; needs uint8, or float in 0..1"
        )
    return pixels


def _pair(a: Picture, b: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = _pixels(a), _pixels(b)
    _same_shape(first.shape, second.shape, "pictures")
    return first, second


def _same_shape(first: tuple[int, ...], second: tuple[int, ...], what: str) -> None:
    if first != second:
        raise ValueError(f"{what} have shapes {first} and {second}: resize one to the other")
