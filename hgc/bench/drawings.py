"""Drawings given to the model: the examples' by name, hand-like ones by number; scores, and a sheet to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.morphology import skeletonize

from hgc.bench.album import Album, named
from hgc.bench.scores import Eyes
from hgc.control.canvas import snap
from hgc.landscapes import examples
from hgc.landscapes.artist import Artist, Picture, Sitting
from hgc.landscapes.canvas import SIZE
from hgc.landscapes.examples import Example
from hgc.landscapes.hand.drawing import Drawing
from hgc.landscapes.labels import LABELS, PALETTE
from hgc.landscapes.scene import EDGE_HIGH, EDGE_LOW
from hgc.landscapes.tiles import tiled
from hgc.metrics import edge_score, extract_edges
from hgc.studio.control_map import prepare_control

PAIRS, SIDE = 4, 160
FLAT = 4.0  # standard deviation of every channel, of 255
HAND_PX = 4.0  # a pen is thicker than an edge, and shakes


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


@dataclass(frozen=True)
class Tried:
    """One drawing: the map the model saw, what it drew, and how well that keeps to map and prompt."""

    example: Example
    map: Picture
    picture: Picture
    scores: dict[str, Any]

    @property
    def line(self) -> str:
        """The score in a few words, for the sheet."""
        said = ", ".join(
            f"{name} {value:.2f}" for name, value in self.scores.items() if name in ("right", "miou", "followed")
        )
        return said or "nothing to follow"


def try_drawings(artist: Artist, eyes: Eyes, album: Album, steps: int) -> list[Tried]:
    """Gallery and trials, each with its own prompt and seed; pictures are kept in the album."""
    tried = []
    for control in ("segmentation", "edges"):
        chosen = [example for example in examples.drawings() if example.control == control]
        maps = [prepare_control(example.pixels, control, (SIZE, SIZE), [LABELS]).map for example in chosen]
        asked = [
            (named(example.path.stem, seen, example.prompt, example.seed), Sitting(seen, example.prompt, example.seed))
            for example, seen in zip(chosen, maps, strict=True)
        ]

        def make(sittings: Sequence[Sitting], control: str = control) -> list[Picture]:
            return artist.draw(control, sittings, steps)

        pictures = album.pictures(f"drawings-{control}-{steps}-steps", asked, make)
        tried += [Tried(*one, _scores(*one, eyes)) for one in zip(chosen, maps, pictures, strict=True)]
    return tried


def _scores(example: Example, seen: Picture, picture: Picture, eyes: Eyes) -> dict[str, Any]:
    """`right`: share of the pixels that are what was drawn there. `followed`: share of the pen's middle line with an
    edge beside it. `f1`: of the lines given, within two pixels. `flat`: nothing is in the picture.
    """
    scores: dict[str, Any] = {"flat": bool(picture.std(axis=(0, 1)).max() < FLAT)}
    if example.prompt:
        scores["words"] = eyes.words([picture], [example.prompt])["both"]
    if example.control == "segmentation":
        labels = snap(seen, PALETTE, "sky", paper=None).labels
        scores["right"] = float((eyes.labels([picture])[0].numpy() == labels).mean())
        scores["miou"] = eyes.segmentation([picture], [labels])["mean"]
    elif seen.any():
        scores["f1"] = line_score(picture, seen[:, :, 0])[0]
        pen = skeletonize(seen[:, :, 0] > 0)
        scores["followed"] = edge_score(extract_edges(picture, EDGE_LOW, EDGE_HIGH), pen, HAND_PX).recall
    return scores


def as_json(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    named = [{name: getattr(t.example, name) for name in ("title", "file", "control", "prompt", "seed")} for t in tried]
    return [example | t.scores for example, t in zip(named, tried, strict=True)]


def means(tried: Sequence[Tried]) -> dict[str, dict[str, float]]:
    """The mean of each score of obedience over the drawings that have it, by control."""
    scores: dict[str, dict[str, list[float]]] = {}
    for t in tried:
        for name in ("right", "miou", "f1", "followed"):
            if name in t.scores:
                scores.setdefault(t.example.control, {}).setdefault(name, []).append(t.scores[name])
    return {control: {name: fmean(v) for name, v in by_name.items()} for control, by_name in scores.items()}


def sheet(tried: Sequence[Tried]) -> Image.Image:
    """Drawings beside their pictures, PAIRS in a row."""
    pictures: list[Picture] = []
    lines: list[str] = []
    for t in tried:
        pictures += [np.asarray(t.map), t.picture]
        lines += [t.example.title[:27], t.line]
    return tiled(pictures, 2 * PAIRS, SIDE, lines)
