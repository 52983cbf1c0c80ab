"""The command line: `python -m hgc --help`."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from PIL import Image

from hgc.bench.setup import BenchRefused
from hgc.cache.plan import Plan, PlanRefused
from hgc.control.annotators import AnnotatorUnavailable
from hgc.control.images import ImageRefused, decode
from hgc.landscapes.checkpoint import CheckpointError
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.models.loading import ModelUnavailable
from hgc.request import CacheSettings, Request, RequestRefused
from hgc.service import Arm, Comparison, Progress, Studio
from hgc.space import SpaceRefused, push

app = typer.Typer(help="HGC Studio from the shell.", no_args_is_help=True, add_completion=False)
bench = typer.Typer(help="Figures that anyone can repeat.", no_args_is_help=True)
app.add_typer(bench, name="bench")

CALIBRATION_SEEDS = 700_000  # apart from what was trained on and from what is evaluated

# Options that several commands share.
Model = Annotated[str, typer.Option(help="Which model.")]
Control = Annotated[str, typer.Option(help="segmentation or edges.")]
SamplerName = Annotated[str, typer.Option(help="ddim, dpmpp, unipc or euler.")]
Steps = Annotated[int, typer.Option(help="Denoising steps.")]
Guidance = Annotated[float, typer.Option(help="How strongly the prompt pulls; 1 switches guidance off.")]
PlanName = Annotated[str, typer.Option(help="A preset, a share of full compute such as 0.4, or a plan's JSON.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; the best there is by default.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

P = ParamSpec("P")
REFUSALS = (
    BenchRefused,
    CheckpointError,
    ImageRefused,
    AnnotatorUnavailable,
    PlanRefused,
    RequestRefused,
    ModelUnavailable,
    SpaceRefused,
)


def in_one_line(command: Callable[P, None]) -> Callable[P, None]:
    """Refusals as one line on the error stream and exit status 2, never a stack trace."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except REFUSALS as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error

    return told


