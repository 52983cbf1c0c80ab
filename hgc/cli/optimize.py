"""`hgc optimize`: the plan of least error for every budget, found on calibration scenes and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgc.cli.options import Control, Count, Device, Dtype, Model, OwnGuidance, OwnSampler, OwnSteps, Where, subject_of
from hgc.cli.refusals import in_one_line
from hgc.cli.studios import studio_on
from hgc.optimise.search import Runs
from hgc.optimise.shelf import Shelf, stretched
from hgc.spread.on import HERE, On
from hgc.spread.plan_cost import cost_of, cost_words
from hgc.spread.plan_search import BUDGETS, SCENES, SIDE, TRIES, WORK, Search, SearchAt
from hgc.studio.calibrating import CALIBRATION_SEEDS
from hgc.unwritable import check_place

if TYPE_CHECKING:
    from hgc.optimise.shelf import Rung


VERIFYING_SEEDS = CALIBRATION_SEEDS + 50_000
WIDE_DB = 3.0
UNTIMED = "how long that takes is told after the first run"


@in_one_line
def optimize(
    out: Annotated[Path, typer.Option(help="The kept plans' JSON; the error table goes beside it as .npz.")],
    budget: Annotated[list[float] | None, typer.Option(help="Share of full compute; may be repeated.")] = None,
    at_least: Annotated[float | None, typer.Option(help="Only the smallest budget that gives so many dB.")] = None,
    start: Annotated[Path | None, typer.Option(help="Plans for other settings, to start from as well.")] = None,
    verify: Annotated[bool, typer.Option(help="Only check the kept plans, on other scenes.")] = False,
    tries: Annotated[int, typer.Option(help="How many plans are tried for each budget.")] = TRIES,
    scenes: Annotated[int, typer.Option(help="Scenes, every second one drawn as by hand; one batch.")] = SCENES,
    side: Annotated[int, typer.Option(help="Side of the cut-outs in pixels; fewer are faster.")] = SIDE,
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: OwnSampler = None,
    steps: OwnSteps = None,
    guidance: OwnGuidance = None,
    device: Device = None,
    dtype: Dtype = None,
    on: Where = HERE,
    count: Count = None,
    work: Annotated[Path, typer.Option(help="Folder for runs; a later call continues there.")] = WORK,
) -> None:
    """Search the plan closest to the full run for every budget. If you stop it, the next call continues.

    The search starts from plans that are kept already, also those for other weights or guidance. Likeness is that of
    the final latents to the full run's, in dB.
    """
    check_place(out)
    subject = subject_of(model, control, sampler, steps, guidance)
    seeds = VERIFYING_SEEDS if verify else CALIBRATION_SEEDS
    search = Search(subject, tuple(sorted(budget or BUDGETS)), tries, scenes, side, seeds)
    search.check()
    shelf = Shelf.read(out) if out.exists() or verify else None
    if shelf is not None:
        same = subject if verify else replace(subject, guidance=shelf.table.subject.guidance)
        shelf.table.subject.check(same, f"plans {out.name}", "give another --out")
    with studio_on(On.read(on, count), model, device, dtype) as studio:
        searching = SearchAt(search, studio, work, tell=lambda news: typer.echo(news, err=True))
        if shelf is not None and verify:
            _verify(shelf, searching.runs(shelf.table, "verifying"), searching.knows(shelf))
        else:
            typer.echo(f"{subject}: {cost_words(search, cost_of(search, studio), UNTIMED)}", err=True)
            for plans, rung in searching.shelves(shelf, _beside(start, subject.steps), at_least):
                plans.write(out)
                _say(rung)


def _beside(start: Path | None, steps: int) -> list[Rung]:
    """Kept plans of other settings, in so many steps."""
    rungs = () if start is None else Shelf.read(start).rungs
    return [replace(rung, course=stretched(rung.course, steps)) for rung in rungs]


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
