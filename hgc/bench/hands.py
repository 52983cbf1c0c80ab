"""Hand-like drawings that were never trained on: is what was drawn there, and was every line followed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from hgc.bench.scores import Eyes
from hgc.landscapes.artist import Picture
from hgc.landscapes.scene import EDGE_HIGH, EDGE_LOW, Scene
from hgc.metrics import edge_score, extract_edges
from hgc.training.data import EVALUATION_SEEDS
from hgc.training.hands import hand_scene
from hgc.training.pens import Pen, outlined

PEN_STREAM = 41  # keeps the pen's shake apart from the drawing's


@dataclass(frozen=True)
class Drawing:
    """A drawing and what the painter makes of it; `lines` uint8 [256, 256] are its outlines by somebody's pen."""

    seed: int
    scene: Scene
    lines: NDArray[np.uint8]

    @classmethod
    def of(cls, number: int) -> Drawing:
        seed = EVALUATION_SEEDS + number
        scene, rng = hand_scene(seed), np.random.default_rng((PEN_STREAM, seed))
        return cls(seed, scene, outlined(scene.labels, Pen.any(rng), rng))

    @property
    def line_map(self) -> Picture:
        """The lines as the edge control reads them [256, 256, 3]."""
        return np.repeat(self.lines[..., None], 3, axis=2)


def map_scores(pictures: Sequence[Picture], drawings: Sequence[Drawing], eyes: Eyes) -> dict[str, Any]:
    """mIoU against the drawn maps, of the pictures and of what the painter makes of the same maps."""
    labels = [drawing.scene.labels for drawing in drawings]
    made = eyes.segmentation(pictures, labels)
    real = eyes.segmentation([drawing.scene.image for drawing in drawings], labels)
    return {"drawings": len(drawings), "miou": made["mean"], "miou_real": real["mean"], "iou": made, "iou_real": real}


def line_scores(pictures: Sequence[Picture], drawings: Sequence[Drawing]) -> dict[str, Any]:
    """F1 of the lines given, and `followed`, the share of them with an edge beside it, both within two pixels.

    A sheet without any line says nothing and is left out. Real renders show details inside the outlines too: their
    F1 is what a faithful picture in this style may reach.
    """
    drawn = [(picture, drawing) for picture, drawing in zip(pictures, drawings, strict=True) if drawing.lines.any()]
    made = [line_score(picture, drawing.lines) for picture, drawing in drawn]
    real = [line_score(drawing.scene.image, drawing.lines) for _, drawing in drawn]
    return {
        "drawings": len(drawn),
        "f1": fmean(f1 for f1, _ in made),
        "f1_real": fmean(f1 for f1, _ in real),
        "followed": fmean(followed for _, followed in made),
        "followed_real": fmean(followed for _, followed in real),
    }


def line_score(picture: Picture, lines: NDArray[np.uint8]) -> tuple[float, float]:
    """F1 and recall of a picture's edges against the middle of the lines [256, 256] it was given."""
    score = edge_score(extract_edges(picture, EDGE_LOW, EDGE_HIGH), skeletonize(lines > 0))
    return score.f1, score.recall
