"""`hgc calibrate, distil`: how fast each layer of a model changes, and how a kept value is best adjusted."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from hgc.calibration.distil import Fit
from hgc.calibration.files import Calibration
from hgc.cli.options import Control, Count, Device, Dtype, Model, OwnGuidance, OwnSampler, OwnSteps, Where, subject_of
from hgc.cli.refusals import in_one_line
from hgc.request import RequestRefused
from hgc.spread.here import place_of
from hgc.spread.measure import scenes_at
from hgc.spread.on import HERE, On
from hgc.spread.pace import WorkPace
from hgc.studio.calibrating import ScenesMeasured, calibrating, state_beside
from hgc.studio.distilling import CHOSEN_BY, Distillation
from hgc.studio.studio import Studio
from hgc.unwritable import check_place


@in_one_line
def calibrate(
    out: Annotated[Path, typer.Option(help="The curves' JSON; the adjustment's numbers go beside it as .npz.")],
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: OwnSampler = None,
    steps: OwnSteps = None,
    guidance: OwnGuidance = None,
    scenes: Annotated[int, typer.Option(help="How many scenes, each with prompt, map and seed of its own.")] = 32,
    longest: Annotated[int, typer.Option(help="The oldest kept value that is adjusted, in steps.")] = 4,
    device: Device = None,
    dtype: Dtype = None,
    on: Where = HERE,
    count: Count = None,
) -> None:
    """Measure how fast each layer changes and how to adjust kept values. If you stop it, the next call continues."""
    if scenes < 1 or longest < 1:
        raise RequestRefused(f"--scenes {scenes} and --longest {longest}: both at least 1")
    check_place(out)
    subject = subject_of(model, control, sampler, steps, guidance)
    with On.read(on, count).studio(model, device, dtype) as studio:
        place = place_of(studio)
        pace: WorkPace | None = None
        each = scenes_at(place, subject, longest, Event())
        for news in calibrating(studio, subject, scenes, out, longest=longest, each=each):
            if isinstance(news, ScenesMeasured):
                ending = f"; {pace.after()}" if pace else ""
                pace = pace or WorkPace(place, news.wanted - news.done)
                typer.echo(f"scene {news.done}/{news.wanted}{ending}", err=True)
            else:
                typer.echo(
                    f"{out}: change of {len(news.curves.mean)} sites over {news.curves.scenes} scenes, {subject}"
                )
    state_beside(out).unlink()


@in_one_line
def distil(
    calibration: Annotated[Path, typer.Option(help="The curves' JSON of a calibration, with its .npz beside it.")],
    out: Annotated[Path, typer.Option(help="Where the same curves go, with the fitted numbers beside them.")],
    budget: Annotated[float, typer.Option(help="Share of full compute of the plan to fit.")] = 0.5,
    scenes: Annotated[int, typer.Option(help="How many scenes it learns from.")] = 8,
    rounds: Annotated[int, typer.Option(help="How often each scene is used.")] = 10,
    held_out: Annotated[int, typer.Option(help="How many other scenes it is judged on.")] = 4,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Choose a Block Caching plan within a budget and fit its scale and shift by distillation. If you stop it, the
    next call continues.

    The result is for this plan only; at other budgets Block Caching uses another calibration.
    """

    if held_out < 1:
        raise RequestRefused(f"--held-out {held_out}: at least 1")
    check_place(out)
    fit, measured = Fit(scenes, rounds), Calibration.read(calibration)
    distillation = Distillation(Studio.load(measured.curves.subject.model, device, dtype), measured, budget)

    def told(done: int, of: int, error: float) -> None:
        typer.echo(f"round {done}/{of}: {error:.2%} away from the full run", err=True)

    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.with_name(out.name + ".unfinished.pt")
    settings = distillation.chosen(min(scenes, CHOSEN_BY))
    learned = distillation.learned(settings, fit, state, told)
    learned.write(out)
    errors = distillation.errors(settings, learned, held_out)
    state.unlink()
    kept = learned.curves.distilled_for
    stays = "" if kept and kept.fitted else "; the closed form ends nearer on eight more, and is kept"
    distances = ", ".join(f"{name} {error:.2%}" for name, error in errors.items())
    typer.echo(
        f"{out}: {distillation}, {distillation.subject}; delta {settings.delta:.3g}, control {settings.control:g}, "
        f"output {settings.output:g}; distance of the last latents from the full run's on {held_out} other scenes: "
        f"{distances}{stays}"
    )
