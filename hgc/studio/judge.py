"""Does the picture still follow the drawing, and how far is it from another to an eye that knows this world?

The first is the protocol of ControlNet++ (arXiv 2404.07987): the condition is read back from the picture and compared,
mean IoU of a segmenter for label maps, F1 of the extracted edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from pathlib import Path

import numpy as np
import torch

from hgc.control.canvas import Pixels, snap
from hgc.control.images import RGB
from hgc.landscapes.eyes import Segmenter
from hgc.landscapes.labels import CLASSES, PALETTE
from hgc.metrics import edge_f1, extract_edges, feature_distance, overlaps, pooled_miou, psnr, ssim
from hgc.models.presets import ModelPreset
from hgc.results.comparison import Likeness

SCORES: Mapping[str, str] = {"segmentation": "mIoU", "edges": "edge F1"}
UNSCORED = "control score"  # of a control that no judge here can read back


class Judge:
    """Scores pictures of one model; a model without a segmenter scores edges only."""

    def __init__(self, segmenter: Segmenter | None, canny: tuple[int, int]) -> None:
        self._segmenter, self._canny = segmenter, canny

    @classmethod
    def of(cls, preset: ModelPreset) -> Judge:
        """The judge whose segmenter is kept with a model's weights, if it has one."""
        where = Path(preset.source) / "segmenter"
        return cls(Segmenter.load(where) if preset.local and where.is_dir() else None, preset.canny)

    def score(self, image: Pixels, control: Pixels, kind: str) -> float:
        """0..1, higher is more obedient; `image` and `control` are uint8 [H, W, 3]. NaN where nothing can be said."""
        if kind not in SCORES:
            return nan
        if kind == "edges":
            return float(edge_f1(extract_edges(image, *self._canny), extract_lines(control)))
        return pooled_miou([self.overlaps(image, control, kind)])

    def overlaps(self, image: Pixels, control: Pixels, kind: str) -> dict[str, tuple[int, int]]:
        """Pixels of each class shared and in either, in a picture and its label map, both uint8 [H, W, 3].

        Empty under edges, and without a segmenter.
        """
        if kind == "edges" or self._segmenter is None:
            return {}
        seen = self._segmenter.segment(_batch(image))[0].cpu().numpy()
        return overlaps(seen, labels_of(control, PALETTE), CLASSES)

    def likeness(self, full: Pixels, other: Pixels) -> Likeness:
        """Of two pictures uint8 [H, W, 3]."""
        return Likeness(psnr(full, other), ssim(full, other), self.perceptual(full, other))

    def perceptual(self, image: Pixels, other: Pixels) -> float | None:
        """Perceptual difference of two pictures uint8 [H, W, 3], after LPIPS, on the segmenter's features; 0 is none.

        The segmenter knows the embedded model's world only: None for other models.
        """
        if self._segmenter is None:
            return None
        first, second = (self._segmenter.features(_batch(picture)) for picture in (image, other))
        return float(feature_distance(first, second))


def _batch(image: Pixels) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255  # [1, 3, H, W]


def labels_of(control: Pixels, palette: Mapping[str, RGB]) -> Pixels:
    """Class numbers [H, W] of a palette-coloured map."""
    return snap(control, palette, "sky", paper=None).labels


def extract_lines(control: Pixels) -> Pixels:
    """White lines [H, W] of an edge map."""
    return (control.max(axis=2) > 127).astype(np.uint8) * 255
