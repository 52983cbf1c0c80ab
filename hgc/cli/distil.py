"""`hgc distil`: scale-shift numbers fitted for one plan, so that it follows the uncached run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.options import Device, Dtype
from hgc.cli.refusals import in_one_line
from hgc.request import RequestRefused
from hgc.studio.studio import Studio
from hgc.whole import check_place


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
    from hgc.calibration.distil import Fit
    from hgc.calibration.files import Calibration
    from hgc.studio.distilling import Distillation

    if held_out < 1:
        raise RequestRefused(f"--held-out {held_out}: at least 1")
    check_place(out)
    fit, measured = Fit(scenes, rounds), Calibration.read(calibration)
    distillation = Distillation(Studio.load(measured.curves.subject.model, device, dtype), measured, budget)

    def told(done: int, of: int, error: float) -> None:
        typer.echo(f"round {done}/{of}: {error:.2%} away from the full run", err=True)

    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.with_name(out.name + ".unfinished.pt")
    learned = distillation.learned(fit, state, told)
    learned.write(out)
    errors = distillation.errors(learned, held_out)
    state.unlink()
    typer.echo(
        f"{out}: {distillation}, {distillation.subject}; distance of the last latents from the full run's "
        f"on {held_out} other scenes: {', '.join(f'{name} {error:.2%}' for name, error in errors.items())}"
    )
