"""Control maps the way people draw them: wobbly borders, blobs, thick or broken lines."""

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.uint8]


def wobble(picture: Map, reach: float, grain: int, rng: np.random.Generator) -> Map:
    """Shift every pixel by a smooth random field of up to `reach` pixels; `grain` is the field's number of cells."""
    height, width = picture.shape[:2]
    field = rng.uniform(-reach, reach, (2, grain, grain)).astype(np.float32)
    shift_x, shift_y = (cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in field)
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(picture, xs + shift_x, ys + shift_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def blobby(labels: Map, classes: int, radius: float) -> Map:
    """Round every region's corners off: each pixel takes the class that weighs most in a blurred neighbourhood."""
    present = [c for c in range(classes) if (labels == c).any()]
    weights = [cv2.GaussianBlur((labels == c).astype(np.float32), (0, 0), radius) for c in present]
    return np.asarray(present, np.uint8)[np.argmax(weights, axis=0)]


def drawn_labels(labels: Map, classes: int, rng: np.random.Generator) -> Map:
    """A label map [H, W] as a hand would fill it in; often left as it is."""
    if rng.random() < 0.15:
        labels = blobby(labels, classes, rng.uniform(1.0, 2.5))
    if rng.random() < 0.30:
        labels = wobble(labels, rng.uniform(1.0, 4.0), int(rng.choice((10, 18, 30))), rng)
    return labels


def drawn_edges(edges: Map, rng: np.random.Generator) -> Map:
    """An edge map [H, W], 0 or 255, as a pen would draw it; often left as it is."""
    if rng.random() < 0.25:
        edges = without_strokes(edges, rng.uniform(0.05, 0.3), rng)
    if rng.random() < 0.30:
        edges = wobble(edges, rng.uniform(0.5, 2.0), int(rng.choice((12, 24))), rng)
    if rng.random() < 0.30:
        size = int(rng.choice((2, 3)))
        edges = np.asarray(cv2.dilate(edges, np.ones((size, size), np.uint8)), np.uint8)
    return edges


def without_strokes(edges: Map, share: float, rng: np.random.Generator) -> Map:
    """Leave out about `share` of the connected strokes."""
    count, parts = cv2.connectedComponents(edges)
    keep = rng.random(count) >= share
    keep[0] = False
    return np.where(keep[parts], edges, 0).astype(np.uint8)
