"""The parts of the embedded model's benchmark, and the ways in which it draws every scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hgc.landscapes.eyes import heads_of
from hgc.refused import Refused

PARTS = (
    "size",
    "speed",
    "reconstruction",
    "segmentation",
    "edges",
    "words_alone",
    "variety",
    "hand_segmentation",
    "hand_edges",
    "weather",
    "depth",
    "hand_depth",
)
# Not every model has what these parts take.
NEEDS = dict.fromkeys(("depth", "hand_depth"), ("controlnet_depth", "depth_reader"))
MOST_WEATHER_SCENES = 24
CONTROLS = ("segmentation", "edges")
OTHER_NOISES = (1, 2, 3)
NOISE_STRIDE = 1_000_000


class BenchRefused(Refused, ValueError):
    """Settings, weights or a card with which nothing can be measured or told; one sentence with the remedy."""


@dataclass(frozen=True)
class Setup:
    """The parts and sizes of one benchmark.

    `only` are the parts; none named are all for which the model has the weights. `hands` is the number of hand-like
    drawings under each control. `band_scenes` are used for what needs no more of them (words without a map) and where
    a scene is drawn many times (variety, the null band). Weather, for which each scene is drawn five times, takes
    MOST_WEATHER_SCENES at most.
    """

    scenes: int = 200
    hands: int = 100
    first_seed: int = 0
    steps: int = 20
    batch: int = 4
    noise_seed: int = 0
    band_scenes: int = 12
    more_steps: tuple[int, ...] = (50, 200)
    null: bool = False
    drawings: bool = False
    dtype: str = "float32"
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = {
            "scenes": self.scenes,
            "hands": self.hands,
            "steps": self.steps,
            "batch": self.batch,
            "band-scenes": self.band_scenes,
        }
        for name, value in counts.items():
            if value < 1:
                raise BenchRefused(f"--{name} {value}: needs at least 1")
        unknown = [part for part in self.only if part not in PARTS]
        if unknown:
            raise BenchRefused(f"--only {unknown[0]}: no such part; parts are {', '.join(PARTS)}")

    def parts(self, weights: Path) -> tuple[str, ...]:
        """What is measured of a folder of weights. Raises BenchRefused where it lacks what a part asked for needs."""
        lacking = {part: [name for name in NEEDS.get(part, ()) if not (weights / name).exists()] for part in PARTS}
        lacking["weather"] = [] if "weather" in heads_of(weights / "reader") else ["reader of weather"]
        for part in self.only:
            if lacking[part]:
                raise BenchRefused(
                    f"--only {part}: {weights} has no {lacking[part][0]}; train it, or leave this part out"
                )
        return self.only or tuple(part for part in PARTS if not lacking[part])

    @property
    def command(self) -> str:
        """The command that measures the same again."""
        words = [
            f"python -m hgc bench landscapes --scenes {self.scenes} --hands {self.hands}",
            f"--first-seed {self.first_seed}",
            f"--steps {self.steps} --batch {self.batch} --noise-seed {self.noise_seed}",
            f"--band-scenes {self.band_scenes} --dtype {self.dtype}",
            *(["--null"] if self.null else []),
            *(["--drawings runs/drawings.png"] if self.drawings else []),
            *(f"--only {part}" for part in self.only),
        ]
        return " ".join(words)


@dataclass(frozen=True)
class SceneRun:
    """One way to draw every scene."""

    control: str
    steps: int
    noise: int = 0
    strength: float = 1.0

    @property
    def title(self) -> str:
        return f"{self.control}-{self.strength:g}-{self.steps}-steps-noise-{self.noise}"
