"""Painted scenes as requests: pictures to measure on, without anybody's drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request

if TYPE_CHECKING:
    from hgc.studio.studio import Studio


def painted(studio: Studio, seed: int, fields: Mapping[str, Any]) -> Request:
    """The request of a painted scene: its caption, and its label or edge map as the control."""
    scene, control = paint(seed), fields["control"]
    drawing = colour_map(scene.labels) if control == "segmentation" else scene.edges[:, :, None].repeat(3, axis=2)
    return Request.make(studio.prepare_control(drawing, control).png, seed=seed, prompt=scene.caption, **fields)
