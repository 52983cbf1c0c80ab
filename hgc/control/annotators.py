"""Photo to control map: controlnet_aux's detectors by name, and a colour snap that needs no weights.

    annotate(photo, "canny", AnnotatorSettings(low_threshold=50, high_threshold=120)).map

Detectors are constructed directly: controlnet_aux's `Processor` shares its parameters between instances. The package
is imported at the first use, which takes seconds.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from hgc.refused import Refused

from .canvas import Pixels, snap
from .fitting import fit
from .images import RGB

# As controls are called.
MapKind = Literal[
    "edges",
    "softedge",
    "scribble",
    "lineart",
    "anime",
    "lines",
    "depth",
    "normals",
    "pose",
    "shuffle",
    "segmentation",
]

# Of these, the maps that are lines.
LINES = ("edges", "softedge", "scribble", "lineart", "anime", "lines")


def read_by(kind: str, controls: Sequence[str]) -> str:
    """Of a model's controls the one that reads maps of this kind: its own, or for lines the first of lines."""
    lines = [name for name in LINES if name in controls]
    return lines[0] if kind in LINES and kind not in controls and lines else kind


# Where the detectors' weights are fetched from at first use; a folder that holds them works too.
WEIGHTS = "lllyasviel/Annotators"
FILES = {
    "HEDdetector": ("ControlNetHED.pth",),
    "PidiNetDetector": ("table5_pidinet.pth",),
    "MLSDdetector": ("mlsd_large_512_fp32.pth",),
    "LineartDetector": ("sk_model.pth", "sk_model2.pth"),
    "LineartAnimeDetector": ("netG.pth",),
    "MidasDetector": ("dpt_hybrid-midas-501f0c75.pt",),
    "ZoeDetector": ("ZoeD_M12_N.pt",),
    "LeresDetector": ("res101.pth", "latest_net_G.pth"),
    "NormalBaeDetector": ("scannet.pt",),
    "OpenposeDetector": ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
}
# The detectors resize to multiples of this; padding up to one keeps the photo's own pixels.
GRID_PX = 64
_NUMPY_STATE = threading.Lock()


class AnnotatorUnavailable(Refused, RuntimeError):
    """An annotator whose weights cannot be fetched; the message says which, why, and what to use instead."""


@dataclass(frozen=True)
class AnnotatorSettings:
    """The settings of annotators; each reads its own part.

    Thresholds are Canny's gradient limits; `sigma_px` is the width of lineart's blur and `line_threshold` the grey
    level above which it counts a line; `seed` decides how the content is shuffled. M-LSD keeps a line of at least
    `line_score`, 0..1, and `line_length`, in pixels of its map, half as large as the photo. `hands` has a pose's hands
    and face drawn as well. A detector sees the photo with a shorter side of `resolution_px`; 0 leaves it as it is.
    """

    low_threshold: int = 100
    high_threshold: int = 200
    sigma_px: float = 6.0
    line_threshold: int = 8
    seed: int = 0
    line_score: float = 0.1
    line_length: float = 0.1
    hands: bool = False
    resolution_px: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low_threshold <= self.high_threshold:
            raise ValueError(
                f"canny thresholds are low {self.low_threshold}, high {self.high_threshold}; "
                "they need 0 <= low <= high: lower the first or raise the second"
            )
        if not self.sigma_px > 0:
            raise ValueError(f"lineart's sigma_px is {self.sigma_px}; it must be above 0 pixels")
        if not 0 <= self.line_threshold < 255:
            raise ValueError(f"lineart's line_threshold is {self.line_threshold}; it must be 0 to 254 grey levels")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"shuffle's seed is {self.seed}; it must be 0 to {2**32 - 1}")
        if self.resolution_px and self.resolution_px < GRID_PX:
            raise ValueError(f"resolution_px is {self.resolution_px}; it must be 0, or at least {GRID_PX} pixels")


@dataclass(frozen=True)
class Annotated:
    """A control map uint8 [H, W, 3] of the photo's own size, and in plain words what should be known about it."""

    map: Pixels
    kind: MapKind
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Annotator:
    """One way from a photo to a control map. `instead` names what to use when the weights cannot be fetched."""

    name: str
    label: str
    kind: MapKind
    hint: str
    detector: str = ""
    instead: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """Where the weights are, as the detector names them."""
        return FILES.get(self.detector, ())

    @property
    def needs_weights(self) -> bool:
        return bool(self.instead)

    def ready(self, weights: str = WEIGHTS) -> bool:
        """Whether nothing has to be fetched: no weights are needed, or those of a folder or hub repository are here."""
        from huggingface_hub import try_to_load_from_cache

        if Path(weights).is_dir():
            return all((Path(weights) / name).is_file() for name in self.files)
        return all(isinstance(try_to_load_from_cache(weights, name), str) for name in self.files)


