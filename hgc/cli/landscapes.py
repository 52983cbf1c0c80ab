"""`hgc train, wall, remake, bench landscapes, bench card, bench tables`: the embedded model."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hgc.bench import card
from hgc.bench import drawings as trials
from hgc.bench.landscapes import Bench
from hgc.bench.remake import Remake, as_process, steps
from hgc.bench.setup import Setup
from hgc.bench.tables import DOCUMENTS, MeasuredFigures, fill
from hgc.cli.options import AsJson, Steps
from hgc.cli.refusals import in_one_line
from hgc.landscapes.artist import Artist
from hgc.models.presets import presets
from hgc.training.export import STAGES
from hgc.training.sheet import hang
from hgc.training.train import TrainingRecipe, longer, tiny_recipe
from hgc.training.train import train as run_training

ROOT = Path(__file__).parents[2]


@in_one_line
def wall(
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    steps: Steps = 20,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    weights: Annotated[Path | None, typer.Option(help="Another folder of weights.")] = None,
) -> None:
    """Draw 24 pictures with the embedded model into one PNG: times of day by seasons, and eight from edges."""

    size = hang(Artist.load(weights, dtype), out, steps, lambda news: typer.echo(news, err=True))
    typer.echo(f"{out}: {size / 1000:.0f} kB")


@in_one_line
def train(
    out: Annotated[Path, typer.Option(help="Folder for the finished model.")] = Path("assets/models/landscapes"),
    work: Annotated[Path, typer.Option(help="Folder for checkpoints; a later run resumes from it.")] = Path(
        ".training"
    ),
    tiny: Annotated[bool, typer.Option(help="A tiny training in seconds, to try the command.")] = False,
    start_from: Annotated[
        Path | None, typer.Option(help="Folder of a finished model to start from where there is no checkpoint.")
    ] = None,
    scenes: Annotated[int, typer.Option(help="How many pictures the denoiser learns from.")] = 8192,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that train the denoiser side by side; on a CPU one for each core.")
    ] = 1,
    more: Annotated[
        list[str] | None,
        typer.Option(help="With --start-from: STAGE=MINUTES to train a stage for; may be given several times."),
    ] = None,
) -> None:
    """Train the embedded Landscapes model, from scratch unless --start-from is given."""

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = replace(tiny_recipe() if tiny else TrainingRecipe(scenes=scenes), processes=processes)
    if more:
        if start_from is None:
            raise typer.BadParameter("--more needs --start-from: only finished stages go on for longer")
        recipe = longer(recipe, start_from, _minutes(more))
    options = [f"--start-from {start_from}"] if start_from else []
    options += [f"--more {stage}" for stage in more or []]
    options += [f"--processes {processes}"] if processes > 1 else []
    run_training(out, work, recipe=recipe, start_from=start_from, command=" ".join(["python -m hgc train", *options]))
    typer.echo(f"the model is in {out}, its checkpoints in {work}")


def _minutes(more: list[str]) -> dict[str, float]:
    """STAGE=MINUTES, each, as a dictionary. Raises BadParameter."""

    asked: dict[str, float] = {}
    for entry in more:
        stage, _, minutes = entry.partition("=")
        try:
            asked[stage] = float(minutes)
        except ValueError:
            raise typer.BadParameter(f"--more {entry}: write STAGE=MINUTES, such as denoiser=60") from None
        if stage not in STAGES or asked[stage] <= 0:
            raise typer.BadParameter(f"--more {entry}: stages are {', '.join(STAGES)}, minutes are above zero")
    return asked


@in_one_line
def bench_landscapes(
    scenes: Annotated[int, typer.Option(help="How many scenes that were not trained on.")] = 200,
    hands: Annotated[int, typer.Option(help="How many hand-like drawings under each control.")] = 100,
    first_seed: Annotated[int, typer.Option(help="Seed of the first scene; training starts at 500,000.")] = 0,
    steps: Steps = 20,
    batch: Annotated[int, typer.Option(help="Pictures drawn together.")] = 4,
    noise_seed: Annotated[int, typer.Option(help="Decides the noise.")] = 0,
    band_scenes: Annotated[int, typer.Option(help="Scenes for words alone, variety and --null.")] = 12,
    null: Annotated[bool, typer.Option("--null", help="Also under other noise, and in 50 and 200 steps.")] = False,
    drawings: Annotated[Path | None, typer.Option(help="Draw all examples too; a sheet of them as PNG.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this part; may be given several times.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    weights: Annotated[Path | None, typer.Option(help="Another folder of weights.")] = None,
    work: Annotated[Path, typer.Option(help="Folder for pictures; a later run continues there.")] = Path(
        "runs/bench-landscapes"
    ),
    out: Annotated[Path | None, typer.Option(help="Write the JSON here too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure every figure of the embedded model's card, on scenes that were not trained on."""

    chosen = Setup(
        scenes=scenes,
        hands=hands,
        first_seed=first_seed,
        steps=steps,
        batch=batch,
        noise_seed=noise_seed,
        band_scenes=band_scenes,
        null=null,
        drawings=drawings is not None,
        dtype=dtype,
        only=tuple(only or ()),
    )
    folder = weights or Path(presets()["landscapes"].source)
    measured = Bench(chosen, work, lambda news: typer.echo(news, err=True), folder)
    report = measured.report()
    if drawings:
        drawings.parent.mkdir(parents=True, exist_ok=True)
        trials.sheet(measured.tried).save(drawings)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n")
    typer.echo(json.dumps(report) if as_json else card.as_text(report))


@in_one_line
def bench_card(
    weights: Annotated[Path, typer.Option(help="Folder with README.md and figures.json.")] = Path(
        "assets/models/landscapes"
    ),
) -> None:
    """Put the figures that `bench landscapes --out …/figures.json` measured into the model card."""

    card.fill(weights / "README.md", card.read_report(weights / "figures.json"))
    typer.echo(f"{weights / 'README.md'} has the figures of {weights / 'figures.json'}")


@in_one_line
def bench_tables() -> None:
    """Put the figures that `bench pareto` measured into the tables of the README and of the results page."""

    for name in DOCUMENTS:
        fill(ROOT / name, MeasuredFigures(ROOT / "assets" / "figures"))
        typer.echo(f"{name} has the figures of assets/figures")


@in_one_line
def remake(
    listed: Annotated[bool, typer.Option("--list", help="Only list what is out of date.")] = False,
    at_once: Annotated[
        int, typer.Option(min=1, help="Steps side by side, each on its part of the cores; what is timed runs alone.")
    ] = 1,
) -> None:
    """Make calibrations, plans, figures, card, wall, recording and film again if they belong to other weights."""

    made = Remake(ROOT, steps(), as_process, at_once)
    if listed:
        stale = made.stale()
        for step in made.steps:
            typer.echo(f"{'to do' if step in stale else 'up to date':<12}{step.name:<42}{step.command}")
        typer.echo(f"{len(stale)} of {len(made.steps)} steps to do for weights {made.weights}")
        return
    made.go(lambda news: typer.echo(news, err=True))
    typer.echo(f"everything is made from weights {made.weights}")
