"""Hybrid-Grained Cache (arXiv 2511.11031) by a timetable, for models of which nothing was measured.

Where full runs were measured, hgc_measured.py places the same parts by what they show.

What is the paper's and what is our reading: the paper gives a block-level ("coarse") cache with two densities,
lambda_inter and lambda_intra, a prompt-level ("fine") cache that reuses cross-attention over consecutive steps, and a
gate step that fuses the guided and the unguided computation. It does not say, in what is public, which blocks are kept,
the values of the densities, the similarity formula or the gate step. Ours are:

* lambda_inter is the share of steps that compute everything ("key steps"); they lie denser at the start, where the
  condition shapes the picture (the paper's own motivation), and the first two are always among them;
  with calibrated curves they lie where the change of the kept feature adds up (`key_steps_from`);
* lambda_intra is the share of decoder layers (a ResNet with its transformer, and the sampler after it), counted from
  the output inwards across the blocks, that the steps in between compute; the layer beneath them is kept, and so are
  the control residuals, so that all of ControlNet and the deeper UNet is dead. Both densities thus act on layers:
  lambda_inter decides how often all of them are computed, lambda_intra how many are in between;
* kept values go on by forecast, from the line through the last two unless told otherwise, or are repeated;
* the bypass is dynamic on request: a cheap real feature decides each step in between (running/gate.py);
* at the gate step the unguided branch is left out and stands in as guided minus the last guidance difference
  (`difference`), or guidance ends there (`drop`, as T-GATE does).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from hgc import limits
from hgc.cache.anatomy import UNGUIDED, Anatomy, Kind
from hgc.cache.origin import Origin
from hgc.cache.plan import Fusion, Plan
from hgc.cache.rules import ForecastRule, Gate, PlanRefused
from hgc.cache.schedules.decoder_layers import cut_site, decoder_layers
from hgc.cache.schedules.key_steps import checked_keys, key_steps
from hgc.cache.schedules.rows import Rows, constants, keep_between, keep_control, once_control_is_on
from hgc.cache.schedules.settings import Settings

Share = Annotated[float, Interval(ge=0, le=1)]
Change = Annotated[float, Interval(gt=0, lt=10)]


@dataclass(frozen=True)
class HGC(Settings):
    """The settings of both caches, which `coarse` and `fine` switch; this file's first lines say what is our reading.

    `gate` is a share of the steps; the one set here is late, because fusing earlier costs more likeness than the same
    compute saved by fewer key steps (measured on Landscapes). Attention is computed at every `attention_every`-th key
    step. `order` is how kept values are extrapolated: 0 repeats, 1 follows a line, 2 a parabola.

    With `similarity` both densities and the attention are placed where full runs were measured to change
    (hgc_measured.py), else by a timetable.

    With `threshold` the coarse cache decides while running (running/gate.py): it computes what a feature's relative
    change reaches, after a refreshed step from `release` on (half of the threshold without it), and no more than `most`
    steps beyond the plan's own. lambda_inter then counts the fixed key steps only.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    coarse: bool = True
    fine: bool = True
    similarity: bool = False
    lambda_inter: Share = 0.45
    lambda_intra: Share = 0.09
    gate: Share = 0.8
    attention_every: Annotated[int, Interval(ge=1, le=10)] = 1
    fusion: Fusion = "difference"
    order: Annotated[int, Interval(ge=0, le=2)] = 1
    threshold: Change | None = None
    release: Change | None = None
    most: Annotated[int, Interval(ge=1, le=limits.STEPS)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold is None and (self.release is not None or self.most is not None):
            raise PlanRefused("release and most are of deciding while running; give a threshold")
        if self.threshold is not None and self.release is not None and self.release > self.threshold:
            raise PlanRefused(f"release {self.release} must not be above the threshold {self.threshold}")

    @property
    def off(self) -> bool:
        """Whether neither cache is on."""
        return not (self.coarse or self.fine)

    @property
    def forecast(self) -> ForecastRule:
        """How kept values go on."""
        return ForecastRule.polynomial(self.order)

    @property
    def run_time_gate(self) -> Gate | None:
        """The rule that decides while running, where there is one."""
        if self.threshold is None or not self.coarse:
            return None
        return Gate.by_feature(self.threshold, self.release, self.most)

    def gate_step(self, steps: int) -> int:
        """The first step with one branch; the number of steps where both stay."""
        return max(1, round(self.gate * steps))

    def key_count(self, steps: int) -> int:
        """How many of the steps are key steps."""
        return max(1, min(steps, round(self.lambda_inter * steps)))

    def plan(
        self, anatomy: Anatomy, steps: int, *, keys: Sequence[int] | None = None, first_control_step: int = 0
    ) -> Plan:
        """By the timetable, or by `keys`, which name the key steps, the first among them, instead of lambda_inter.

        A control that sets in at `first_control_step` makes key steps of that step and the next. Raises PlanRefused
        for key steps out of range.
        """
        if not self.coarse:
            keys = range(steps)
        elif keys is None:
            keys = key_steps(steps, self.key_count(steps))
        else:
            keys = checked_keys(steps, keys)
        if self.coarse and first_control_step:
            keys = tuple(sorted({*keys, *range(first_control_step, min(first_control_step + 2, steps))}))
        rows = constants(anatomy, steps)
        if self.coarse:
            rows |= coarse_rows(anatomy, steps, keys, self.lambda_intra, self.forecast, first_control_step)
        if self.fine:
            fine = fine_rows(anatomy, steps, keys, self.gate_step(steps), self.attention_every)
            rows |= once_control_is_on(anatomy, fine, first_control_step)
        return self.made(anatomy, steps, rows)

    def made(self, anatomy: Anatomy, steps: int, rows: Rows) -> Plan:
        """The plan of these rows, with the rules that the settings give it."""
        origin = Origin("hgc", self.knobs)
        return Plan(
            origin,
            steps,
            anatomy.model,
            rows,
            fusion=self.fusion,
            forecast=self.forecast,
            gate=self.run_time_gate,
        )


def coarse_rows(
    anatomy: Anatomy,
    steps: int,
    keys: Iterable[int],
    lambda_intra: float,
    forecast: ForecastRule,
    first_control_step: int = 0,
) -> Rows:
    """Between key steps: keep the layer beneath the refreshed ones, and the control residuals once there are any."""
    keys = tuple(keys)
    count = len(decoder_layers(anatomy))
    refreshed = min(round(lambda_intra * count), count - 1)
    control = keep_control(steps, keys, forecast, first_control_step)
    residuals = dict.fromkeys([site.name for site in anatomy.control_residuals], control)
    return {cut_site(anatomy, refreshed): keep_between(steps, keys, forecast)} | residuals


def fine_rows(anatomy: Anatomy, steps: int, keys: Iterable[int], gate_step: int, attention_every: int) -> Rows:
    """Cross-attention at every n-th key step and never after the gate; one guidance branch from the gate on."""
    keys = sorted(keys)
    fresh = {step for i, step in enumerate(keys) if i % attention_every == 0 and step <= gate_step}
    attention = "".join("C" if step in fresh else "R" for step in range(steps))
    branch = "C" * gate_step + "R" * (steps - gate_step)
    return {s.name: attention for s in anatomy.of(Kind.CROSS_ATTENTION)} | {UNGUIDED: branch}