_SNAP_HINT = "nearest class by colour alone: it does not know what things are"
_LINEART, _CANNY = "lineart_standard", "canny"
_TABLE = (
    Annotator(_CANNY, "Canny", "edges", "thin lines where brightness jumps", "CannyDetector"),
    Annotator(_LINEART, "Line art (standard)", "lineart", "soft lines, as drawn", "LineartStandardDetector"),
    Annotator("content_shuffle", "Content shuffle", "shuffle", "same colours, stirred", "ContentShuffleDetector"),
    Annotator("palette_snap", "Colour snap", "segmentation", _SNAP_HINT),
    Annotator("hed", "Soft edges (HED)", "softedge", "soft outlines", "HEDdetector", _LINEART),
    Annotator("scribble_hed", "Scribble (HED)", "scribble", "broad pen", "HEDdetector", _CANNY, {"scribble": True}),
    Annotator("pidinet", "Soft edges (PiDiNet)", "softedge", "soft outlines", "PidiNetDetector", _LINEART),
    Annotator("mlsd", "Straight lines (M-LSD)", "lines", "walls and roofs", "MLSDdetector", _CANNY),
    Annotator("lineart", "Line art", "lineart", "a pen drawing", "LineartDetector", _LINEART),
    Annotator("lineart_coarse", "Line art (coarse)", "lineart", "rough", "LineartDetector", _LINEART, {"coarse": True}),
    Annotator("lineart_anime", "Line art (anime)", "anime", "cel lines", "LineartAnimeDetector", _LINEART),
    Annotator("midas", "Depth (MiDaS)", "depth", "near is bright", "MidasDetector", _CANNY),
    Annotator("zoe", "Depth (ZoeDepth)", "depth", "near is bright", "ZoeDetector", _CANNY),
    Annotator("leres", "Depth (LeReS)", "depth", "near is bright", "LeresDetector", _CANNY),
    Annotator("normal_bae", "Normals (Bae)", "normals", "where surfaces face", "NormalBaeDetector", _CANNY),
    Annotator("openpose", "Pose (OpenPose)", "pose", "people's limbs", "OpenposeDetector", _CANNY),
)
ANNOTATORS: Mapping[str, Annotator] = {annotator.name: annotator for annotator in _TABLE}


def serves(annotator: str, control: str) -> bool:
    """Whether a control reads what this annotator makes; lines serve every control of lines."""
    kind = ANNOTATORS[annotator].kind
    return kind in (control, "shuffle") or (kind in LINES and control in LINES)


def annotate(
    photo: Pixels,
    name: str,
    settings: AnnotatorSettings | None = None,
    palette: Mapping[str, RGB] | None = None,
    weights: str = WEIGHTS,
) -> Annotated:
    """The control map of a photo uint8 [H, W, 3], at the photo's own size.

    `palette` is read by palette_snap alone; `weights` is a hub repository or a folder.
    Raises ValueError for an unknown name or a missing palette, AnnotatorUnavailable when weights cannot be fetched.
    """
    if name not in ANNOTATORS:
        raise ValueError(f"annotator {name!r} is unknown; known annotators: {', '.join(ANNOTATORS)}")
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"photo has shape {photo.shape} of {photo.dtype}; needs uint8 [H, W, 3]: decode it first")
    annotator, settings = ANNOTATORS[name], settings or AnnotatorSettings()
    if name == "palette_snap":
        return _palette_snap(photo, palette)
    control = _at(settings.resolution_px, _run(annotator, settings, weights), photo, annotator.kind)
    blank = annotator.kind in LINES and not control.any()
    notes = ("no lines were found: try another annotator, or a photo with more contrast",) if blank else ()
    return Annotated(control, annotator.kind, notes)


