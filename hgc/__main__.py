"""The command line: `python -m hgc --help`."""

import typer

from hgc.cli.calibrate import calibrate
from hgc.cli.compare import compare
from hgc.cli.distil import distil
from hgc.cli.landscapes import bench_card, bench_landscapes, train, wall
from hgc.cli.methods import list_methods, paper, peers, sd15, speed
from hgc.cli.optimize import optimize
from hgc.cli.page import film, page
from hgc.cli.pareto import pareto
from hgc.cli.record import record
from hgc.cli.remake import remake
from hgc.cli.replay import replay
from hgc.cli.run import run
from hgc.cli.space import space
from hgc.cli.sweep import sweep
from hgc.cli.trust import hostile, soak

app = typer.Typer(help="HGC Studio from the shell.", no_args_is_help=True, add_completion=False)
bench = typer.Typer(help="Figures that anyone can repeat.", no_args_is_help=True)
app.add_typer(bench, name="bench")

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
bench.command()(sd15)
bench.command()(page)
bench.command()(film)
bench.command()(hostile)
bench.command()(soak)
bench.command("landscapes")(bench_landscapes)
bench.command("card")(bench_card)

if __name__ == "__main__":
    app()
