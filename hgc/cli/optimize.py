"""`hgc optimize`: the plan of least error for every budget, found on calibration scenes and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgc.calibration.subject import Subject
from hgc.cli.options import Control, Count, Device, Dtype, Guidance, Model, SamplerName, Steps, Where, in_one_line
from hgc.models.presets import GUIDANCE
from hgc.optimise.measure import measure
from hgc.optimise.predict import Predictor
from hgc.optimise.search import Runs, Session
from hgc.optimise.shelf import Shelf, stretched
from hgc.request import RequestRefused
from hgc.spread.here import kinds_told, place_of
from hgc.spread.on import HERE, On
from hgc.spread.pace import Pace
from hgc.spread.trials import Cutouts, TrialsAt
from hgc.studio.calibrating import CALIBRATION_SEEDS
from hgc.studio.worker import WORKER
from hgc.whole import check_place

if TYPE_CHECKING:
    from hgc.cache.anatomy import Anatomy
    from hgc.optimise.predict import ErrorTable
    from hgc.optimise.shelf import Rung


VERIFYING_SEEDS = CALIBRATION_SEEDS + 50_000
FEWEST_SCENES = 2  # fewer have no error bar
COARSEST = 64  # pixels: the networks halve three times what the autoencoder divided by eight
WIDE_DB = 3.0
BUDGETS = (0.2, 0.368, 0.5, 0.65)


@in_one_line
def optimize(
    out: Annotated[Path, typer.Option(help="The kept plans' JSON; the error table goes beside it as .npz.")],
    budget: Annotated[list[float] | None, typer.Option(help="Share of full compute; may be repeated.")] = None,
    at_least: Annotated[float | None, typer.Option(help="Only the least of the budgets that gives so many dB.")] = None,
    start: Annotated[Path | None, typer.Option(help="Plans kept for something else, to start from as well.")] = None,
    verify: Annotated[bool, typer.Option(help="Only run what is kept, on scenes it was not made from.")] = False,
    tries: Annotated[int, typer.Option(help="Courses that are run for each budget.")] = 40,
    scenes: Annotated[int, typer.Option(help="Calibration scenes, run as one batch.")] = 4,
    side: Annotated[int, typer.Option(help="Pixels of the cut-outs that are run; fewer are faster.")] = 128,
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: SamplerName = "ddim",
    steps: Steps = 20,
    guidance: Guidance = GUIDANCE,
    device: Device = None,
    dtype: Dtype = None,
    on: Where = HERE,
    count: Count = None,
    work: Annotated[Path, typer.Option(help="Where runs are kept, so that a later call goes on there.")] = Path(
        "runs/optimise"
    ),
) -> None:
    """Find, for every budget, the plan that strays least from the full run; stopped, it goes on where it was.

    What is kept already is where the search starts, on other weights and for another guidance, too. Fidelity is that of
    the final latents to the full run's, in dB.
    """

    check_place(out)
    budgets = sorted(budget or BUDGETS)
    _check(budgets, scenes, side)
    subject = Subject(model, control, sampler, steps, guidance)
    shelf = Shelf.read(out) if out.exists() or verify else None
    if shelf is not None:
        same = subject if verify else replace(subject, guidance=shelf.table.subject.guidance)
        shelf.table.subject.check(same, f"plans {out.name}", "give another --out")
    cutouts = Cutouts(subject, VERIFYING_SEEDS if verify else CALIBRATION_SEEDS, scenes, side)
    with On.read(on, count).studio(model, device, dtype) as studio:
        cutouts.check(studio)
        weights, anatomy = WORKER.run(lambda: (cutouts.weights(studio), studio.anatomy()))
        trials = TrialsAt(place_of(studio), cutouts)
        known = shelf is not None and shelf.weights == weights and shelf.table.subject == subject
        measured = shelf is not None and (known or verify)
        table = shelf.table if shelf is not None and measured else _table(trials, anatomy, subject, work, weights)
        seeds = "verifying" if verify else "calibration"
        key = f"{weights}, {subject}, {scenes} {seeds} scenes, {side} px, {studio.device}, {studio.dtype}"
        runs = Runs(trials, Predictor(anatomy, table), work / "runs.jsonl", key)
        if shelf is not None and verify:
            _verify(shelf, runs, known)
        else:
            session = Session(runs, tries, lambda news: typer.echo(news, err=True))
            rungs = () if shelf is None else shelf.rungs if known else session.scored(shelf.rungs)
            command = f"{_command(subject)} --tries {tries} --scenes {scenes} --side {side}"
            others = () if start is None else Shelf.read(start).rungs
            beside = [replace(rung, course=stretched(rung.course, steps)) for rung in others]
            _fill(Shelf(table, rungs, weights, command), session, budgets, at_least, out, beside)
        several = kinds_told(studio)
    if several:
        typer.echo(several, err=True)


def _check(budgets: Sequence[float], scenes: int, side: int) -> None:
    """Raises RequestRefused."""
    if strange := [budget for budget in budgets if not 0 < budget <= 1]:
        raise RequestRefused(f"--budget {strange[0]:g}: choose a share of full compute from 0 to 1, such as 0.5")
    if scenes < FEWEST_SCENES:
        raise RequestRefused(f"--scenes {scenes}: too few to say how wide the error bar is; at least {FEWEST_SCENES}")
    if side < COARSEST or side % COARSEST:
        raise RequestRefused(f"--side {side}: choose a multiple of {COARSEST} pixels")


def _table(trials: TrialsAt, anatomy: Anatomy, subject: Subject, work: Path, weights: str) -> ErrorTable:
    """Measured where the trials are made; what `work` has of it is not measured again."""
    name = f"{subject.model}-{subject.control}-{subject.sampler}-{subject.steps}-{weights}.npz"
    pace: Pace | None = None

    def tell(done: int, of: int) -> None:
        nonlocal pace
        pace = pace or Pace(trials.place, of - done + 1)
        typer.echo(f"error table: run {done}/{of}; {pace.after()}", err=True)

    return measure(trials, anatomy, subject, work / name, tell)


def _fill(
    shelf: Shelf,
    session: Session,
    budgets: Sequence[float],
    at_least: float | None,
    out: Path,
    beside: Sequence[Rung],
) -> None:
    """One rung after the other, each written when found."""
    within = budgets if at_least is None else [session.enough(at_least, budgets, (*shelf.rungs, *beside)).budget]
    for budget in within:
        rung = session.rung(budget, (*shelf.rungs, *beside))
        shelf = shelf.with_rung(rung)
        shelf.write(out)
        _say(rung)


def _say(rung: Rung) -> None:
    typer.echo(
        f"budget {rung.budget:.1%}: {rung.fidelity_db:.1f} ± {rung.error_bar_db:.1f} dB at {rung.share:.1%} of full "
        f"compute; fewer steps {rung.fewer_steps_db:.1f} dB"
    )
    if rung.error_bar_db > WIDE_DB:
        typer.echo("  scenes differ by more than the plans do; give more --scenes for a narrower bar", err=True)


def _verify(shelf: Shelf, runs: Runs, known: bool) -> None:
    if not known:
        typer.echo("made on other weights; without --verify, optimize fits them to these", err=True)
    runs.all(rung.course for rung in shelf.rungs)
    for rung in shelf.rungs:
        now = runs.of(rung.course)
        typer.echo(
            f"budget {rung.budget:.1%}: kept with {rung.fidelity_db:.1f} ± {rung.error_bar_db:.1f} dB, on other scenes "
            f"{now.mean_db:.1f} ± {now.error_bar_db:.1f} dB"
        )


def _command(subject: Subject) -> str:
    return (
        f"python -m hgc optimize --model {subject.model} --control {subject.control} --sampler {subject.sampler} "
        f"--steps {subject.steps} --guidance {subject.guidance:g}"
    )
