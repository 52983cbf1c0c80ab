"""Poses read back from a picture: keypoint similarity of people found where the drawing has them.

A drawn pose marks every joint with a disc in that joint's own colour (OpenPose), and the parts of one person touch. So
the drawing says where joints and people are, and people are looked for in its boxes, as COCO does with known boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import VitPoseForPoseEstimation

from hgc.judges.networks import Network, Pixels

Points = Mapping[int, tuple[float, float]]  # of COCO's 17 keypoints those that are there: x, y

# The colours of OpenPose's joints, each with COCO's number of it; the neck is none of COCO's.
JOINTS: Sequence[tuple[tuple[int, int, int], int | None]] = (
    ((255, 0, 0), 0),
    ((255, 85, 0), None),
    ((255, 170, 0), 6),
    ((255, 255, 0), 8),
    ((170, 255, 0), 10),
    ((85, 255, 0), 5),
    ((0, 255, 0), 7),
    ((0, 255, 85), 9),
    ((0, 255, 170), 12),
    ((0, 255, 255), 14),
    ((0, 170, 255), 16),
    ((0, 85, 255), 11),
    ((0, 0, 255), 13),
    ((85, 0, 255), 15),
    ((170, 0, 255), 2),
    ((255, 0, 255), 1),
    ((255, 0, 170), 4),
    ((255, 0, 85), 3),
)
# How far people who mark a keypoint are from each other (COCO's evaluation of keypoints); κ is twice that.
_LEGS = (0.107, 0.107, 0.087, 0.087, 0.089, 0.089)
SIGMAS = (0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, *_LEGS)
LEAST_PX = 4  # pixels of a joint's disc
NEAR = 12  # of a colour, so that a map that was resized is still read
MARGIN = 0.25  # of a person's box: joints lie inside of people


@dataclass(frozen=True)
class Person:
    """A drawn person: joints, and the box x, y, width, height of them with a margin."""

    points: Points
    box: tuple[float, float, float, float]

    @property
    def area(self) -> float:
        return self.box[2] * self.box[3]


def people(control: Pixels) -> list[Person]:
    """The people of a drawn pose uint8 [H, W, 3], who have at least one joint of COCO's each."""
    count, parts = cv2.connectedComponents((control.max(axis=2) > NEAR).astype(np.uint8))
    joints: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
    for colour, keypoint in JOINTS:
        near = (np.abs(control.astype(int) - colour).max(axis=2) <= NEAR).astype(np.uint8)
        discs, _, stats, centres = cv2.connectedComponentsWithStats(near)
        for disc in range(1, discs):
            x, y = centres[disc]
            if keypoint is not None and stats[disc, cv2.CC_STAT_AREA] >= LEAST_PX:
                joints[parts[round(y), round(x)]][keypoint] = (float(x), float(y))
    return [Person(points, _box(points)) for points in joints[1:] if points]


def _box(points: Points) -> tuple[float, float, float, float]:
    places = np.array(list(points.values()))
    low, high = places.min(axis=0), places.max(axis=0)
    margin = MARGIN * max(*(high - low), LEAST_PX)
    return (*(low - margin), *(high - low + 2 * margin))


def keypoint_similarity(found: Points, wanted: Points, area: float) -> float:
    """COCO's OKS, 0..1: over the wanted joints, the mean of exp(-d² / 2 s² κ²), where s² is the person's area."""
    shares = []
    for joint, place in wanted.items():
        there = found.get(joint)
        distance = np.inf if there is None else np.hypot(there[0] - place[0], there[1] - place[1])
        shares.append(float(np.exp(-(distance**2) / (2 * area * (2 * SIGMAS[joint]) ** 2))))
    return float(np.mean(shares))


class PoseEstimator:
    """A network that finds a person's keypoints inside a box."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @cached_property
    def _model(self) -> Any:
        return self._network.load(VitPoseForPoseEstimation)

    @torch.no_grad()
    def find(self, image: Pixels, boxes: NDArray[np.float64]) -> list[Points]:
        """The keypoints of a person in each of the boxes [N, 4] of a picture uint8 [H, W, 3]."""
        processor = self._network.processor
        ready = processor(images=image, boxes=[boxes], return_tensors="pt").to(self._network.device)
        people = processor.post_process_pose_estimation(self._model(**ready), boxes=[boxes])[0]
        return [
            {int(label): (float(x), float(y)) for label, (x, y) in zip(one["labels"], one["keypoints"], strict=True)}
            for one in people
        ]

    def score(self, image: Pixels, control: Pixels) -> float:
        """Mean keypoint similarity 0..1 over the people of a drawn pose; NaN where nobody is drawn."""
        drawn = people(control)
        if not drawn:
            return nan
        poses = self.find(image, np.array([person.box for person in drawn]))
        return float(np.mean([keypoint_similarity(f, p.points, p.area) for f, p in zip(poses, drawn, strict=True)]))
