"""How well a picture follows its drawing, and how different two pictures look to a network that knows such ones.

The first is the protocol of ControlNet++ (arXiv 2404.07987): the condition is read back from the picture and compared.
Pictures of the embedded model are judged by its own small networks, all others by networks of the Hub's (hgc.judges).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hgc.control.annotators import AnnotatorUnavailable
from hgc.control.canvas import Pixels, snap
from hgc.control.images import RGB
from hgc.judges.lines import edge_score
from hgc.judges.table import LPIPS_NETWORK, Judges
from hgc.landscapes.eyes import DepthReader, Segmenter
from hgc.landscapes.labels import CLASSES, PALETTE
from hgc.metrics import depth_misfit, feature_distance, overlaps, pooled_miou, psnr, ssim
from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable
from hgc.results.comparison import Likeness

OWN, OWN_DEPTH = "Landscapes' segmenter", "Landscapes' depth reader, fitted in scale and shift"
GREY_LEVELS = 255.0


class Judge:
    """Scores pictures of one model.

    `segmenter` and `depth_reader` know the embedded model's world. Without a segmenter `judges` score
    instead; None where they are not to be asked: on a machine without an accelerator, unless somebody wants them.
    """

    def __init__(
        self,
        segmenter: Segmenter | None,
        canny: tuple[int, int],
        judges: Judges | None = None,
        depth_reader: DepthReader | None = None,
    ) -> None:
        self._segmenter, self._canny, self._judges = segmenter, canny, None if segmenter else judges
        self._depth_reader = depth_reader

    @classmethod
    def of(cls, preset: ModelPreset, device: torch.device | None = None, networks: bool | None = None) -> Judge:
        """The judge whose segmenter is kept with a model's weights, if it has one, else with `networks` on a device.

        Unless told, these are asked on an accelerator only.
        """
        where, deep = Path(preset.source) / "segmenter", Path(preset.source) / "depth_reader"
        if preset.local and where.is_dir():
            depth_reader = DepthReader.load(deep) if deep.is_dir() else None
            return cls(Segmenter.load(where), preset.canny, depth_reader=depth_reader)
        at = device or torch.device("cpu")
        asked = at.type != "cpu" if networks is None else networks
        return cls(None, preset.canny, Judges(at) if asked else None)

    def score(self, image: Pixels, control: Pixels, kind: str) -> float:
        """How well a picture keeps to its map, both uint8 [H, W, 3]; NaN where nothing can be said (see `notes`)."""
        if kind == "edges":
            return edge_score(image, control, self._canny)
        if self._segmenter is not None:
            if kind == "depth":
                return self._depth_error(image, control[:, :, 0].astype(np.float32))
            return pooled_miou([self.overlaps(image, control, kind)]) if kind == "segmentation" else nan
        if self._judges is None:
            return nan
        try:
            return self._judges.score(image, control, kind)
        except (ModelUnavailable, AnnotatorUnavailable):
            return nan

    def _depth_error(self, image: Pixels, grey: NDArray[np.float32]) -> float:
        """RMSE in grey levels of a map [H, W]; NaN without a reader, and for a map that says nothing."""
        if self._depth_reader is None or not grey.std():
            return nan
        return depth_misfit(self._depth_reader.read(_batch(image))[0].numpy() * GREY_LEVELS, grey) ** 0.5

    def overlaps(self, image: Pixels, control: Pixels, kind: str) -> dict[str, tuple[int, int]]:
        """Pixels of each class shared and in either, in a picture and its label map, both uint8 [H, W, 3].

        Empty under other controls, and without a segmenter of the model's own.
        """
        if kind != "segmentation" or self._segmenter is None:
            return {}
        seen = self._segmenter.segment(_batch(image))[0].cpu().numpy()
        return overlaps(seen, labels_of(control, PALETTE), CLASSES)

    def likeness(self, full: Pixels, other: Pixels) -> Likeness:
        """Of two pictures uint8 [H, W, 3]."""
        return Likeness(psnr(full, other), ssim(full, other), self.perceptual(full, other))

    def perceptual(self, image: Pixels, other: Pixels) -> float | None:
        """Perceptual difference of two pictures uint8 [H, W, 3]; 0 is none.

        LPIPS, and in the embedded model's world the same on its segmenter's features. None where neither is at hand.
        """
        if self._segmenter is not None:
            first, second = (self._segmenter.features(_batch(picture)) for picture in (image, other))
            return float(feature_distance(first, second))
        if self._judges is None or self._judges.missing_perceptual:
            return None
        return self._judges.perceptual(image, other)

    def own(self, kind: str) -> str:
        """Which of the model's own networks reads this control back from a picture; nothing where none does."""
        if self._segmenter is None:
            return ""
        return {"segmentation": OWN, "depth": OWN_DEPTH if self._depth_reader else ""}.get(kind, "")

    def name(self, kind: str) -> str:
        """Who scores this control here, and who compares pictures; nothing where nobody does."""
        if kind == "edges":
            by = "Canny"
        elif self._segmenter is not None:
            by = self.own(kind)
        else:
            by = "" if self._judges is None or self._judges.missing(kind) else self._judges.name(kind)
        alike = OWN if self._segmenter else ""
        if self._judges is not None and not self._judges.missing_perceptual:
            alike = f"LPIPS on {LPIPS_NETWORK}"
        return ", ".join(dict.fromkeys(part for part in (by, alike) if part))

    def notes(self, kind: str) -> tuple[str, ...]:
        """In plain words, what could not be judged and the remedy; nothing where nobody was asked."""
        if self._judges is None:
            return ()
        reasons = ("" if kind == "edges" else self._judges.missing(kind), self._judges.missing_perceptual)
        titles = ("The control is not scored", "There is no perceptual difference")
        return tuple(f"{title}: {reason}." for title, reason in zip(titles, reasons, strict=True) if reason)


def _batch(image: Pixels) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255  # [1, 3, H, W]


def labels_of(control: Pixels, palette: Mapping[str, RGB]) -> Pixels:
    """Class numbers [H, W] of a palette-coloured map."""
    return snap(control, palette, "sky", paper=None).labels
