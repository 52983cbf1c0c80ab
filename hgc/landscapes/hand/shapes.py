"""Outlines as a hand draws them: polygons [n, 2] in a box from -1 to 1, x to the right and y down."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]  # [n, 2]
Shape = Callable[[np.random.Generator], Outline]


def blob(rng: np.random.Generator) -> Outline:
    """A round thing with three slow waves along its rim."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.ones_like(angle)
    for waves in (2, 3, 5):
        radius += rng.uniform(0, 0.22) / waves**0.5 * np.cos(waves * angle + rng.uniform(0, 6.3))
    return _boxed(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))


def disc(rng: np.random.Generator) -> Outline:
    """A circle, nearly."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    radius = 1 + rng.uniform(0, 0.06) * np.cos(2 * angle + rng.uniform(0, 6.3))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def polygon(rng: np.random.Generator) -> Outline:
    """Three to eight corners around a middle."""
    count = int(rng.integers(3, 9))
    angle = np.sort((np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * np.pi / count) + rng.uniform(0, 6.3)
    radius = rng.uniform(0.55, 1.0, count)
    return _boxed(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))


def box(rng: np.random.Generator) -> Outline:
    """Four corners, none of them quite right."""
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + rng.uniform(-0.08, 0.08, (4, 2))


def triangle(rng: np.random.Generator) -> Outline:
    """Standing on its foot."""
    return np.array([[rng.uniform(-0.3, 0.3), -1.0], [1, 1], [-1, 1]])


def gabled(rng: np.random.Generator) -> Outline:
    """A house as children draw it: walls under a roof that may stand out."""
    eaves, out = rng.uniform(-0.4, 0.1), rng.uniform(0, 0.15) if rng.random() < 0.5 else 0.0
    tip = rng.uniform(-0.1, 0.1)
    wall = 1 - out
    return np.array([[-wall, 1], [-wall, eaves], [-1, eaves], [tip, -1], [1, eaves], [wall, eaves], [wall, 1]])


def cottage(rng: np.random.Generator) -> Outline:
    """A long house seen from aside: the roof is a trapezium."""
    eaves, inner = rng.uniform(-0.25, 0.15), rng.uniform(0.5, 0.85)
    return np.array(
        [[-0.92, 1], [-0.92, eaves], [-1, eaves], [-inner, -1], [inner, -1], [1, eaves], [0.92, eaves], [0.92, 1]]
    )


def bumpy(rng: np.random.Generator) -> Outline:
    """A cloud: bumps above, flat or bumpy below."""
    bumps = int(rng.integers(3, 7))
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = 1 + 0.16 * np.abs(np.sin(bumps * angle / 2 + rng.uniform(0, 3)))
    cloud = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    if rng.random() < 0.5:
        cloud[:, 1] = np.minimum(cloud[:, 1], rng.uniform(0.2, 0.6))
    return _boxed(cloud)


def range_of_peaks(rng: np.random.Generator) -> Outline:
    """A zigzag over a level foot."""
    count = 2 * int(rng.integers(1, 6)) + 1
    xs = np.linspace(-1, 1, count) + rng.uniform(-0.3, 0.3, count) / count
    ys = np.where(np.arange(count) % 2 == 1, rng.uniform(-1.0, -0.2, count), rng.uniform(-0.1, 0.8, count))
    return np.concatenate([np.stack([xs, ys], axis=1), [[1, 1], [-1, 1]]])


def slab(rng: np.random.Generator) -> Outline:
    """A rock wall: steep sides under a broken top."""
    count = int(rng.integers(3, 8))
    top = np.stack([np.linspace(-1, 1, count), rng.uniform(-1, -0.75, count)], axis=1)
    return np.concatenate([top, [[rng.uniform(0.7, 1.0), 1], [rng.uniform(-1.0, -0.7), 1]]])


def spruce(rng: np.random.Generator) -> Outline:
    """Tiers over a trunk, or one triangle over it."""
    tiers, trunk, foot = int(rng.integers(1, 4)), rng.uniform(0.08, 0.2), rng.uniform(0.55, 0.85)
    right: list[tuple[float, float]] = [(0.0, -1.0)]
    for tier in range(tiers):
        low = -1 + (foot + 1) * (tier + 1) / tiers
        right += [(0.45 + 0.55 * (tier + 1) / tiers, low), (0.3 if tier < tiers - 1 else trunk, low)]
    right.append((trunk, 1.0))
    side = np.array(right)
    return np.concatenate([side, side[::-1] * [-1, 1]])


def lollipop(rng: np.random.Generator) -> Outline:
    """A round or wobbly crown on a trunk."""
    crown, trunk, foot = blob(rng) if rng.random() < 0.6 else disc(rng), rng.uniform(0.08, 0.25), rng.uniform(0.1, 0.6)
    crown = crown * [1.0, (1 + foot) / 2] + [0, (foot - 1) / 2]
    start = int(np.argmin(np.abs(crown[:, 0] - trunk) - 2 * crown[:, 1]))
    ring = np.roll(crown, -start, axis=0)
    below = (np.abs(ring[:, 0]) < trunk) & (ring[:, 1] > 0)
    ring = ring[~below]
    stem = np.array([[-trunk, foot - 0.1], [-trunk, 1], [trunk, 1], [trunk, foot - 0.1]])
    return np.concatenate([ring, stem])


def _boxed(points: Outline) -> Outline:
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / np.maximum(high - low, 1e-6) * 2 - 1)


def by_hand(points: Outline, shake: float, rng: np.random.Generator) -> Outline:
    """The same closed outline with more points on it, each moved by a smooth tremor of up to about `shake`."""
    closed = np.concatenate([points, points[:1]])
    steps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    at = np.concatenate([[0], np.cumsum(steps)])
    count = int(np.clip(at[-1] / 0.02, 12, 160))
    where = np.linspace(0, at[-1], count, endpoint=False)
    dense = np.stack([np.interp(where, at, closed[:, axis]) for axis in (0, 1)], axis=1)
    return dense + tremor(count, shake, rng, closed=True)


def tremor(count: int, shake: float, rng: np.random.Generator, closed: bool = False) -> Outline:
    """A smooth random walk [count, 2] around zero, that may close."""
    knots = max(3, count // int(rng.integers(4, 16)))
    drift = rng.normal(0, shake, (knots + 1, 2))
    if closed:
        drift[-1] = drift[0]
    at = np.linspace(0, knots, count)
    return np.stack([np.interp(at, np.arange(knots + 1), drift[:, axis]) for axis in (0, 1)], axis=1)
