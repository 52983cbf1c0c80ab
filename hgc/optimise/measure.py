"""Measures an error table: one full run, one run for every depth, and a few with one step left out. Stops and resumes.

Every run is of the same batch of calibration scenes, on latents alone. The runs for the depths are put back on the full
run's path after every step, so that each step shows its own error and none that went before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Kind
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.cache.running.watching import Witness
from hgc.cache.schedules import cut_site, decoder_layers, kept_residuals
from hgc.calibration.files import of_its_kind, read_arrays, write_arrays
from hgc.calibration.subject import Subject
from hgc.optimise.course import FULL, REMEMBERED, SKIP, UNET, Course, plan_of, rows
from hgc.optimise.predict import OUTPUT, ErrorTable, Numbers, forecast_error

if TYPE_CHECKING:
    from hgc.optimise.trials import Trials

WHOLE = "full"  # the run in which nothing is kept
DEPTHS = ("1", "2", "3", "4", "5", "6", UNET)
WARM = 3  # steps that a run for a depth computes first
EXACT = 1e-6  # what float32 rounds away of a relative error
PROBES = 6  # steps whose error is followed to the end
ATTENTIONS = 4  # runs in which every step repeats another cross-attention
Told = Callable[[int, int], None]  # runs done, runs wanted


@dataclass
class Scenes:
    """The calibration batch: the arguments of the pipeline's call, and its full run once `full` was called."""

    pipe: Any
    call: Mapping[str, Any]
    after_step: Callable[[int], None] = lambda step: None  # may raise, and so end a run
    outputs: list[torch.Tensor] = field(default_factory=list)  # [B, C, h, w] by step
    path: list[torch.Tensor] = field(default_factory=list)  # the latents after each step

    @property
    def count(self) -> int:
        return int(self.call["latents"].shape[0])

    def full(self, steps: int, model: str, witness: Witness | None = None) -> None:
        """Runs everything and keeps the path."""
        self.path = self.run(Plan(Origin("full"), steps, model), witness)

    def run(
        self, plan: Plan, witness: Witness | None = None, forced: Sequence[torch.Tensor] = ()
    ) -> list[torch.Tensor]:
        """The latents [B, C, h, w] after each step of a plan; with `forced`, these take their place."""
        seen: list[torch.Tensor] = []

        def after(_pipe: Any, step: int, _time: Any, state: Mapping[str, Any]) -> dict[str, Any]:
            self.after_step(step)
            seen.append(state["latents"].clone())
            return {"latents": forced[step].clone()} if forced else {}

        settings = {"num_inference_steps": plan.steps, "output_type": "latent", "callback_on_step_end": after}
        with cached(self.pipe, plan, witness=witness):
            self.pipe(**{**self.call, **settings})
        return seen

    def output(self, value: torch.Tensor) -> torch.Tensor:
        """Both branches brought together, as the pipeline does."""
        if not self.pipe.do_classifier_free_guidance:
            return value
        unguided, guided = value.chunk(2)
        return unguided + self.pipe.guidance_scale * (guided - unguided)


