"""How near everything in a label map is, and a scene's relief as depth and normal networks draw it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hgc.landscapes.labels import CLASSES, label

WHITE = 255
# Of 0, infinitely far, to 1, at the lower edge: the ground at the horizon, and the nearest ridge behind it.
HORIZON = 0.08
RIDGES = 0.06
GROUND = ("grass", "path", "water")
AIR = ("sky", "sun_moon", "cloud")
LOWEST_HORIZON, EMPTY_HORIZON = 0.8, 0.5  # of the height; the second where nothing says where the ground begins
CREST, ABOVE_CREST = 10, 0.02  # the percentile of the columns' first ground, and how far above it the horizon is
SLOPE = 0.6  # a mountain's foot below the horizon comes nearer by so much of what the ground does
WOOD_FROM, WOOD_SIDE = 1.5, 0.3  # width over height, or both in shares of the picture: trees that are a wood
MOST_BULGE = 0.2  # in maps, whose things may be as wide as the sheet
GAP = 0.06  # of the height: bare paper that does not part a thing from what it stands on
GROUND_WIDTH = 0.3  # of the columns: less ground at the lower edge does not tell where the horizon is
WOOD_HEIGHT = 0.15  # of its trees


def plane(rows: NDArray[np.float32], horizon: float) -> NDArray[np.float32]:
    """How near the ground is at rows 0..1 of the picture."""
    return HORIZON + (1 - HORIZON) * np.clip((rows - horizon) / (1 - horizon), 0, 1)


def bulge(things: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far things [H, W] stand out towards the viewer, as parts of their distance: each as round as it is wide."""
    mask = things.astype(np.uint8)
    count, parts = cv2.connectedComponents(mask)
    inside = np.minimum(cv2.distanceTransform(mask, cv2.DIST_L2, 5) / len(mask), 1)  # endless on a sheet full of it
    radius = np.zeros(count, np.float32)
    np.maximum.at(radius, parts.ravel().astype(np.intp), inside.ravel())
    return np.asarray(np.sqrt(inside * (2 * radius[parts] - inside)), np.float32)


def is_wood(width: float, height: float) -> bool:
    """Whether an outline of trees, in shares of the picture, is too wide for one tree."""
    return width > WOOD_FROM * height or (width > WOOD_SIDE and height > WOOD_SIDE)


def near_of_map(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How near everything in any label map [H, W] is: the sky 0, the ground by its row, 1 at the lower edge.

    Trees and houses are as near as the ground at their foot; what floats is as near as its lowest row; mountains are
    far, and come nearer with the rows below the horizon.
    """
    solid = ~_member(labels, AIR)
    floats = _floating(solid)
    horizon = _horizon(labels, ~floats)
    rows = np.linspace(0, 1, len(labels), dtype=np.float32)[:, None]
    ground = np.broadcast_to(plane(rows, horizon), labels.shape)
    near = np.where(_member(labels, ("mountain",)), RIDGES + SLOPE * (ground - HORIZON), ground) * solid
    roundness = bulge(_member(labels, ("mountain",)))
    for name in ("tree", "house"):
        things = _member(labels, (name,)) & ~floats
        near[things] = _standing(things, horizon, woods=name == "tree")[things]
        roundness = np.maximum(roundness, bulge(things))
    if floats.any():
        near[floats] = _standing(floats, horizon, woods=False)[floats]
        roundness = np.where(floats, bulge(floats), roundness)
    return np.asarray((near / (1 - np.minimum(roundness, MOST_BULGE))).clip(0, 1), np.float32)


def _member(labels: NDArray[np.uint8], names: tuple[str, ...]) -> NDArray[np.bool_]:
    table = np.zeros(len(CLASSES), np.bool_)
    table[[label(name) for name in names]] = True
    return table[labels]


def _floating(solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is held by nothing that reaches the lower edge; nothing floats where nothing reaches it."""
    gap = np.ones((int(GAP * len(solid)), 1), np.uint8)
    _, bodies = cv2.connectedComponents(cv2.morphologyEx(solid.astype(np.uint8), cv2.MORPH_CLOSE, gap))
    grounded = np.unique(bodies[-1])
    return solid & ~np.isin(bodies, grounded) if grounded.any() else np.zeros_like(solid)


def _horizon(labels: NDArray[np.uint8], held: NDArray[np.bool_]) -> float:
    """The height 0..1 at which the ground begins; without any, where mountains end, or in the middle."""
    ground = _member(labels, GROUND)
    for seen, least in ((ground & held, GROUND_WIDTH), (ground, 0.0)):
        columns = seen.any(axis=0)
        if columns.mean() > least:
            crest = float(np.percentile(seen.argmax(axis=0)[columns], CREST)) / len(labels)
            return min(LOWEST_HORIZON, max(0.0, crest - ABOVE_CREST))
    rock = _member(labels, ("mountain",)).any(axis=1)
    return min(EMPTY_HORIZON, int(np.flatnonzero(rock)[-1]) / len(labels)) if rock.any() else EMPTY_HORIZON


def _standing(things: NDArray[np.bool_], horizon: float, woods: bool) -> NDArray[np.float32]:
    """How near each thing is by its foot; a wood stands in rows, one behind another."""
    side = len(things)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(things.astype(np.uint8))
    foot = ((stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT] - 1) / (side - 1)).astype(np.float32)
    reach = np.ones(count, np.float32)
    if woods:
        width, height = stats[:, cv2.CC_STAT_WIDTH] / side, stats[:, cv2.CC_STAT_HEIGHT] / side
        reach[[is_wood(*of) for of in zip(width, height, strict=True)]] = WOOD_HEIGHT
    rows = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    return plane(np.minimum(foot[parts], rows + reach[parts]), horizon)


def depth_map(near: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Grey levels [H, W, 3] as MiDaS has them, the nearest white, the farthest black; `size` is width and height."""
    sized = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
    low, high = float(sized.min()), float(sized.max())
    grey = np.round((sized - low) / ((high - low) or 1.0) * WHITE).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def normal_map(near: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Where surfaces face [H, W, 3], in the colours of Bae's network: red to the left, green up, blue to the viewer.

    (Its author in github.com/baegwangbin/DSINE, issue 12: x right, y down, z ahead, of normals that point away from the
    viewer.) A plane aX + bY + cZ = 1, seen through a pinhole, has 1/Z = ax + by + c, so that its normal is read off the
    slopes of `near`. A slope is the smaller one of both sides, so that outlines have none.
    """
    side = len(near)
    x, y = np.meshgrid(*(np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in near.shape[::-1]))
    across, down = (_slope(near, axis) * side for axis in (1, 0))
    ahead = near - x * across - y * down
    normals = np.stack([across, down, ahead], axis=2)
    normals[near == 0] = (0, 0, 1)  # the sky
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    coloured = np.round((normals + 1) / 2 * WHITE).astype(np.uint8)
    return np.asarray(cv2.resize(coloured, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _slope(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The difference to the next place or from the one before, whichever is smaller; 0 where they disagree."""
    step = np.diff(values, axis=axis)
    ends = [(0, 0), (0, 0)]
    after, before = (np.pad(step, [*ends[:axis], pad, *ends[axis + 1 :]], mode="edge") for pad in ((0, 1), (1, 0)))
    smaller = np.where(np.abs(after) < np.abs(before), after, before)
    return np.where(after * before > 0, smaller, np.float32(0))
