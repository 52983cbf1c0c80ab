"""A cache leaves the control as strong as it is in full: what twice the strength does beside once, at the last step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import made_up
import pytest
import torch
from small import SIZE
from torch import Tensor

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.plan import Plan
from hgc.cache.running.engine import cached
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.planning.methods import METHODS, BelowLeast
from hgc.request import Request
from hgc.studio.studio import Studio

STEPS, SHARE, LEAST = 8, 0.6, 0.25
# Of what plain diffusion gives, whose own is 1.0 to 1.1: the issue that was reported lost 8% of it.
TOLERANCE = 0.02
Draw = Callable[..., Tensor]

# Nothing is calibrated for so few steps.
CALIBRATED: Mapping[str, Callable[[Anatomy], Plan]] = {
    "block_caching": lambda a: schedules.BlockCaching(share=SHARE).plan(a, STEPS, made_up.curves(a, STEPS)),
    "easycache": lambda a: schedules.EasyCache(warm=3, most=3).plan(a, STEPS),
    "magcache": lambda a: schedules.MagCache(longest=1).plan(a, (1.0, *(0.95,) * (STEPS - 1))),
}


@pytest.fixture(scope="module")
def draw(studio: Studio) -> Draw:
    scene = paint(9_000_006)

    def drawn(scale: float, method: str | None, share: float = SHARE, size: tuple[int, int] = SIZE) -> Tensor:
        """The latents at the end, by a method at a share of full compute, or plainly."""
        png = studio.prepare_control(colour_map(scene.labels), "segmentation", size=size).png
        fields = {"prompt": scene.caption, "seed": 3, "steps": STEPS, "control_scale": scale, "size": size}
        request = Request.make(png, **fields)
        pipe = studio.loaded.pipeline(request.control, request.sampler)
        run = partial(pipe, **studio.call(request) | {"output_type": "latent"})
        if method is None:
            return run().images
        recipe = request.but(method=method, budget=share)
        plan = planned(studio, recipe)
        with cached(pipe, plan, adjustment=studio.adjustment(plan, recipe)):
            return run().images

    return cache(drawn)


def planned(studio: Studio, recipe: Request) -> Plan:
    """By the method at its share, or at its least; what needs a calibration goes by one that is made up."""
    anatomy = studio.anatomy()
    if recipe.method in CALIBRATED:
        return CALIBRATED[recipe.method](anatomy)
    try:
        return studio.plan(recipe)
    except BelowLeast as error:
        return studio.plan(error.at_least(recipe))


def strength(draw: Draw, method: str | None, **how: Any) -> float:
    """How far twice the strength moves the latents from those without control, beside how far once does."""
    off = draw(0.0, None, **how)
    return float((draw(2.0, method, **how) - off).norm() / (draw(1.0, method, **how) - off).norm())


@pytest.mark.parametrize("method", [name for name in METHODS if name != "fewer_steps"])  # which keeps nothing
def test_the_control_is_as_strong_as_in_full(draw: Draw, method: str) -> None:
    assert METHODS[method].calibrated == (method in CALIBRATED)
    assert not torch.equal(draw(1.0, method), draw(1.0, None)), "nothing was kept"
    assert strength(draw, method) == pytest.approx(strength(draw, None), rel=TOLERANCE)


def test_hgc_keeps_it_at_its_least(draw: Draw, studio: Studio) -> None:
    """By a timetable, straight lines over few key steps overshot it by 8% at a fifth of the compute."""
    whole = {"share": LEAST, "size": studio.size}
    assert strength(draw, "hgc", **whole) == pytest.approx(strength(draw, None, **whole), rel=TOLERANCE)
