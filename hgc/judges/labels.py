"""Label maps read back from pictures: mean IoU of a segmenter's classes with those that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation

from hgc.control import ade20k, coco_stuff
from hgc.control.canvas import snap
from hgc.control.label_sets import LabelSet, plain, set_of
from hgc.judges.networks import Network, Pixels
from hgc.metrics import overlaps, pooled_miou
from hgc.models.refusals import ModelUnavailable

Labels = NDArray[np.integer[Any]]
UNLABELLED = -1


class HubSegmenter:
    """A semantic or panoptic segmenter; it tells the classes of its own configuration."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @cached_property
    def _model(self) -> Any:
        semantic = type(self._network.config()) in AutoModelForSemanticSegmentation._model_mapping
        return self._network.load(AutoModelForSemanticSegmentation if semantic else AutoModelForUniversalSegmentation)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes, by number."""
        names: Mapping[int, str] = self._model.config.id2label
        return tuple(names[number] for number in range(len(names)))

    @torch.no_grad()
    def segment(self, image: Pixels) -> Labels:
        """Class numbers [H, W] of a picture uint8 [H, W, 3]."""
        ready = self._network.processor(images=image, return_tensors="pt").to(self._network.device)
        sizes = [image.shape[:2]]
        maps = self._network.processor.post_process_semantic_segmentation(self._model(**ready), target_sizes=sizes)
        labels: Labels = maps[0].cpu().numpy()
        return labels

    def overlaps(self, image: Pixels, labels: Labels, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Shared and joint pixels of each class in a picture [H, W, 3] and in `labels` [H, W], numbers of `names`.

        Classes are those of the segmenter; what it has no class for, and what is UNLABELLED, counts nowhere. Raises
        ModelUnavailable for a segmenter of another world.
        """
        known = np.array([*self._numbers(names), UNLABELLED])
        reference = known[labels]
        seen = np.where(reference == UNLABELLED, UNLABELLED, self.segment(image))
        pixels = overlaps(seen + 1, reference + 1, ("", *self.classes))
        pixels.pop("", None)
        return pixels

    def score(self, image: Pixels, control: Pixels) -> float:
        """Mean IoU 0..1 of a picture and its map in ADE20K's or COCO-Stuff's colours, both uint8 [H, W, 3]."""
        labels = set_of(control, (ade20k.LABELS, coco_stuff.LABELS))
        return pooled_miou([self.overlaps(image, classes_of(control, labels), tuple(labels.palette))])

    def _numbers(self, names: Sequence[str]) -> list[int]:
        """The segmenter's number of each class, by its place where it has as many, else by name."""
        if len(names) == len(self.classes):
            return list(range(len(names)))
        own = {plain(name): number for number, name in enumerate(self.classes)}
        numbers = [own.get(plain(coco_stuff.MERGED.get(name, name)), UNLABELLED) for name in names]
        if not any(number != UNLABELLED for number in numbers):
            raise ModelUnavailable(
                f"the segmenter {self._network.repo} knows {len(own)} classes and none of these {len(names)}; take one "
                "that was trained on them"
            )
        return numbers


def classes_of(control: Pixels, labels: LabelSet) -> Labels:
    """Class numbers [H, W] of a map in the colours of a set; what is black is UNLABELLED."""
    numbers = snap(control, labels.palette, labels.unpainted, paper=None).labels.astype(np.int64)
    return np.where(control.max(axis=2) == 0, UNLABELLED, numbers)
