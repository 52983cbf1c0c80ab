"""Scores of pictures of the small world: obedience to map, lines, depth and words, how seeds differ, and chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hgc.bench.setup import OTHER_NOISES, BenchRefused, SceneRun
from hgc.landscapes.artist import Picture, as_images
from hgc.landscapes.caption import asked
from hgc.landscapes.eyes import DepthReader, PictureWords, Reader, Segmenter, class_iou
from hgc.landscapes.labels import CLASSES, label
from hgc.landscapes.relief import WHITE
from hgc.landscapes.scene import EDGE_HIGH, EDGE_LOW, Scene
from hgc.metrics import depth_misfit, edge_f1, extract_edges, psnr, ssim

CHUNK = 16
JUST_NOTICEABLE = 2.3  # CIE76 (Mahy et al., Color Research and Application 19, 1994)
EYE_BLUR_PX = 1.5  # grain finer than this is not a different picture
REGIONS = {"sky": ("sky", "cloud"), "ground": ("grass",), "whole": CLASSES}


@dataclass(frozen=True)
class Eyes:
    """The networks that look at pictures; the one for depth where the model has it."""

    segmenter: Segmenter
    reader: Reader
    depth_reader: DepthReader | None = None

    @classmethod
    def load(cls, weights: Path) -> Eyes:
        """From the model's folder. Raises BenchRefused where one is missing or of another world."""
        try:
            deep = weights / "depth_reader"
            depth_reader = DepthReader.load(deep) if deep.exists() else None
            return cls(Segmenter.load(weights / "segmenter"), Reader.load(weights / "reader"), depth_reader)
        except (FileNotFoundError, ValueError) as error:
            raise BenchRefused(str(error)) from error

    def labels(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """uint8 [N, H, W]."""
        parts = [self.segmenter.segment(as_images(chunk)).byte() for chunk in _chunks(pictures)]
        return torch.cat(parts)

    def segmentation(self, pictures: Sequence[Picture], maps: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
        """IoU of each class over all pictures together, and their mean as 'mean'."""
        shares = class_iou(self.labels(pictures), torch.from_numpy(np.stack(maps)))
        return {"mean": fmean(shares.values()), **shares}

    def depth_error(self, pictures: Sequence[Picture], greys: Sequence[Picture]) -> float:
        """Root mean square over all pixels of how far the pictures' depth is from depth maps [H, W, 3], in their range.

        A map tells depth up to a scale and a shift, by which the depth read is fitted to it; one without relief tells
        nothing and is left out. Raises BenchRefused where all are left out, or the model has no depth reader.
        """
        if self.depth_reader is None:
            raise BenchRefused("the model has no depth reader; train it, or leave depth out")
        read = np.concatenate([self.depth_reader.read(as_images(chunk)).numpy() for chunk in _chunks(pictures)])
        told = [(near, grey[:, :, 0] / WHITE) for near, grey in zip(read, greys, strict=True) if grey.std() > 0]
        if not told:
            raise BenchRefused("no depth map has any relief; take more scenes or drawings")
        return fmean(depth_misfit(near, grey) for near, grey in told) ** 0.5

    def words(self, pictures: Sequence[Picture], prompts: Sequence[str]) -> dict[str, float | int | None]:
        """Share of the pictures whose time of day and season are those of the prompt, where it names one.

        `both` counts the words of either kind together; None where no prompt names any. Weather and style are told
        where the reader can read them and a prompt names one.
        """
        hits: dict[str, list[bool]] = {head: [] for head in self.reader.heads}
        for seen, prompt in zip(self.read(pictures), prompts, strict=True):
            words = asked(prompt)
            for head, found in hits.items():
                if wanted := getattr(words, head):
                    found.append(getattr(seen, head) == wanted)
        times, seasons = hits.pop("time"), hits.pop("season")
        told: dict[str, float | int | None] = {
            "both": _share(times + seasons), "time": _share(times), "season": _share(seasons),
            "times_named": len(times), "seasons_named": len(seasons),
        }  # fmt: skip
        for head, found in hits.items():
            if found:
                told |= {head: _share(found), f"{head}s_named": len(found)}
        return told

    def read(self, pictures: Sequence[Picture]) -> list[PictureWords]:
        """What each picture shows."""
        return [reading for chunk in _chunks(pictures) for reading in self.reader.read(as_images(chunk))]


def edge_scores(pictures: Sequence[Picture], edge_maps: Sequence[NDArray[np.uint8]]) -> float:
    """Mean F1 of the pictures' own edges against edge maps [H, W], within two pixels."""
    pairs = zip(pictures, edge_maps, strict=True)
    return fmean(edge_f1(extract_edges(picture, EDGE_LOW, EDGE_HIGH), edges) for picture, edges in pairs)


def variety(groups: Sequence[Sequence[Picture]], labels: Sequence[NDArray[np.uint8]]) -> dict[str, dict[str, float]]:
    """How far apart pictures under one map and prompt are, by region of the map.

    `groups` holds the pictures of each map. `colour_distance` is the mean CIE76 distance over all pairs and pixels,
    `visible` the share of pixels in which a pair differs by more than is just noticeable.
    """
    distances: dict[str, dict[str, list[float]]] = {name: {"colour_distance": [], "visible": []} for name in REGIONS}
    for group, seen in zip(groups, labels, strict=True):
        apart = np.stack([colour_distance(a, b) for a, b in combinations(group, 2)])  # [pairs, H, W]
        for name, classes in REGIONS.items():
            inside = np.isin(seen, [label(c) for c in classes])
            if inside.any():
                distances[name]["colour_distance"].append(float(apart[:, inside].mean()))
                distances[name]["visible"].append(float((apart[:, inside] > JUST_NOTICEABLE).mean()))
    return {name: {key: fmean(v) for key, v in values.items() if v} for name, values in distances.items()}


def colour_distance(a: Picture, b: Picture) -> NDArray[np.float32]:
    """CIE76 distance [H, W] of two pictures seen from where grain melts away."""
    first, second = (_lab(picture) for picture in (a, b))
    return np.asarray(np.linalg.norm(first - second, axis=2), np.float32)


def _lab(picture: Picture) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(picture.astype(np.float32) / 255, (0, 0), EYE_BLUR_PX)
    return np.asarray(cv2.cvtColor(blurred, cv2.COLOR_RGB2Lab), np.float32)


def _chunks(pictures: Sequence[Picture]) -> list[Sequence[Picture]]:
    return [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def null_band(
    base: SceneRun,
    more_steps: Sequence[int],
    scenes: Sequence[Scene],
    eyes: Eyes,
    drawn: Callable[[SceneRun], list[Picture]],
) -> dict[str, Any]:
    """The same figures under other noise and under more steps; a difference inside the band means nothing.

    `score` is mIoU under a label map and F1 under edges; PSNR and SSIM compare with the pictures of `base`.
    """
    measured = drawn(base)
    rows = {"as measured": _row(base.control, measured, scenes, eyes)}
    others = {f"noise {noise}": SceneRun(base.control, base.steps, noise) for noise in OTHER_NOISES}
    scores = [rows["as measured"]["score"]]
    for name, run in others.items():
        rows[name] = _row(run.control, drawn(run), scenes, eyes, measured)
        scores.append(rows[name]["score"])
    for steps in more_steps:
        rows[f"{steps} steps"] = _row(base.control, drawn(SceneRun(base.control, steps)), scenes, eyes, measured)
    return {"scenes": len(scenes), "score_lowest": min(scores), "score_highest": max(scores), "rows": rows}


def _row(
    control: str,
    made: Sequence[Picture],
    scenes: Sequence[Scene],
    eyes: Eyes,
    measured: Sequence[Picture] | None = None,
) -> dict[str, Any]:
    if control == "segmentation":
        score = eyes.segmentation(made, [scene.labels for scene in scenes])["mean"]
    else:
        score = edge_scores(made, [scene.edges for scene in scenes])
    row = {"score": score, "words": eyes.words(made, [scene.caption for scene in scenes])["both"]}
    if measured is None:
        return row
    pairs = list(zip(made, measured, strict=True))
    return row | {
        "psnr_db_to_measured": fmean(psnr(a, b) for a, b in pairs),
        "ssim_to_measured": fmean(ssim(a, b) for a, b in pairs),
    }
