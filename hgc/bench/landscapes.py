"""How good the embedded model is, on scenes it never saw: every figure of the model card, by one command.

python -m hgc bench landscapes --null --drawings runs/drawings.png --out assets/models/landscapes/figures.json
python -m hgc bench landscapes --scenes 2 --steps 2 --only segmentation     # a minute
python -m hgc bench landscapes --hands 24 --only hand_segmentation --only hand_edges
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from hgc.bench import drawings
from hgc.bench.album import Album, Tell, digest, named
from hgc.bench.scores import Eyes, edge_scores, null_band, variety
from hgc.bench.setup import CONTROLS, MOST_WEATHER_SCENES, NOISE_STRIDE, OTHER_NOISES, SceneRun, Setup
from hgc.landscapes.artist import Artist, Picture, Sitting
from hgc.landscapes.canvas import SIZE
from hgc.landscapes.caption import inked, weathered
from hgc.landscapes.hand.drawing import Drawing
from hgc.landscapes.labels import colour_map
from hgc.landscapes.relief import depth_map, near_of_map
from hgc.landscapes.scene import Scene, depth_of, paint
from hgc.landscapes.weather import WEATHERS, Weather
from hgc.metrics import psnr
from hgc.models.presets import presets
from hgc.training.dataset import EVALUATION_SEEDS
from hgc.training.export import weight_bytes

SPEED_ROUNDS = 3


@dataclass
class Bench:
    """The figures of one folder of weights; pictures are kept under `work`, so that a stop loses one batch."""

    setup: Setup
    work: Path
    tell: Tell
    weights: Path = field(default_factory=lambda: Path(presets()["landscapes"].source))

    @cached_property
    def scenes(self) -> list[tuple[int, Scene]]:
        first = self.setup.first_seed
        return [(seed, paint(seed)) for seed in range(first, first + self.setup.scenes)]

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return self.setup.parts(self.weights)

    @cached_property
    def artist(self) -> Artist:
        return Artist.load(self.weights, self.setup.dtype)

    @cached_property
    def eyes(self) -> Eyes:
        return Eyes.load(self.weights)

    @cached_property
    def album(self) -> Album:
        key = digest(self.weights, self.setup.dtype, self.setup.noise_seed, self.artist.guidance)
        return Album(self.work / key, self.setup.batch, self.tell)

    @cached_property
    def tried(self) -> list[drawings.Tried]:
        """The examples' drawings as the model draws them."""
        return drawings.try_drawings(self.artist, self.eyes, self.album, self.setup.steps)

    def report(self) -> dict[str, Any]:
        """Every figure asked for; shares and scores are 0..1, units are in the names."""
        figures: dict[str, Any] = {"command": self.setup.command, "measured_on": self._measured_on()}
        for part in self.parts:
            figures[part] = getattr(self, f"_{part}")()
        if self.setup.null:
            scenes = [scene for _, scene in self._band()]
            for control in self._controls():
                base = SceneRun(control, self.setup.steps)
                band = null_band(base, self.setup.more_steps, scenes, self.eyes, lambda r: self._drawn(r, self._band()))
                figures.setdefault("null_band", {})[control] = band
        if self.setup.drawings:
            figures["drawings"] = drawings.as_json(self.tried)
            figures["drawings_mean"] = drawings.means(self.tried)
        figures["measured_on"]["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return figures

    def _measured_on(self) -> dict[str, Any]:
        return {
            "weights_digest": digest(self.weights),
            "device": str(self.artist.loaded.device),
            "dtype": self.setup.dtype,
            "threads": torch.get_num_threads(),
            "sampler": "ddim",
            "guidance": self.artist.guidance,
            "scenes": self.setup.scenes,
            "hands": self.setup.hands,
            "first_seed": self.setup.first_seed,
            "noise_seed": self.setup.noise_seed,
            "steps": self.setup.steps,
            "band_scenes": len(self._band()),
        }

    def _controls(self) -> tuple[str, ...]:
        return tuple(control for control in CONTROLS if control in self.parts) or CONTROLS

    def _band(self) -> list[tuple[int, Scene]]:
        return self.scenes[: self.setup.band_scenes]

    def _drawn(self, run: SceneRun, scenes: Sequence[tuple[int, Scene]]) -> list[Picture]:
        def make(sittings: Sequence[Sitting]) -> list[Picture]:
            return self.artist.draw(run.control, sittings, run.steps, run.strength)

        shift = self.setup.noise_seed + NOISE_STRIDE * run.noise
        sittings = [
            Sitting(control_map(seed, scene, run.control), scene.caption, shift + seed) for seed, scene in scenes
        ]
        names = [named(seed, one.map, one.prompt) for (seed, _), one in zip(scenes, sittings, strict=True)]
        return self.album.pictures(run.title, list(zip(names, sittings, strict=True)), make)

    def _rebuilt(self) -> list[Picture]:
        asked = [(named(seed, scene.image), scene.image) for seed, scene in self.scenes]
        return self.album.pictures("rebuilt", asked, self.artist.rebuild)

    def _size(self) -> dict[str, Any]:
        sizes = weight_bytes(self.weights)
        return {"weight_bytes": sum(sizes.values()), "largest_file_bytes": max(sizes.values())}

    def _speed(self) -> dict[str, Any]:
        begun = perf_counter()
        artist = Artist.load(self.weights, self.setup.dtype)
        load_s = perf_counter() - begun
        seed, scene = self.scenes[0]
        sitting = Sitting(control_map(seed, scene, "segmentation"), scene.caption, seed)
        seconds = []
        for _ in range(SPEED_ROUNDS + 1):  # the first one warms up
            begun = perf_counter()
            artist.draw("segmentation", [sitting], self.setup.steps)
            seconds.append(perf_counter() - begun)
        busy = os.getloadavg()[0]
        return {"load_s": load_s, "one_image_s": median(seconds[1:]), "rounds": SPEED_ROUNDS, "load_average": busy}

    def _reconstruction(self) -> dict[str, Any]:
        rebuilt = self._rebuilt()
        pairs = zip(rebuilt, self.scenes, strict=True)
        return {
            "psnr_db": fmean(psnr(made, scene.image) for made, (_, scene) in pairs),
            "words": self.eyes.words(rebuilt, [scene.caption for _, scene in self.scenes]),
            "segmenter_miou": self.eyes.segmentation(rebuilt, self._labels())["mean"],
            "edge_f1": edge_scores(rebuilt, [scene.edges for _, scene in self.scenes]),
        }

    def _labels(self) -> list[np.ndarray]:
        return [scene.labels for _, scene in self.scenes]

    def _segmentation(self) -> dict[str, Any]:
        drawn = self._drawn(SceneRun("segmentation", self.setup.steps), self.scenes)
        real_pictures, prompts = [scene.image for _, scene in self.scenes], [scene.caption for _, scene in self.scenes]
        real = self.eyes.segmentation(real_pictures, self._labels())
        made = self.eyes.segmentation(drawn, self._labels())
        return {
            "miou": made["mean"], "miou_real": real["mean"], "ratio": made["mean"] / real["mean"],
            "iou": made, "iou_real": real,
            "words": self.eyes.words(drawn, prompts), "words_real": self.eyes.words(real_pictures, prompts),
        }  # fmt: skip

    def _edges(self) -> dict[str, Any]:
        drawn = self._drawn(SceneRun("edges", self.setup.steps), self.scenes)
        edges = [scene.edges for _, scene in self.scenes]
        made, rebuilt = edge_scores(drawn, edges), edge_scores(self._rebuilt(), edges)
        words = self.eyes.words(drawn, [scene.caption for _, scene in self.scenes])
        return {"f1": made, "f1_reconstructed": rebuilt, "ratio": made / rebuilt if rebuilt else 0.0, "words": words}

    def _depth(self) -> dict[str, Any]:
        """How far the picture's depth is from the map's, as root mean square of the map's range."""
        drawn = self._drawn(SceneRun("depth", self.setup.steps), self.scenes)
        greys = [control_map(seed, scene, "depth") for seed, scene in self.scenes]
        made = self.eyes.depth_error(drawn, greys)
        real = self.eyes.depth_error([scene.image for _, scene in self.scenes], greys)
        words = self.eyes.words(drawn, [scene.caption for _, scene in self.scenes])
        return {"rmse": made, "rmse_real": real, "ratio": made / real, "words": words}

    @cached_property
    def _hands(self) -> list[Drawing]:
        return [Drawing.of(EVALUATION_SEEDS + number) for number in range(self.setup.hands)]

    def _hand_segmentation(self) -> dict[str, Any]:
        maps = [(drawing, colour_map(drawing.scene.labels)) for drawing in self._hands]
        pictures = self._drawn_by_hand("segmentation", maps)
        words = self.eyes.words(pictures, [drawing.scene.caption for drawing in self._hands])
        return {**drawings.map_scores(pictures, self._hands, self.eyes), "words": words}

    def _hand_edges(self) -> dict[str, Any]:
        pictures = self._drawn_by_hand("edges", [(drawing, drawing.line_map) for drawing in self._hands])
        return drawings.line_scores(pictures, self._hands)

    def _hand_depth(self) -> dict[str, Any]:
        maps = [(drawing, depth_map(near_of_map(drawing.scene.labels), (SIZE, SIZE))) for drawing in self._hands]
        pictures = self._drawn_by_hand("depth", maps)
        greys = [seen for _, seen in maps]
        made = self.eyes.depth_error(pictures, greys)
        real = self.eyes.depth_error([drawing.scene.image for drawing in self._hands], greys)
        return {"drawings": len(maps), "rmse": made, "rmse_real": real, "ratio": made / real}

    def _drawn_by_hand(self, control: str, maps: Sequence[tuple[Drawing, Picture]]) -> list[Picture]:
        def make(sittings: Sequence[Sitting]) -> list[Picture]:
            return self.artist.draw(control, sittings, self.setup.steps)

        sittings = [
            Sitting(control_map, drawing.scene.caption, self.setup.noise_seed + drawing.seed)
            for drawing, control_map in maps
        ]
        names = [named(drawing.seed, one.map, one.prompt) for (drawing, _), one in zip(maps, sittings, strict=True)]
        title = f"hands-{control}-{self.setup.steps}-steps"
        return self.album.pictures(title, list(zip(names, sittings, strict=True)), make)

    def _words_alone(self) -> dict[str, Any]:
        """Do the words say enough where nothing is drawn?"""
        drawn = self._drawn(SceneRun("segmentation", self.setup.steps, strength=0.0), self._band())
        return self.eyes.words(drawn, [scene.caption for _, scene in self._band()])

    def _weather(self) -> dict[str, Any]:
        """Maps under their captions with a weather, or ink, added: is that read back?"""
        scenes = self.scenes[:MOST_WEATHER_SCENES]
        shares: dict[str, Any] = {"scenes": len(scenes)}
        for name, worded in _WORDED.items():
            asked = [
                (seed, replace(one, caption=worded(one.caption, np.random.default_rng(seed)))) for seed, one in scenes
            ]
            drawn = self._drawn(SceneRun("segmentation", self.setup.steps), asked)
            words = self.eyes.words(drawn, [scene.caption for _, scene in asked])
            shares[name] = {"read": words["style" if name == "ink" else "weather"], "both": words["both"]}
        return shares

    def _variety(self) -> dict[str, Any]:
        runs = [SceneRun("segmentation", self.setup.steps, noise) for noise in (0, *OTHER_NOISES)]
        columns = [self._drawn(run, self._band()) for run in runs]
        groups = list(zip(*columns, strict=True))
        return {"seeds": len(runs), **variety(groups, [scene.labels for _, scene in self._band()])}


def _in_weather(weather: Weather, caption: str, rng: np.random.Generator) -> str:
    return weathered(caption, weather, rng)


_WORDED: dict[str, Callable[[str, np.random.Generator], str]] = {
    **{weather: partial(_in_weather, weather) for weather in WEATHERS},
    "ink": inked,
}


def control_map(seed: int, scene: Scene, control: str) -> Picture:
    """The map uint8 [256, 256, 3] of the scene of a seed under a control."""
    if control == "depth":
        return depth_map(depth_of(seed), (SIZE, SIZE))
    return colour_map(scene.labels) if control == "segmentation" else np.repeat(scene.edges[..., None], 3, axis=2)
