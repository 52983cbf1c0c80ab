"""Faster Diffusion (arXiv 2312.09608): the encoder's features hardly change and are propagated between key steps."""

from __future__ import annotations

from collections.abc import Iterable

from hgc.cache.anatomy import Anatomy, Kind
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, Forecast
from hgc.cache.schedules.rows import constants, keep_between, keep_control


def encoder_propagation(
    anatomy: Anatomy,
    steps: int,
    *,
    keys: Iterable[int],
    forecast: Forecast = REPEAT,
    first_control_step: int = 0,
) -> Plan:
    """UNet encoder, middle and ControlNet at the key steps, the decoder in every step. The paper repeats.

    A control that sets in at `first_control_step` is computed there and in the next step as well.
    """
    keys = tuple(keys)
    decoder = {site.name for site in anatomy.decoder}
    inputs = {name for site in anatomy.decoder for name in site.inputs}
    embeddings = {site.name for site in anatomy.of(Kind.EMBEDDING)}
    middle = [site.name for site in anatomy.decoder if site.name.startswith("unet.mid_block")][-1:]  # some have none
    rows = dict.fromkeys([*sorted(inputs - decoder - embeddings), *middle], keep_between(steps, keys, forecast))
    control = keep_control(steps, keys, forecast, first_control_step)
    rows |= {site.name: control for site in anatomy.control_residuals}
    origin = Origin("encoder_propagation", {"keys": keys})
    return Plan(origin, steps, anatomy.model, constants(anatomy, steps) | rows, forecast=forecast)
