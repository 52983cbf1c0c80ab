"""Lines read back from a picture: F1 of its edges, SSIM of its soft edges and line art (ControlNet++, sec. 4.1)."""

from __future__ import annotations

from hgc.control.annotators import annotate
from hgc.judges.networks import Pixels
from hgc.metrics import edge_f1, extract_edges, ssim

LIT = 127


def edge_score(image: Pixels, control: Pixels, canny: tuple[int, int]) -> float:
    """F1 0..1 of a picture's Canny edges with the white lines of its map, both uint8 [H, W, 3]."""
    return float(edge_f1(extract_edges(image, *canny), control.max(axis=2) > LIT))


def line_score(image: Pixels, control: Pixels, annotator: str) -> float:
    """SSIM -1..1 of the lines that an annotator draws of a picture with its map, both uint8 [H, W, 3].

    Raises AnnotatorUnavailable.
    """
    return ssim(annotate(image, annotator).map, control)
