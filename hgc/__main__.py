"""The command line: `python -m hgc --help`."""

import typer

from hgc.cli.bench import diffusers, film, hostile, page, paper, peers, sd15, soak, speed, workers
from hgc.cli.calibrate import calibrate, distil
from hgc.cli.compare import compare, list_methods, run
from hgc.cli.fidelity import fidelity
from hgc.cli.landscapes import bench_card, bench_landscapes, bench_tables, remake, train, wall
from hgc.cli.models import models
from hgc.cli.optimize import optimize
from hgc.cli.pareto import pareto
from hgc.cli.plans import plans
from hgc.cli.replay import record, replay
from hgc.cli.space import space
from hgc.cli.sweep import sweep

app = typer.Typer(help="HGC Studio from the shell.", no_args_is_help=True, add_completion=False)
bench = typer.Typer(help="Measure figures that anyone can repeat.", no_args_is_help=True)
app.add_typer(bench, name="bench")
app.add_typer(models, name="models")
app.add_typer(plans, name="plans")

app.command()(compare)
app.command("methods")(list_methods)
app.command()(sweep)
app.command()(run)
app.command()(calibrate)
app.command()(replay)
app.command()(record)
app.command()(optimize)
app.command()(distil)
app.command()(wall)
app.command()(train)
app.command()(remake)
app.command()(space)
bench.command()(paper)
bench.command()(speed)
bench.command()(peers)
bench.command()(pareto)
bench.command()(fidelity)
bench.command()(sd15)
bench.command()(page)
bench.command()(film)
bench.command()(hostile)
bench.command()(soak)
bench.command()(workers)
bench.command()(diffusers)
bench.command("landscapes")(bench_landscapes)
bench.command("card")(bench_card)
bench.command("tables")(bench_tables)

if __name__ == "__main__":
    app()
