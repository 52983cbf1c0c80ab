"""`hgc sweep`: one picture over the values of two settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hgc.bench.album import digest
from hgc.cli.options import (
    AsJson,
    AtLeast,
    Budget,
    Count,
    Device,
    Dtype,
    Image,
    MethodName,
    PlanName,
    Token,
    Where,
    Workers,
    asks_for_recipe,
    chosen,
)
from hgc.cli.pictures import map_of, read_image, read_pictures
from hgc.cli.refusals import in_one_line
from hgc.cli.studios import studio_on
from hgc.planning.methods import DEFAULT_METHOD
from hgc.planning.road import HGC
from hgc.request import Recipe, Request, RequestRefused
from hgc.spread.on import HERE, On
from hgc.studio.studio import Studio
from hgc.sweep import Axis, Sweep, SweepCell, base_of, parse_seeds
from hgc.sweep.folder import Folder, png_of, sheet
from hgc.sweep.run import SweepUnderway, run_cells
from hgc.sweep.table import RunRow, as_csv, as_parquet, figures_of, record
from hgc.unwritable import check_place
from hgc.whole import write_folder


@in_one_line
@asks_for_recipe
def sweep(
    out: Annotated[Path, typer.Option(help="Folder; runs that are in it are not drawn again.")],
    x: Annotated[str, typer.Option(help="A setting and its values: 'budget=0.2, 0.35' or 'steps=10..30 by 10'.")],
    recipe: dict[str, Any],
    image: Image = None,
    y: Annotated[str | None, typer.Option(help="A second setting, for the rows.")] = None,
    seeds: Annotated[str, typer.Option(help="Draw every cell with each of these seeds, e.g. '0..4'.")] = "",
    plan: PlanName = "paper",
    method: MethodName = DEFAULT_METHOD,
    budget: Budget = None,
    at_least: AtLeast = None,
    annotator: Annotated[str | None, typer.Option(help="How to turn a photo into a control map, e.g. canny.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    on: Where = HERE,
    count: Count = None,
    workers: Workers = "",
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Draw one picture for many values of one or two settings. If you stop it, the next call continues."""
    first, second = Axis.read(x), None if y is None else Axis.read(y)
    axes = [axis for axis in (first, second) if axis is not None]
    check_place(out, folder=True)
    picture = read_image(image, recipe)
    with studio_on(On.read(on, count, workers, token), recipe["model"], device, dtype) as studio:
        fields = read_pictures(recipe, studio) | _asked(axes, plan, method, budget, at_least)
        base = base_of(Recipe.parse(fields), axes, studio.blueprint)
        control_png = map_of(picture, studio, base, annotator).png
        asked = Sweep(base, first, second, parse_seeds(seeds)).on_map(control_png)
        folder = Folder(out, f"{digest(Path(studio.loaded.preset.source))} {studio.device} {studio.dtype}")
        rows = _draw(studio, asked, folder)
    _write(asked, folder, rows, out)
    shown = list(rows.values())
    typer.echo(
        json.dumps(shown) if as_json else f"{_told(asked, rows)}\n{out}: {len(shown)} runs, sweep.csv, sheet.png"
    )


def _asked(axes: Sequence[Axis], plan: str, method: str, budget: float | None, at_least: str | None) -> dict[str, Any]:
    """The base's fields for --plan, --method, --budget and --at-least, but for what an axis decides."""
    swept = {axis.name for axis in axes}
    if "budget" in swept:
        return {"method": method, "budget": 1.0}  # in the place of which every run has its own
    return chosen(plan, HGC if any(axis.setting.of_hgc for axis in axes) else method, budget, at_least)


def _draw(studio: Studio, asked: Sweep[Request], folder: Folder) -> dict[str, RunRow]:
    """The records of all runs by key; those that the folder has are read from there."""
    known = {cell.key: known_record for cell in asked.cells if (known_record := folder.known(asked, cell))}
    left = [cell for cell in asked.cells if cell.key not in known]
    for news in run_cells(studio, left) if left else ():
        if isinstance(news, SweepUnderway):
            _tell(news, len(known))
            continue
        folder.keep(news)
        figures = {} if news.comparison is None else figures_of(news.comparison)
        known[news.cell.key] = record(asked, news.cell, figures, news.refusal)
    return {cell.key: known[cell.key] for cell in asked.cells}


def _tell(news: SweepUnderway, before: int) -> None:
    step = news.progress
    if news.workers > 1:
        if step.step == step.steps:
            pace = f"{news.workers} workers, {news.per_minute:.1f} pictures a minute"
            typer.echo(f"{pace}: {news.done:.0%}, {news.eta_s:.0f} s left", err=True)
    elif sys.stderr.isatty():
        done = f"\rrun {before + news.number}/{before + news.runs}, {step.arm:>6}: step {step.step}/{step.steps}"
        typer.echo(f"{done}, {news.eta_s:.0f} s left   ", nl=step.step == step.steps, err=True)


def _write(asked: Sweep[Request], folder: Folder, rows: dict[str, RunRow], out: Path) -> None:
    drawn = [cell for cell in asked.cells if not rows[cell.key]["refused"]]
    if not drawn:
        raise RequestRefused(next(iter(rows.values()))["refused"])
    table = [row | {"picture": _picture(folder, cell, row)} for cell, row in _in_order(asked, rows)]
    pictures = {cell.key: folder.picture(cell) for cell in drawn if cell.repeat == 0}
    files = {"sweep.csv": as_csv(table).encode(), "sweep.parquet": as_parquet(table)}
    write_folder(out, files | {"sheet.png": png_of(sheet(asked, pictures))})


def _picture(folder: Folder, cell: SweepCell[Request], row: RunRow) -> str | None:
    return None if row["refused"] else f"runs/{folder.picture_path(cell).name}"


def _in_order(asked: Sweep[Request], rows: dict[str, RunRow]) -> list[tuple[SweepCell[Request], RunRow]]:
    return [(cell, rows[cell.key]) for cell in asked.cells]


def _told(asked: Sweep[Request], rows: dict[str, RunRow]) -> str:
    """The table as lines: the axes, the share of full compute, the likeness; and the rival's where there is one."""
    names = [*(axis.name for axis in asked.axes), *(["seed"] if asked.seeds else [])]
    rivals = any("macs_ratio_rival" in row for row in rows.values())
    figures = ["share", "PSNR", "SSIM", "control", *(["rival share", "PSNR"] if rivals else [])]
    lines = ["".join(f"{name:>16}" for name in names) + "".join(f"{name:>12}" for name in figures)]
    for row in rows.values():
        lines.append("".join(f"{row[name]!s:>16}" for name in names) + _figures(row, rivals))
    return "\n".join(lines)


def _figures(row: RunRow, rivals: bool) -> str:
    if row["refused"]:
        return f"    {row['refused']}"
    words = [
        f"{row['macs_ratio']:.1%}",
        _decibels(row["psnr"]),
        f"{row['ssim']:.4f}",
        _score(row["control_score_cached"]),
    ]
    words += [f"{row['macs_ratio_rival']:.1%}", _decibels(row["psnr_rival"])] if rivals else []
    return "".join(f"{word:>12}" for word in words)


def _decibels(psnr: float | None) -> str:
    return "identical" if psnr is None else f"{psnr:.1f} dB"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"
