"""Painted scenes, hand-like drawings and the examples as requests to measure on; several drawn in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hgc.control.annotators import LINES
from hgc.control.label_sets import taken_over
from hgc.landscapes import examples
from hgc.landscapes.hand.drawing import Drawing
from hgc.landscapes.labels import LABELS, colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request
from hgc.studio.control_map import Prepared
from hgc.studio.scene_maps import ANNOTATED, MAPS, canny_map, drawn_map

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

LATENT_PX = 8


def painted(studio: Studio, seed: int, fields: Mapping[str, Any]) -> Request:
    """The request of a painted scene: its caption, and its map for a control, label maps in the model's classes.

    Raises RequestRefused for a control that the model does not have.
    """
    scene, control = paint(seed), str(fields["control"])
    studio.check_control(control)
    if control == "segmentation":
        png = _areas(studio, scene.labels)
    elif control == "edges":
        png = Prepared(canny_map(scene, studio.size, studio.loaded.preset.canny)).png
    elif control in MAPS:
        png = Prepared(drawn_map(control, scene, seed, studio.size)).png
    else:
        png = studio.prepare_control(scene.image, control, ANNOTATED.get(control)).png
    return Request.make(png, seed=seed, prompt=scene.caption, **fields)


def drawn(studio: Studio, seed: int, fields: Mapping[str, Any]) -> Request:
    """The request of a hand-like drawing: its caption, and its areas, or its outlines by somebody's pen.

    Raises RequestRefused for a control that the model does not have.
    """
    drawing, control = Drawing.of(seed), str(fields["control"])
    studio.check_control(control)
    if control == "segmentation":
        png = _areas(studio, drawing.scene.labels)
    else:
        png = studio.prepare_control(drawing.line_map, control).png
    return Request.make(png, seed=seed, prompt=drawing.scene.caption, **fields)


def examples_of(studio: Studio, fields: Mapping[str, Any]) -> list[Request]:
    """The requests of all drawings that come with Studio for a control, each with its own words and seed."""
    control = str(fields["control"])
    return [
        Request.make(studio.prepare_control(one.pixels, control).png, prompt=one.prompt, seed=one.seed, **fields)
        for one in examples.drawings()
        if one.control == control
    ]


def varied(studio: Studio, seed: int, fields: Mapping[str, Any]) -> Request:
    """A painted scene's request at even seeds, a drawing's at odd ones where hands draw the control's maps."""
    of = drawn if is_drawn(seed, str(fields["control"])) else painted
    return of(studio, seed, fields)


def is_drawn(seed: int, control: str) -> bool:
    """Whether `varied` has a drawing at a seed: of areas and lines, which people draw themselves, at odd ones."""
    return seed % 2 == 1 and (control == "segmentation" or control in LINES)


def _areas(studio: Studio, labels: NDArray[np.uint8]) -> bytes:
    """A label map in the model's classes, as PNG."""
    sheet = np.dstack([colour_map(labels), np.full(labels.shape, 255, np.uint8)])
    drawing, _ = taken_over(sheet, [LABELS], studio.world.sets)
    return studio.prepare_control(drawing, "segmentation").png


def together(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The arguments of one call for all; what is not a tensor is the first call's, and must be the same in all.

    A Union network takes its maps as a list.
    """

    def joined(values: Sequence[Any]) -> Any:
        if isinstance(values[0], torch.Tensor):
            return torch.cat(list(values))
        if isinstance(values[0], list):
            return [joined(each) for each in zip(*values, strict=True)]
        return values[0]

    return {name: joined([call[name] for call in calls]) for name in calls[0]}


def cut_out(call: Mapping[str, Any], side: int) -> dict[str, Any]:
    """The same of the middle `side` x `side` pixels only (a multiple of 8): less work, and the networks don't mind."""
    width = call["latents"].shape[-1] * LATENT_PX
    start = (width - side) // 2 // LATENT_PX * LATENT_PX

    def cut(value: Any, px: int) -> Any:
        if isinstance(value, list):
            return [cut(each, px) for each in value]
        span = slice(start // px, (start + side) // px)
        return value[:, :, span, span].contiguous()

    sizes = {"image": 1, "control_image": 1, "latents": LATENT_PX}
    return {name: cut(value, sizes[name]) if name in sizes else value for name, value in call.items()}
