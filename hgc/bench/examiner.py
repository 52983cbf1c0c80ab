"""The examiner of a data set: reads a control back from pictures, tells their CLIP score and Inception's features."""

from __future__ import annotations

from functools import cached_property
from math import nan

import numpy as np
import torch

from hgc.bench.gallery import Pixels
from hgc.control import ade20k, coco_stuff
from hgc.judges import ERRORS
from hgc.judges.depth import DepthEstimator
from hgc.judges.labels import UNLABELLED, HubSegmenter, Labels, classes_of
from hgc.judges.lines import edge_score
from hgc.judges.networks import Network
from hgc.judges.pictures import CaptionScore, Inception
from hgc.judges.table import CLIP_NETWORK, COCO_SEGMENTER, FID_NETWORK, MEASURES
from hgc.metrics import extract_edges, pooled_miou

Overlaps = dict[str, tuple[int, int]]


class Examiner:
    """Of one task on one device; what is not on this machine is not asked, and `missing` says so."""

    def __init__(self, task: str, device: torch.device, canny: tuple[int, int], coco: bool) -> None:
        self.task, self._canny = task, canny
        measure = MEASURES[task]
        self.title, self.higher_is_better = measure.title, task not in ERRORS
        self.name = COCO_SEGMENTER if task == "segmentation" and coco else measure.repo or "Canny"
        self._classes = coco_stuff.NAMES if coco else ade20k.NAMES
        self._network = Network(self.name, measure.what, device)
        self._clip, self._fid = (
            Network(repo, what, device)
            for repo, what in ((CLIP_NETWORK, "network of the CLIP score"), (FID_NETWORK, "network of FID"))
        )

    @property
    def missing(self) -> str:
        """Why the control cannot be scored here, in a sentence; nothing where it can."""
        return "" if self.task == "edges" else self._network.missing

    @property
    def missing_beside(self) -> dict[str, str]:
        """The other figures that cannot be told here, each with a sentence."""
        reasons = {"CLIP": self._clip.missing, "FID": self._fid.missing}
        return {figure: reason for figure, reason in reasons.items() if reason}

    @cached_property
    def _segmenter(self) -> HubSegmenter:
        return HubSegmenter(self._network)

    @cached_property
    def _depth(self) -> DepthEstimator:
        return DepthEstimator(self._network)

    @cached_property
    def _captions(self) -> CaptionScore:
        return CaptionScore(self._clip)

    @cached_property
    def _inception(self) -> Inception:
        return Inception(self._fid)

    def edges(self, picture: Pixels) -> Pixels:
        """The Canny edges of a picture as a control map, uint8 [H, W, 3]."""
        lines = extract_edges(picture, *self._canny).astype(np.uint8) * 255
        return lines[:, :, None].repeat(3, axis=2)

    def depth(self, picture: Pixels) -> Pixels:
        """The depth of a picture as a control map, uint8 [H, W, 3]. Raises ModelUnavailable."""
        return np.round(self._depth.depth(picture)).astype(np.uint8)[:, :, None].repeat(3, axis=2)

    def score(self, image: Pixels, control: Pixels, labels: Labels | None) -> tuple[float, Overlaps]:
        """How well a picture keeps to its control, and of label maps the pixels of each class shared and joint.

        Without `labels` [H, W] those of a map in ADE20K's colours. NaN where the judge is not here.
        """
        if self.missing:
            return nan, {}
        if self.task == "segmentation":
            wanted = classes_of(control, ade20k.LABELS) if labels is None else labels
            classes = ade20k.NAMES if labels is None else self._classes
            shared = self._segmenter.overlaps(image, wanted, classes)
            return pooled_miou([shared]), shared
        return (
            edge_score(image, control, self._canny) if self.task == "edges" else self._depth.score(image, control)
        ), {}

    def clip(self, image: Pixels, words: str) -> float | None:
        """The CLIP score of a picture and its words; None where the network is not here."""
        return None if self._clip.missing else self._captions.score(image, words)

    def features(self, image: Pixels) -> np.ndarray | None:
        """Inception's features [2048], by which FID compares sets of pictures; None where the network is not here."""
        return None if self._fid.missing else self._inception.features(image)


def coco_labels(numbers: Pixels) -> Labels:
    """Places in COCO-Stuff's NAMES of a pixel map's numbers [H, W]; what has none is UNLABELLED."""
    places = np.full(256, UNLABELLED)
    places[list(coco_stuff.PIXELS)] = np.arange(len(coco_stuff.PIXELS))
    return places[numbers]
