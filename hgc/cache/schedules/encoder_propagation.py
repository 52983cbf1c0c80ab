"""Faster Diffusion (arXiv 2312.09608): the encoder's features hardly change and are propagated between key steps."""

from __future__ import annotations

from dataclasses import dataclass

from hgc.cache.anatomy import Anatomy, Kind
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import REPEAT, ForecastRule
from hgc.cache.schedules.rows import constants, keep_between, keep_control
from hgc.cache.schedules.settings import Settings


@dataclass(frozen=True)
class EncoderPropagation(Settings):
    """UNet encoder, middle and ControlNet at the key steps, the decoder in every step. The paper repeats."""

    keys: tuple[int, ...]
    forecast: ForecastRule = REPEAT

    def plan(self, anatomy: Anatomy, steps: int, *, first_control_step: int = 0) -> Plan:
        """A control that sets in at `first_control_step` is computed there and in the next step as well."""
        decoder = {site.name for site in anatomy.decoder}
        inputs = {name for site in anatomy.decoder for name in site.inputs}
        embeddings = {site.name for site in anatomy.of(Kind.EMBEDDING)}
        middle = [site.name for site in anatomy.decoder if site.name.startswith("unet.mid_block")]  # some have none
        encoder = [*sorted(inputs - decoder - embeddings), *middle[-1:]]
        rows = dict.fromkeys(encoder, keep_between(steps, self.keys, self.forecast))
        control = keep_control(steps, self.keys, self.forecast, first_control_step)
        rows |= {site.name: control for site in anatomy.control_residuals}
        origin = Origin("encoder_propagation", self.knobs)
        return Plan(origin, steps, anatomy.model, constants(anatomy, steps) | rows, forecast=self.forecast)