class Products:
    """Witness of a full run: inner products of every wanted site's values over the steps."""

    def __init__(self, scenes: Scenes, sites: Sequence[str], steps: int) -> None:
        self._scenes = scenes
        self._past: dict[str, list[torch.Tensor]] = {site: [] for site in (*sites, OUTPUT)}
        self.found = {site: np.zeros((steps, steps)) for site in self._past}

    def __call__(self, kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        if site == PREDICTION:
            self._scenes.outputs.append(self._scenes.output(value).clone())
            self._take(OUTPUT, step, self._scenes.outputs[-1])
        if site in self._past:
            self._take(site, step, value)

    def _take(self, site: str, step: int, value: torch.Tensor) -> None:
        past, products = self._past[site], self.found[site]
        past.append(value.flatten().clone())
        for i, earlier in enumerate(past):
            products[step, i] = products[i, step] = float(past[-1] @ earlier) / len(earlier)  # mean squares


def runs_of(anatomy: Anatomy, steps: int) -> list[str]:
    """The names of all runs of an error table."""
    attention = [f"attention {turn}" for turn in range(ATTENTIONS)] if anatomy.of(Kind.CROSS_ATTENTION) else []
    gains = [f"gain {depth}" for depth in usable_depths(anatomy)]
    return [WHOLE, *gains, *attention, *(f"growth {step}" for step in _probes(steps))]


def measure(trials: Trials, anatomy: Anatomy, subject: Subject, state: Path, told: Told) -> ErrorTable:
    """All runs that `state` does not hold yet, each written there when done.

    Raises CalibrationRefused when `state` is damaged or of something else.
    """
    runs, header = runs_of(anatomy, subject.steps), {"subject": asdict(subject), "scenes": trials.count}
    arrays = _known(state, subject, trials.count)
    done = [name for name in runs if name in arrays]
    for name, measured in trials.measured([name for name in runs if name not in done]):
        arrays |= measured
        done.append(name)
        write_arrays(state, header, arrays)
        told(len(done), len(runs))
    # In one order, whichever was there first: means are added up in it.
    in_order = {name: array for name, array in arrays.items() if name not in runs} | {n: arrays[n] for n in runs}
    return _table(in_order, anatomy, subject, trials.count)


def _known(state: Path, subject: Subject, scenes: int) -> dict[str, Numbers]:
    """The arrays in `state`; none where there is no such file. Raises CalibrationRefused."""
    if not state.exists():
        return {}
    where = f"unfinished error table {state.name}"
    before, arrays = read_arrays(state, where)
    with of_its_kind(where):
        Subject(**before["subject"]).check(subject, where, "delete the file, or give another --work")
        if before["scenes"] != scenes:
            raise CalibrationRefused(
                f"{where}: of {before['scenes']} scenes, asked are {scenes}; give the same --scenes or delete the file"
            )
    return arrays


def measured_in(
    scenes: Scenes, anatomy: Anatomy, subject: Subject, whole: Mapping[str, Numbers], name: str
) -> Mapping[str, Numbers]:
    """One run by its name, after the full run of the same scenes, which measured `whole`."""
    if name == WHOLE:
        return whole
    kind, _, what = name.partition(" ")
    return {name: _MEASURES[kind](scenes, anatomy, _table(whole, anatomy, subject, scenes.count), what)}


def usable_depths(anatomy: Anatomy) -> tuple[str, ...]:
    layers = len(decoder_layers(anatomy))
    control = (UNET,) if anatomy.control_residuals else ()
    return tuple(depth for depth in DEPTHS if depth in control or (depth.isdigit() and int(depth) < layers))


def _probes(steps: int) -> tuple[int, ...]:
    return tuple(sorted({int(step) for step in np.linspace(1, steps - 1, PROBES).round()})) if steps > 1 else ()


def _sites(anatomy: Anatomy) -> list[str]:
    cuts = [cut_site(anatomy, int(depth)) for depth in usable_depths(anatomy) if depth.isdigit()]
    attention = [site.name for site in anatomy.of(Kind.CROSS_ATTENTION)]
    return [*cuts, *kept_residuals(anatomy, len(decoder_layers(anatomy))), *attention, PREDICTION, UNGUIDED]


def full_run(scenes: Scenes, anatomy: Anatomy, steps: int) -> dict[str, Numbers]:
    """Keeps the scenes' path and outputs, and measures all inner products."""
    scenes.outputs.clear()  # those of a full run that was stopped
    witness = Products(scenes, _sites(anatomy), steps)
    scenes.full(steps, anatomy.model, witness)
    return {WHOLE: np.ones(1), **{f"products {site}": products for site, products in witness.found.items()}}


def _gain(scenes: Scenes, anatomy: Anatomy, table: ErrorTable, depth: str) -> Numbers:
    """Error of the output for each unit of error of the kept feature, every second step measured."""
    steps = table.subject.steps
    course = Course("".join(FULL if i < WARM or i % 2 else depth for i in range(steps)), "2" * steps)
    errors: dict[int, float] = {}

    def witness(kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        if site == PREDICTION:
            errors[step] = float((scenes.output(value) - scenes.outputs[step]).square().mean().sqrt())

    scenes.run(plan_of(course, anatomy, table), witness, forced=scenes.path)
    measured = [i for i in range(steps) if course.depths[i] == depth]
    units = [feature_error(course, anatomy, table, i) for i in measured]
    gains = [errors[i] / unit for i, unit in zip(measured, units, strict=True)]
    return np.interp(np.arange(steps), measured, gains) if measured else np.ones(steps)


def _attention(scenes: Scenes, anatomy: Anatomy, table: ErrorTable, turn: str) -> Numbers:
    """Error of the output for each unit of relative error of a cross-attention, [layers, steps]; NaN where not asked.

    Every step repeats another layer's output of the step before; each turn begins with other layers.
    """
    layers, steps = [site.name for site in anatomy.of(Kind.CROSS_ATTENTION)], table.subject.steps
    offset = int(turn) * -(-len(layers) // ATTENTIONS)
    kept = {step: layers[(step + offset) % len(layers)] for step in range(1, steps)}
    rows = {name: "".join("R" if kept.get(step) == name else "C" for step in range(steps)) for name in layers}
    errors: dict[int, float] = {}

    def witness(kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        if site == PREDICTION:
            errors[step] = float((scenes.output(value) - scenes.outputs[step]).square().mean().sqrt())

    scenes.run(Plan(Origin("attention"), steps, anatomy.model, rows), witness, forced=scenes.path)
    gains = np.full((len(layers), steps), np.nan)
    for step, name in kept.items():
        made = forecast_error(table.products[name], step, (step - 1,), (1.0,))
        size = float(table.products[name][step, step]) ** 0.5
        if made > EXACT * size:
            gains[layers.index(name), step] = errors[step] / made * size
    return gains


def feature_error(course: Course, anatomy: Anatomy, table: ErrorTable, step: int) -> float:
    """The error of what a step keeps, relative to its size; of several sites the root of the squares' sum."""
    squares = []
    for row in rows(course, anatomy):
        if row.kept[step] and row.site not in (PREDICTION, UNGUIDED):
            past = row.past(step, int(course.branches[step]))[-REMEMBERED:]
            squares.append(table.error(row.site, step, past, course.ridge) ** 2 / table.products[row.site][step, step])
    return float(np.sqrt(sum(squares)))


def _growth(scenes: Scenes, anatomy: Anatomy, table: ErrorTable, probe: str) -> Numbers:
    """The final latents' error for each unit of error of one step's output, that step's prediction left out."""
    step = int(probe)
    course = Course.full(table.subject.steps).changed(step, depth=SKIP)
    plan = plan_of(course, anatomy, table)
    final = scenes.run(plan)[-1]
    entry = plan.forecasts[PREDICTION].weighing(step, tuple(range(step)))
    made = forecast_error(table.products[OUTPUT], step, entry.steps, entry.weights)
    return np.array([float((final - scenes.path[-1]).square().mean().sqrt()) / made])


_MEASURES: Mapping[str, Callable[[Scenes, Anatomy, ErrorTable, str], Numbers]] = {
    "gain": _gain,
    "attention": _attention,
    "growth": _growth,
}


def _table(arrays: Mapping[str, Numbers], anatomy: Anatomy, subject: Subject, scenes: int) -> ErrorTable:
    parts: dict[str, dict[str, Numbers]] = {"products": {}, "gain": {}, "attention": {}, "growth": {}}
    for name, array in arrays.items():
        kind, _, what = name.partition(" ")
        if what:
            parts[kind][what] = array
    probes = sorted(int(step) for step in parts["growth"])
    logs = [float(np.log(parts["growth"][str(step)][0])) for step in probes]
    growth = np.exp(np.interp(np.arange(subject.steps), probes, logs)) if probes else np.ones(subject.steps)
    layers = [site.name for site in anatomy.of(Kind.CROSS_ATTENTION)]
    attention = _on_the_mean(layers, list(parts["attention"].values()))
    return ErrorTable(subject, scenes, parts["products"], parts["gain"], growth, attention)


def _on_the_mean(layers: Sequence[str], turns: Sequence[Numbers]) -> dict[str, float]:
    """The geometric mean of each layer's gains over all turns and steps; one that never changed is taken for the worst.

    Empty before the first turn.
    """
    if not turns:
        return {}
    found = np.stack(turns).transpose(1, 0, 2).reshape(len(layers), -1)  # [layers, turns x steps]
    means = [float(np.exp(np.mean(np.log(row[row > 0])))) if (row > 0).any() else None for row in found]
    worst = max((mean for mean in means if mean is not None), default=1.0)
    return {name: worst if mean is None else mean for name, mean in zip(layers, means, strict=True)}