def _run(annotator: Annotator, settings: AnnotatorSettings, weights: str) -> Callable[[Pixels, int], Pixels]:
    """The detector as a function of a photo and its shorter side, so that it computes at the photo's own size."""
    detector = _detector(annotator, weights if annotator.needs_weights else None)

    def canny(photo: Pixels, side: int) -> Pixels:
        low, high = settings.low_threshold, settings.high_threshold
        return detector(photo, low, high, detect_resolution=side, image_resolution=side, output_type="np")

    def lineart_standard(photo: Pixels, side: int) -> Pixels:
        sigma, threshold = settings.sigma_px, settings.line_threshold
        blurred = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), sigma)
        if (blurred - photo).min(axis=2).max() <= threshold:
            # The detector would take the median of no pixels.
            return np.zeros_like(photo)
        return detector(photo, sigma, threshold, detect_resolution=side, output_type="np")

    def content_shuffle(photo: Pixels, side: int) -> Pixels:
        with _numpy_seeded(settings.seed):
            return detector(photo, detect_resolution=side, image_resolution=side, output_type="np")

    known: Mapping[str, Mapping[str, Any]] = {
        "mlsd": {"thr_v": settings.line_score, "thr_d": settings.line_length},
        "openpose": {"include_hand": settings.hands, "include_face": settings.hands},
    }
    own = known.get(annotator.name, {})

    def with_weights(photo: Pixels, side: int) -> Pixels:
        sizes = {"detect_resolution": side, "image_resolution": side}
        return detector(photo, **sizes, output_type="np", **annotator.options, **own)

    weightless = {"canny": canny, "lineart_standard": lineart_standard, "content_shuffle": content_shuffle}
    return weightless.get(annotator.name, with_weights)


def _detector(annotator: Annotator, weights: str | None) -> Callable[..., Pixels]:
    import controlnet_aux

    maker = getattr(controlnet_aux, annotator.detector)
    try:
        return _made(maker, weights)
    # Without its file MiDaS asks for a downloader that is not installed; the others raise OSError.
    except (OSError, ModuleNotFoundError) as error:
        raise AnnotatorUnavailable(
            f"{annotator.label} needs weights from {weights}, which could not be fetched "
            f"({type(error).__name__}): connect to the internet and try again, "
            f"or use {ANNOTATORS[annotator.instead].label}, which needs none."
        ) from error


@functools.lru_cache(maxsize=4)
def _made(maker: Any, weights: str | None) -> Callable[..., Pixels]:
    return maker() if weights is None else maker.from_pretrained(weights)


def _at(side: int, run: Callable[[Pixels, int], Pixels], photo: Pixels, kind: MapKind) -> Pixels:
    """The map of a photo that a detector sees with a shorter side of so many pixels, at the photo's own size."""
    if not side or kind == "shuffle":
        return _at_own_size(run, photo)
    scale = side / min(photo.shape[:2])
    seen = (max(round(photo.shape[0] * scale), 1), max(round(photo.shape[1] * scale), 1))
    control = _at_own_size(run, fit(photo, seen, "photo", "fill"))
    hard = kind in ("edges", "lines", "scribble")  # of these, a line is there or not
    return fit(control, (photo.shape[0], photo.shape[1]), "edges" if hard else "photo", "fill")


def _at_own_size(run: Callable[[Pixels, int], Pixels], photo: Pixels) -> Pixels:
    """Keep a detector from resizing: mirror the photo up to its grid, crop the map back."""
    rows, columns = photo.shape[:2]
    padded = cv2.copyMakeBorder(photo, 0, -rows % GRID_PX, 0, -columns % GRID_PX, cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(run(padded.astype(np.uint8), min(padded.shape[:2]))[:rows, :columns])


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, which ContentShuffle draws from, and put back what was there."""
    with _NUMPY_STATE:
        before = np.random.get_state()
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def _palette_snap(photo: Pixels, palette: Mapping[str, RGB] | None) -> Annotated:
    """Flatten the photo's texture (mean shift), take the nearest class by colour, let the neighbourhood vote."""
    if not palette:
        raise ValueError("annotator 'palette_snap' needs a palette: give the classes and colours of the model's map")
    flat = cv2.pyrMeanShiftFiltering(photo, sp=10, sr=24).astype(np.uint8)
    labels = snap(flat, palette, unpainted=next(iter(palette)), paper=None).labels
    reach = max(min(photo.shape[:2]) // 48, 1) * 2 + 1
    votes = [cv2.blur((labels == index).astype(np.float32), (reach, reach)) for index in range(len(palette))]
    winners = np.argmax(votes, axis=0)
    note = "colours were snapped to the nearest class; this is not semantic segmentation, so check the map"
    return Annotated(np.array(list(palette.values()), np.uint8)[winners], "segmentation", (note,))
