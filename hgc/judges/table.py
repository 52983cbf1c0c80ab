"""Which judge reads which control back from a picture: one table, and the judges of one device, each made once.

The protocol is that of ControlNet++ (arXiv 2404.07987, sec. 4.1). Where its judge is not in transformers, the table
names the nearest one that is: the result says which one scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from hgc.control.annotators import ANNOTATORS, WEIGHTS
from hgc.judges import UNSCORED
from hgc.judges.lines import line_score
from hgc.judges.networks import Network, Pixels
from hgc.models.refusals import ModelUnavailable


class Scorer(Protocol):
    """Scores how well a picture keeps to its map, both uint8 [H, W, 3]."""

    def score(self, image: Pixels, control: Pixels) -> float: ...


@dataclass(frozen=True)
class Measure:
    """How a control is scored: the figure's `title`, and the judge: a network of the Hub's, or an annotator here."""

    title: str
    repo: str = ""
    what: str = ""
    make: Callable[[Network], Scorer] | None = None
    annotator: str = ""


def _segmenter(network: Network) -> Scorer:
    from hgc.judges.labels import HubSegmenter

    return HubSegmenter(network)


def _depth_estimator(network: Network) -> Scorer:
    from hgc.judges.depth import DepthEstimator

    return DepthEstimator(network)


def _pose_estimator(network: Network) -> Scorer:
    from hgc.judges.pose import PoseEstimator

    return PoseEstimator(network)


MEASURES: Mapping[str, Measure] = {
    "segmentation": Measure("mIoU", "openmmlab/upernet-convnext-base", "segmenter", _segmenter),
    "depth": Measure("depth RMSE", "Intel/dpt-hybrid-midas", "depth estimator", _depth_estimator),
    "pose": Measure("keypoint similarity", "usyd-community/vitpose-base-simple", "pose estimator", _pose_estimator),
    "edges": Measure("edge F1", annotator="canny"),
    "softedge": Measure("soft edge SSIM", annotator="hed"),
    "lineart": Measure("line art SSIM", annotator="lineart"),
    "anime": Measure("line art SSIM", annotator="lineart_anime"),
}
COCO_SEGMENTER = "facebook/mask2former-swin-large-coco-panoptic"
LPIPS_NETWORK = "timm/vgg16.tv_in1k"
CLIP_NETWORK = "openai/clip-vit-large-patch14"
FID_NETWORK = "timm/inception_v3.tv_in1k"


def title_of(control: str) -> str:
    """The name of a control's score."""
    return MEASURES[control].title if control in MEASURES else UNSCORED


class Judges:
    """The judges of pictures of all kinds on one device; their networks are loaded when they are first asked for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._scorers: dict[str, Scorer] = {}
        self._perceptual: Any = None

    def name(self, control: str) -> str:
        """The judge of a control, by its id or as annotators are called; nothing where there is none."""
        known = MEASURES.get(control)
        return "" if known is None else known.repo or ANNOTATORS[known.annotator].label

    def missing(self, control: str) -> str:
        """Why a control cannot be scored here, in a sentence; nothing where it can."""
        known = MEASURES.get(control)
        if known is None:
            return f"no judge here reads the control '{control}' back from a picture"
        if known.annotator:
            annotator = ANNOTATORS[known.annotator]
            return "" if annotator.ready() else f"the weights of {annotator.label} ({WEIGHTS}) are not here"
        return self._network(known.repo, known.what).missing

    def score(self, image: Pixels, control: Pixels, kind: str) -> float:
        """How well a picture keeps to its map, both uint8 [H, W, 3], as its Measure has it. Raises ModelUnavailable."""
        if reason := self.missing(kind):
            raise ModelUnavailable(reason)
        known = MEASURES[kind]
        if known.make is None:
            return line_score(image, control, known.annotator)
        if kind not in self._scorers:
            self._scorers[kind] = known.make(self._network(known.repo, known.what))
        return self._scorers[kind].score(image, control)

    @property
    def missing_perceptual(self) -> str:
        """Why there is no LPIPS here, in a sentence; nothing where there is."""
        return self._network(LPIPS_NETWORK, "network of LPIPS").missing

    def perceptual(self, image: Pixels, other: Pixels) -> float:
        """LPIPS of two pictures uint8 [H, W, 3]. Raises ModelUnavailable."""
        if self._perceptual is None:
            from hgc.judges.pictures import PerceptualDistance

            self._perceptual = PerceptualDistance(self._network(LPIPS_NETWORK, "network of LPIPS"))
        distance: float = self._perceptual.between(image, other)
        return distance

    def _network(self, repo: str, what: str) -> Network:
        return Network(repo, what, self._device)