@app.command()
@in_one_line
def compare(
    image: Annotated[Path, typer.Option(help="A control map or drawing; with --annotator, a photo.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, trace.json and request.json.")],
    model: Model = "landscapes",
    control: Control = "segmentation",
    prompt: Annotated[str, typer.Option(help="What to paint.")] = "",
    negative_prompt: Annotated[str, typer.Option(help="What to avoid.")] = "",
    seed: Annotated[int, typer.Option(help="Decides the noise.")] = 0,
    steps: Steps = 20,
    sampler: SamplerName = "ddim",
    guidance: Guidance = 4.0,
    control_scale: Annotated[float, typer.Option(help="How strongly the control map pulls.")] = 1.0,
    control_start: Annotated[float, typer.Option(help="Share of the steps before the control sets in.")] = 0.0,
    control_end: Annotated[float, typer.Option(help="Share of the steps after which the control ends.")] = 1.0,
    plan: PlanName = "paper",
    fewer_steps: Annotated[
        bool, typer.Option("--fewer-steps", help="Also make it with nothing cached, in as many steps as cost the same.")
    ] = False,
    annotator: Annotated[str | None, typer.Option(help="How to turn a photo into a control map, e.g. canny.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Make the same picture in full and cached, and say what the cache did."""
    if out.exists() and not out.is_dir():
        raise RequestRefused(f"--out {out} is a file; name a folder")
    picture = decode(image)
    studio = Studio.load(model, device, dtype)
    prepared = studio.prepare_control(picture.pixels, control, annotator)
    request = Request.make(
        prepared.png,
        model=model,
        control=control,
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        steps=steps,
        sampler=sampler,
        guidance=guidance,
        control_scale=control_scale,
        control_start=control_start,
        control_end=control_end,
        fewer_steps=fewer_steps,
        **_chosen(studio, plan, steps, guidance > 1),
    )
    comparison = _run(studio, request, quiet=as_json)
    _write(comparison, prepared.png, out)
    notes = [*picture.notes, *prepared.notes, *comparison.notes]
    typer.echo(json.dumps(comparison.figures() | {"notes": notes}) if as_json else _told(comparison, notes))


def _chosen(studio: Studio, plan: str, steps: int, guidance: bool = True) -> dict[str, Any]:
    """The request's fields for what --plan named."""
    if plan.endswith(".json"):
        try:
            text = Path(plan).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise PlanRefused(f"plan file {plan}: {reason}; give the path of an exported plan") from error
        return {"plan": Plan.from_json(text).as_dict()}
    try:
        wanted: str | float = float(plan)
    except ValueError:
        wanted = plan
    settings: CacheSettings = studio.settings_for(wanted, steps, guidance=guidance)
    return {"cache": settings.model_dump()}


def _run(studio: Studio, request: Request, quiet: bool) -> Comparison:
    for news in studio.compare(request):
        if isinstance(news, Comparison):
            return news
        if not quiet and sys.stderr.isatty():
            _tell(news)
    raise AssertionError("a comparison ends with its result")


def _tell(news: Progress) -> None:
    typer.echo(f"\r{news.arm:>6}: step {news.step}/{news.steps}", nl=news.step == news.steps, err=True)


def _write(comparison: Comparison, control_png: bytes, out: Path) -> None:
    """Writes everything once the run is over, each file whole or not at all."""
    files = {
        "control.png": control_png,
        **{f"{name}.png": _png(arm) for name, arm in comparison.arms.items()},
        "trace.json": comparison.cached.trace.to_json().encode(),
        "request.json": comparison.request.model_dump_json(indent=1).encode(),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        part = out / f"{name}.part"
        part.write_bytes(data)
        os.replace(part, out / name)


def _png(arm: Arm) -> bytes:
    buffer = BytesIO()
    Image.fromarray(arm.image).save(buffer, "PNG")
    return buffer.getvalue()


def _told(comparison: Comparison, notes: list[str]) -> str:
    f = comparison.figures()
    lines = [
        f"plan {f['plan']}: {f['macs_ratio']:.1%} of the MACs ({f['macs_cached'] / 1e9:.1f} of "
        f"{f['macs_full'] / 1e9:.1f} G, convolutions and linear layers)",
        f"{f['latency_ms_cached']:.0f} ms instead of {f['latency_ms_full']:.0f} ms, {f['speedup']:.2f} times as fast,"
        f" on {f['device']} in {f['dtype']}: {f['steps']} steps, {f['sampler']}, seed {f['seed']}",
        f"likeness: PSNR {comparison.psnr:.1f} dB, SSIM {comparison.ssim:.4f}",
        f"{comparison.score_name}: full {comparison.full.control_score:.3f}, "
        f"cached {comparison.cached.control_score:.3f}",
        f"cross-attention: {f['attention_hits']} hits, {f['attention_misses']} computed",
    ]
    if comparison.fewer is not None:
        alike = comparison.likeness["fewer"]
        lines.append(
            f"fewer steps at the same cost: {comparison.fewer.steps} steps, {f['macs_fewer'] / 1e9:.1f} G MACs, "
            f"{f['latency_ms_fewer']:.0f} ms, PSNR {alike.psnr:.1f} dB, SSIM {alike.ssim:.4f}, "
            f"{comparison.score_name} {comparison.fewer.control_score:.3f}"
        )
    if f["nothing_reused"]:
        lines.append("the cache did nothing: it kept no value that depends on the step")
    return "\n".join([*lines, *notes])


@app.command()
@in_one_line
def calibrate(
    out: Annotated[Path, typer.Option(help="The curves' JSON; the adjustment's numbers go beside it as .npz.")],
    model: Annotated[str, typer.Option(help="Which model.")] = "landscapes",
    control: Annotated[str, typer.Option(help="segmentation or edges.")] = "segmentation",
    sampler: Annotated[str, typer.Option(help="ddim, dpmpp, unipc or euler.")] = "ddim",
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 20,
    guidance: Annotated[float, typer.Option(help="How strongly the prompt pulls.")] = 4.0,
    scenes: Annotated[int, typer.Option(help="How many scenes, each with prompt, map and seed of its own.")] = 32,
    longest: Annotated[int, typer.Option(help="How many steps old a kept value may be to be adjusted.")] = 4,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
) -> None:
    """Measure how fast each layer changes, and how a kept value is best adjusted; stopped, it goes on where it was."""
    from hgc.cache.calibrate import calibrate as run_calibration
    from hgc.cache.curves import Subject

    if scenes < 1 or longest < 1:
        raise RequestRefused(f"--scenes {scenes} and --longest {longest}: both at least 1")
    studio = Studio.load(model, device, dtype)
    subject = Subject(model, control, sampler, steps, guidance)

    def scene(number: int) -> dict[str, Any]:
        return studio.call(_painted(studio, CALIBRATION_SEEDS + number, asdict(subject)))

    def told(done: int, wanted: int) -> None:
        typer.echo(f"scene {done}/{wanted}", err=True)

    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.with_name(out.name + ".unfinished.npz")
    pipe = studio.loaded.pipeline(control, sampler)
    found = run_calibration(pipe, scene, subject, scenes=scenes, state=state, longest=longest, told=told)
    found.write(out)
    state.unlink()
    typer.echo(f"{out}: change of {len(found.curves.mean)} sites over {found.curves.scenes} scenes, {subject}")


def _painted(studio: Studio, seed: int, fields: Mapping[str, Any]) -> Request:
    """The request of a painted scene: its caption, and its label or edge map as the control."""
    scene, control = paint(seed), fields["control"]
    drawing = colour_map(scene.labels) if control == "segmentation" else scene.edges[:, :, None].repeat(3, axis=2)
    return Request.make(studio.prepare_control(drawing, control).png, seed=seed, prompt=scene.caption, **fields)


@bench.command()
def paper(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The paper's MACs, counted on the shapes of SD 1.5 with ControlNet."""
    from hgc.bench import paper as counts

    table = counts.rows()
    typer.echo(json.dumps(counts.as_json(table)) if as_json else counts.as_text(table))


@bench.command()
@in_one_line
def speed(
    plan: PlanName = "paper",
    model: Model = "landscapes",
    control: Control = "segmentation",
    sampler: SamplerName = "ddim",
    steps: Steps = 20,
    seed: Annotated[int, typer.Option(help="Decides scene and noise.")] = 0,
    repeats: Annotated[int, typer.Option(help="Rounds that count, after one that warms up.")] = 5,
    device: Device = None,
    dtype: Dtype = None,
    as_json: AsJson = False,
) -> None:
    """Warm wall time of the plain pipeline and of a cached plan, taken in turn on one scene."""
    from hgc.bench import speed as timing

    studio = Studio.load(model, device, dtype)
    fields = {"model": model, "control": control, "sampler": sampler, "steps": steps}
    request = _painted(studio, seed, fields | _chosen(studio, plan, steps))
    found = timing.measure_speed(studio, request, repeats)
    typer.echo(json.dumps(timing.as_json(found)) if as_json else timing.as_text(found))


@bench.command()
@in_one_line
def peers(
    scenes: Annotated[int, typer.Option(help="Instead: the table of all methods over this many scenes.")] = 0,
    controls: Annotated[list[str] | None, typer.Option(help="For the table; may be given several times.")] = None,
    model: Annotated[str, typer.Option(help="Which model.")] = "landscapes",
    sampler: Annotated[str, typer.Option(help="ddim, dpmpp, unipc or euler.")] = "ddim",
    steps: Annotated[int, typer.Option(help="Denoising steps of the comparison; the table's are 20.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the first scene and its noise.")] = 0,
    interval: Annotated[int, typer.Option(help="DeepCache's N.")] = 3,
    branch: Annotated[int, typer.Option(help="DeepCache's branch.")] = 0,
    gate: Annotated[int, typer.Option(help="T-GATE's gate step.")] = 10,
    repeats: Annotated[int, typer.Option(help="Rounds that are timed.")] = 3,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    work: Annotated[Path, typer.Option(help="Where the table's figures are kept; a later run goes on there.")] = Path(
        "runs/bench-methods.jsonl"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Our DeepCache and T-GATE against their authors' own code; or, with --scenes, all methods on the same noise."""
    from hgc.bench import duel, methods
    from hgc.bench import peers as theirs
    from hgc.bench.album import digest

    if not scenes:
        theirs.check_installed()
    studio = Studio.load(model, device, dtype)
    wanted = tuple(controls or studio.controls)
    fields = {"model": model, "sampler": sampler}
    measured_on = f"{model}, {sampler}, {studio.device}, {studio.dtype}, seed {seed}"
    if not scenes:
        request = _painted(studio, seed, {**fields, "control": wanted[0], "steps": steps})
        settings = duel.Settings(interval=interval, branch=branch, gate=gate, repeats=repeats)
        found = list(theirs.duels(studio.loaded.pipeline(wanted[0], sampler), studio.call(request), settings))
        typer.echo(json.dumps(duel.as_json(found)) if as_json else duel.as_text(found, f"{measured_on}, {steps} steps"))
        return
    ledger = methods.Ledger(work, f"{digest(Path(studio.loaded.preset.source))} {studio.device} {studio.dtype}")
    drawn = methods.draw_all(
        studio,
        lambda number, control: _painted(studio, number, {**fields, "control": control}),
        range(seed, seed + scenes),
        wanted,
        ledger,
        lambda news: typer.echo(news, err=True),
    )
    rows = methods.table(drawn)
    typer.echo(
        json.dumps(methods.as_json(rows)) if as_json else methods.as_text(rows, f"{scenes} scenes, {measured_on}")
    )


@bench.command("landscapes")
@in_one_line
def bench_landscapes(
    scenes: Annotated[int, typer.Option(help="How many scenes never trained on.")] = 200,
    first_seed: Annotated[int, typer.Option(help="Seed of the first scene; training starts at 500,000.")] = 0,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 20,
    batch: Annotated[int, typer.Option(help="Pictures drawn together.")] = 4,
    noise_seed: Annotated[int, typer.Option(help="Decides the noise.")] = 0,
    band_scenes: Annotated[int, typer.Option(help="Scenes for words alone, variety and --null.")] = 12,
    null: Annotated[bool, typer.Option("--null", help="Also under other noise, and in 50 and 200 steps.")] = False,
    drawings: Annotated[Path | None, typer.Option(help="Draw all examples too; a sheet of them as PNG.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this part; may be given several times.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    weights: Annotated[Path | None, typer.Option(help="Another folder of weights.")] = None,
    work: Annotated[Path, typer.Option(help="Where pictures are kept; a later run goes on there.")] = Path(
        "runs/bench-landscapes"
    ),
    out: Annotated[Path | None, typer.Option(help="Write the JSON here too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Every figure of the embedded model's card, on scenes never trained on; may be stopped and started again."""
    from hgc.bench import card
    from hgc.bench import drawings as trials
    from hgc.bench.landscapes import Bench
    from hgc.bench.setup import PARTS, Setup
    from hgc.models.presets import presets

    chosen = Setup(
        scenes=scenes,
        first_seed=first_seed,
        steps=steps,
        batch=batch,
        noise_seed=noise_seed,
        band_scenes=band_scenes,
        null=null,
        drawings=drawings is not None,
        dtype=dtype,
        only=tuple(only) if only else PARTS,
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


@bench.command("card")
@in_one_line
def bench_card(
    weights: Annotated[Path, typer.Option(help="Folder with README.md and figures.json.")] = Path(
        "assets/models/landscapes"
    ),
) -> None:
    """Put the figures that `bench landscapes --out …/figures.json` measured into the model card."""
    from hgc.bench import card

    card.fill(weights / "README.md", card.read_report(weights / "figures.json"))
    typer.echo(f"{weights / 'README.md'} has the figures of {weights / 'figures.json'}")


@app.command()
@in_one_line
def wall(
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 20,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    weights: Annotated[Path | None, typer.Option(help="Another folder of weights.")] = None,
) -> None:
    """24 pictures the embedded model draws, four times of day by four seasons and eight from edges, as one PNG."""
    from hgc.landscapes.artist import Artist
    from hgc.landscapes.wall import hang

    size = hang(Artist.load(weights, dtype), out, steps, lambda news: typer.echo(news, err=True))
    typer.echo(f"{out}: {size / 1000:.0f} kB")


@app.command()
@in_one_line
def train(
    out: Annotated[Path, typer.Option(help="Folder for the finished model.")] = Path("assets/models/landscapes"),
    work: Annotated[Path, typer.Option(help="Folder for checkpoints; a later run resumes from it.")] = Path(
        ".training"
    ),
    tiny: Annotated[bool, typer.Option(help="Seconds instead of hours, for trying the road.")] = False,
) -> None:
    """Train the embedded Landscapes model from nothing."""
    from hgc.landscapes.train import train as run_training

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run_training(out, work, tiny=tiny)
    typer.echo(f"the model is in {out}, its checkpoints in {work}")


@app.command()
@in_one_line
def space(
    repo_id: Annotated[str, typer.Argument(help="owner/name of the Space to create or update.")],
    dry_run: Annotated[bool, typer.Option(help="Show what would be pushed, push nothing.")] = False,
    private: Annotated[bool, typer.Option(help="Keep the Space to yourself.")] = False,
) -> None:
    """Make a Hugging Face Space of this checkout, or bring it up to date."""
    pushed = push(Path.cwd(), repo_id, dry_run=dry_run, private=private)
    verb = "would be pushed" if dry_run else "pushed"
    for name in pushed.files if dry_run else ():
        typer.echo(name)
    typer.echo(f"{len(pushed.files)} files, {pushed.total_bytes / 2**20:.1f} MiB, {verb} to {pushed.url}")


if __name__ == "__main__":
    app()
