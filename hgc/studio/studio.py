"""One loaded model, ready to run requests; safe to use from several threads."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hgc import limits, planning
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Macs
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.recording.ahead import Packages
from hgc.cache.recording.capture import inductor
from hgc.cache.recording.rows import Recordings
from hgc.cache.running.engine import cached
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.files import Calibration
from hgc.calibration.lines import Adjustment
from hgc.calibration.measure import weights_of
from hgc.calibration.subject import Subject
from hgc.control.images import RGB
from hgc.control.reading import Reading
from hgc.evidence import Made
from hgc.models.adapted import Adapted
from hgc.models.loaded import Loaded
from hgc.models.loading import load
from hgc.models.refusals import ModelUnavailable
from hgc.planning import Blueprint, Task
from hgc.planning.calibrations import curves_of, used_by
from hgc.planning.in_time import InTime
from hgc.planning.quality import Solution
from hgc.planning.row_times import RowTimes
from hgc.request import Lora, Recipe, Request, RequestRefused
from hgc.results.comparison import Arm, Comparison, Pixels, Progress
from hgc.results.forecast import Forecast
from hgc.studio import timing
from hgc.studio.arm_cache import ArmCache
from hgc.studio.calibrating import ScenesMeasured, calibrating, known_calibration, place_of
from hgc.studio.call import call_of
from hgc.studio.comparing import compared
from hgc.studio.control_map import Prepared, decoded, prepare_control
from hgc.studio.inspection import Inspection, Look, look_into
from hgc.studio.judge import Judge
from hgc.studio.preview import LatentPreview
from hgc.studio.provenance import Numbers, made_now
from hgc.studio.timing import Timing
from hgc.studio.worker import WORKER, as_it_goes, on_worker
from hgc.studio.world import colourful, world_of

WARM_STEPS = 2
INPAINTED = (4, 9)  # channels of a UNet that diffusers can inpaint with


class Studio:
    """A model with its judge. Every run has a pipeline object and a scheduler of its own over shared networks.

    `lent` is whether its accelerator is there during a run alone.
    """

    lent = False

    def __init__(self, loaded: Loaded, judge: Judge) -> None:
        self.loaded, self.judge = loaded, judge
        self.model, self.size = loaded.preset.name, (loaded.preset.size,) * 2
        self.world = world_of(loaded.preset)
        self.device, self.dtype = str(loaded.device), str(loaded.dtype).removeprefix("torch.")
        self.controls, self.samplers = tuple(loaded.controls), loaded.samplers
        vae = loaded.components["vae"]
        colours = torch.from_numpy(colourful()).permute(0, 3, 1, 2).to(loaded.device).float() / 255
        self.preview = LatentPreview.fit(vae, colours)
        self._timing: dict[str, Timing] = {}
        self._row_times: dict[Hashable, RowTimes] = {}
        self._weights: dict[tuple[str, tuple[Lora, ...]], str] = {}
        self._adapted, self._numbers = Adapted(loaded), Numbers(loaded)
        self.recordings: Recordings | None = None

    @classmethod
    @on_worker
    def load(cls, model: str = "landscapes", device: str | None = None, dtype: str | None = None) -> Studio:
        """Raises ModelUnavailable."""
        loaded = load(model, device=device, dtype=dtype)
        if not loaded.controls:
            first = next(iter(loaded.preset.controls), "NAME")
            raise ModelUnavailable(
                f"{loaded.preset.title} is here, but none of its ControlNets is; fetch one with "
                f"`hgc models fetch {model} --control {first}`"
            )
        studio = cls(loaded, Judge.of(loaded.preset, loaded.device))
        studio.warm_up()
        return studio

    def record_steps(self, on: bool = True, *, compile: bool = False, packages: Path | None = None) -> None:
        """Has steps that are alike recorded and, where the device can, replayed, in this picture and all later ones.

        With `compile` they go through torch's compiler first, whose numbers differ by rounding. With `packages` they
        are compiled ahead of time into that folder, where this has not happened before.
        """
        compiler = inductor if packages is None else Packages(packages)
        compiled = compile or packages is not None
        self.recordings = Recordings(compile=compiled, compiler=compiler) if on or compiled else None

    def judge_by_networks(self, on: bool = True) -> None:
        """Has pictures of all kinds judged by networks of the Hub's that are here (hgc.judges), or by none of them.

        Without this they are asked on an accelerator only. The embedded model keeps its own.
        """
        self.judge = Judge.of(self.loaded.preset, self.loaded.device, on)

    @property
    def inpaints(self) -> bool:
        """Whether a part of a picture can be made anew."""
        return self.loaded.components["unet"].config.in_channels in INPAINTED

    def weights(self, recipe: Recipe) -> str:
        """Twelve hex digits that name the content of all networks that a recipe's pictures are made with."""
        return self._numbers.digest(recipe)

    def loaded_for(self, recipe: Recipe) -> Loaded:
        """The model with the recipe's LoRAs over it. Raises ModelUnavailable."""
        if not recipe.loras:
            return self.loaded
        return WORKER.run(lambda: self._adapted.by(tuple((lora.name, lora.weight) for lora in recipe.loras)))

    def warm_up(self) -> None:
        """A few steps of both shapes a run takes, so that the first comparison does not time first calls."""
        control, (width, height) = self.controls[0], self.size
        blank = self.prepare_control(np.zeros((height, width, 4), np.uint8), control)
        request = Request.make(blank.png, model=self.model, control=control, sampler=self.samplers[0], steps=WARM_STEPS)
        pipe = self.loaded.pipeline(request.controls, request.sampler)
        plan = schedules.HGC(coarse=False, gate=0.0).plan(self.anatomy(), WARM_STEPS)
        with cached(pipe, plan):
            pipe(**self.call(request))

    def palette(self) -> dict[str, RGB]:
        """Class to colour, in label order, of the set that label maps are usually painted in."""
        return dict(self.world.sets[0].palette)

    def check_prompt(self, prompt: str) -> tuple[str, ...]:
        """In plain words, what the model will not understand or not read."""
        if len(prompt) > limits.PROMPT_CHARS:
            return (f"The prompt has {len(prompt):,} characters; at most {limits.PROMPT_CHARS:,} are taken.",)
        with self.loaded.tokenizing:
            return self.world.unread(self.loaded.components["tokenizer"], prompt)

    def prepare_control(
        self,
        picture: Pixels,
        control: str,
        annotator: str | None = None,
        reading: Reading | None = None,
        size: tuple[int, int] | None = None,
        *,
        areas: bool = False,
    ) -> Prepared:
        """The control map as the model will see it, of the model's own size unless another (width, height) is given.

        With `areas` the picture is painted in areas, of which some models make depth maps.

        Raises RequestRefused for a control that this model has not, ImageRefused, AnnotatorUnavailable.
        """
        self.check_control(control)
        world, canny = self.world, self.loaded.preset.canny
        return prepare_control(
            picture, control, size or self.size, world.sets, annotator, reading, canny, areas, world.near
        )

    def check_control(self, control: str) -> None:
        """Raises RequestRefused for a control that the model does not have."""
        known = self.loaded.preset.controls
        if control not in known:
            raise RequestRefused(f"{self.model} has no control '{control[:40]}'; it has {', '.join(known)}")

    def anatomy(self, recipe: Recipe | None = None) -> Anatomy:
        """The sites of the networks that a recipe runs, at its size; by default of one control at the model's own size.

        Raises ModelUnavailable for a control or LoRA whose weights are not here.
        """
        controls = self.controls[:1] if recipe is None else recipe.controls
        width, height = self.size if recipe is None or recipe.size is None else recipe.size
        loaded = self.loaded if recipe is None else self.loaded_for(recipe)
        networks = Networks.of(loaded.pipeline(controls, self.samplers[0]), len(controls))
        factor, tokens = self.loaded.latent_factor, self.loaded.components["tokenizer"].model_max_length
        return measure(networks, (height // factor, width // factor), tokens, model=self.model)

    @cached_property
    def blueprint(self) -> Blueprint:
        """The model as planning sees it."""

        def weights(recipe: Recipe) -> str:
            return self.weights_under(recipe.control, recipe.loras)

        missing = set(self.loaded.preset.controls) - set(self.controls)
        return Blueprint(self.model, self.anatomy, self.controls, weights, self.samplers, True, missing)

    def plan(self, recipe: Recipe) -> Plan:
        """The plan of the cached arm. Raises PlanRefused, RequestRefused."""
        return planning.plan(recipe, self.blueprint)

    def solution(self, recipe: Recipe) -> Solution:
        """The cheapest budget for the recipe's target of quality, and how surely it gives that. Raises PlanRefused."""
        return planning.solution(recipe, self.blueprint)

    def in_time(self, recipe: Recipe, most_ms: float) -> InTime:
        """The greatest budget whose plan is foreseen to take at most `most_ms` on this device. Raises PlanRefused.

        The first time for a shape some steps are run and timed, which takes about a third of a picture's time.
        """
        planning.check_time(most_ms)
        self.blueprint.check(recipe)
        if (shape := timing.shape_of(recipe)) not in self._row_times:
            self._row_times[shape] = timing.row_times(self, recipe)
        return planning.in_time(recipe, self.blueprint, self._row_times[shape], most_ms)

    def settings(self, recipe: Recipe) -> schedules.HGC:
        """HGC's settings for the recipe's budget. Raises OutOfReach."""
        return planning.settings(recipe, self.blueprint)

    def forecast(self, recipe: Recipe) -> Forecast:
        """The cost of a run before it starts; its rival is planned as well. Raises PlanRefused, RequestRefused."""
        plan, task = self.plan(recipe), Task(recipe, self.blueprint)
        macs, whole, share = task.cost(plan), task.whole, task.share(plan)
        beside = planning.rival_of(recipe, share)
        rival = None if beside is None else self.plan(beside)
        return Forecast(
            macs=macs,
            macs_full=whole,
            share=share,
            latency_ms=self.latency_of(macs, recipe.sampler),
            latency_ms_full=self.latency_of(whole, recipe.sampler),
            plan=plan,
            share_rival=None if rival is None else task.share(rival),
            rival=rival,
        )

    def latency_of(self, macs: Macs, sampler: str) -> float | None:
        """The time of so many MACs in ms, by the last comparison with a sampler; None before there is one."""
        timing = self._timing.get(sampler)
        return timing.latency_of(macs.full) if timing else None

    def compare(
        self,
        request: Request,
        *,
        cancel: threading.Event | None = None,
        drawn: ArmCache | None = None,
        forecast: Forecast | None = None,
    ) -> Iterator[Progress | Comparison]:
        """Runs the arms one after the other on the same noise; yields progress and, last, the comparison.

        One at a time: another comparison waits for its turn. Setting `cancel` raises Cancelled at the next step. Arms
        that `drawn` has are taken from it, others kept in it. With the request's `forecast` nothing is planned any
        more. Raises RequestRefused, PlanRefused.
        """
        self.accept(request)
        if forecast is None:
            forecast = self.forecast(request) if drawn is None else drawn.forecast(request, self.forecast)
        return as_it_goes(partial(compared, self, request, forecast, drawn), cancel)

    def inspect(self, comparison: Comparison, *, cancel: threading.Event | None = None) -> Iterator[Look | Inspection]:
        """Makes the picture of every arm once more, watched; yields where it is and, last, what was seen.

        Apart from the comparison, because watching takes time and would spoil its figures. Setting `cancel` raises
        Cancelled at the next step. Raises RequestRefused, PlanRefused.
        """
        self.accept(comparison.request)
        return as_it_goes(partial(look_into, self, comparison), cancel)

    def adjustment(self, plan: Plan, recipe: Recipe) -> Adjustment | None:
        """The numbers that the plan's forecasts need. Raises CalibrationRefused."""
        return used_by(plan, recipe, self.blueprint.weights(recipe)).read().adjustment if plan.fitted else None

    def calibrate(
        self, subject: Subject, scenes: int, *, cancel: threading.Event | None = None
    ) -> Iterator[ScenesMeasured | Calibration]:
        """News before the first scene and after each; last, the calibration, which `calibration` then finds.

        Raises Cancelled at the next step once `cancel` is set, ModelUnavailable for a control or sampler there is not.
        """
        return calibrating(self, subject, scenes, place_of(self, subject), cancel=cancel)

    def calibration(self, subject: Subject) -> Calibration | None:
        """The calibration for these settings on this model, if there is one."""
        return known_calibration(self, subject)

    def curves_of(self, plan: Plan, recipe: Recipe) -> ChangeCurves | None:
        """The change curves that a plan was made from, else the best there are for the recipe, if any."""
        return curves_of(plan, recipe, self.blueprint.weights(recipe))

    def accept(self, request: Request) -> None:
        """Raises RequestRefused for what this model cannot run, or with a picture of another size than it is to be."""
        self.blueprint.check(request)
        if request.task == "inpaint" and not self.inpaints:
            raise RequestRefused(
                f"{self.model} cannot be inpainted: its latents are of another kind; leave the mask out"
            )
        pictures = {"control map": request.control_png}
        if request.second is not None:
            pictures["second control map"] = request.second.map
        if request.source is not None:
            pictures["source picture"] = request.source
        if request.mask is not None:
            pictures["mask"] = request.mask
        asked = request.size or self.size
        for what, encoded in pictures.items():
            height, width = decoded(encoded).shape[:2]
            if (width, height) != asked:
                raise RequestRefused(
                    f"the {what} is {width} × {height} pixels, {self.model} needs {asked[0]} × {asked[1]}: "
                    f"{'make it with control_map' if 'map' in what else 'resize it'}, or ask for that size"
                )

    def made(self, request: Request) -> Made:
        """What its pictures are made with."""
        judge = self.judge.name(request.control)
        return made_now(self.device, self.dtype, self.weights(request), self.recordings, judge)

    def weights_under(self, control: str, loras: tuple[Lora, ...] = ()) -> str:
        """The name of the weights that make a picture under this control, as calibrations have it."""
        if (key := (control, loras)) not in self._weights:
            loaded = self.loaded_for(Recipe(model=self.model, loras=loras))
            self._weights[key] = weights_of(loaded.pipeline(control, self.samplers[0]))
        return self._weights[key]

    def note_timing(self, request: Request, full: Arm, kept: Arm) -> None:
        """Remembers the times that the next forecasts go by."""
        macs, latency_ms = (full.trace.macs.full, kept.trace.macs.full), (full.latency_ms, kept.latency_ms)
        self._timing[request.sampler] = Timing(macs, latency_ms)

    def call(self, request: Request) -> dict[str, Any]:
        """The arguments of the pipeline's call, but for `stepping` the same for every arm."""
        return call_of(self.loaded_for(request), request)
