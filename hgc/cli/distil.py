"""`hgc distil`: scale-shift numbers fitted for one plan, so that it follows the uncached run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from hgc.cli.options import Device, Dtype
from hgc.cli.refusals import in_one_line
from hgc.request import RequestRefused
from hgc.service import Studio
from hgc.service.calibrating import CALIBRATION_SEEDS
from hgc.service.scenes import painted
from hgc.service.worker import WORKER

HELD_OUT_SEEDS = CALIBRATION_SEEDS + 50_000


@in_one_line
def distil(
    calibration: Annotated[Path, typer.Option(help="The curves' JSON of a calibration, with its .npz beside it.")],
    out: Annotated[Path, typer.Option(help="Where the same curves go, with the fitted numbers beside them.")],
    budget: Annotated[
        float, typer.Option(help="Share of full compute of the Block Caching plan that is fitted.")
    ] = 0.5,
    scenes: Annotated[int, typer.Option(help="How many scenes it learns from.")] = 8,
    rounds: Annotated[int, typer.Option(help="How often it sees each of them.")] = 10,
    held_out: Annotated[int, typer.Option(help="How many other scenes it is judged on.")] = 4,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Fit scale and shift of a Block Caching plan by distillation; stopped, it goes on where it was.

    What is found holds for that plan alone, and says so: at other budgets Block Caching goes by another calibration.
    """
    from hgc.cache import schedules
    from hgc.cache.calibrate import weights_of
    from hgc.cache.calibration import Calibration
    from hgc.cache.curves import CalibrationRefused, Distilled, table_name
    from hgc.cache.distil import Fit, distil, follow, trajectory
    from hgc.cache.plan import Plan
    from hgc.cache.rules import REPEAT, Forecast

    if held_out < 1:
        raise RequestRefused(f"--held-out {held_out}: at least 1")
    fit, found = Fit(scenes, rounds), Calibration.read(calibration)
    subject, squares = found.curves.subject, found.adjustment
    if (before := found.curves.distilled_for) is not None:
        raise CalibrationRefused(
            f"{calibration}: distilled already, for {before.plan}; give the calibration that it was made from"
        )
    studio = Studio.load(subject.model, device, dtype)
    pipe = studio.loaded.pipeline(subject.control, subject.sampler)
    found.curves.check_weights(weights_of(pipe))

    def plan(forecast: Forecast) -> Plan:
        return schedules.block_caching(
            studio.anatomy(),
            subject.steps,
            found.curves,
            share=budget,
            longest=squares.longest,
            forecast=forecast,
            guidance=subject.guidance > 1,
        )

    def call(seed: int) -> Mapping[str, Any]:
        return {**studio.call(painted(studio, seed, asdict(subject))), "output_type": "latent"}

    def told(done: int, wanted: int, error: float) -> None:
        typer.echo(f"round {done}/{wanted}: {error:.2%} away from the full run", err=True)

    def work() -> str:
        fitted = Forecast("scale_shift", fitted=squares.digest)
        learned = distil(
            pipe, plan(fitted), squares, lambda i: call(CALIBRATION_SEEDS + i), fit, state=state, told=told
        )
        fitted_for = Distilled(told_as, table_name(plan(fitted).table))
        curves = replace(found.curves, adjustment=learned.digest, distilled_for=fitted_for)
        Calibration(curves, learned).write(out)
        arms = {
            "kept as it is": (plan(REPEAT), None),
            "least squares": (plan(fitted), squares),
            "distilled": (plan(Forecast("scale_shift", fitted=learned.digest)), learned),
        }
        errors: dict[str, list[float]] = {name: [] for name in arms}
        for number in range(held_out):
            asked = call(HELD_OUT_SEEDS + number)
            teacher = trajectory(pipe, asked)
            for name, (chosen, lines) in arms.items():
                errors[name].append(follow(pipe, chosen, asked, teacher, lines))
        return ", ".join(f"{name} {fmean(those):.2%}" for name, those in errors.items())

    told_as = f"Block Caching at {budget:.1%} of full compute"
    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.with_name(out.name + ".unfinished.pt")
    told_at_last = WORKER.run(work)
    state.unlink()
    typer.echo(
        f"{out}: {told_as}, {subject}; distance of the last latents from the full run's on {held_out} other scenes: "
        f"{told_at_last}"
    )
