"""`hgc plans`: the searched plans that are here, and sharing them through the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.refusals import in_one_line
from hgc.optimise.shared import SharedPlace, SharingRefused, offered, pull, push
from hgc.optimise.shelf import Shelf
from hgc.planning.optimised import OWN, PLANS, shelves

plans = typer.Typer(help="List searched plans, and share them through the Hub.", no_args_is_help=True)
Repository = Annotated[str, typer.Argument(help="someone/name, or datasets/someone/name.", metavar="ID")]


@plans.command("list")
@in_one_line
def list_plans(
    repository: Annotated[str | None, typer.Argument(help="List that repository's plans.", metavar="ID")] = None,
) -> None:
    """List searched plans and what they were measured on."""
    if repository is not None:
        print("\n".join(offered(SharedPlace.named(repository))) or "no plans")
        return
    for folder in (PLANS, Path(OWN).absolute()):
        for shelf in shelves(folder):
            print(_line(shelf))


def _line(shelf: Shelf) -> str:
    budgets = ", ".join(f"{rung.budget:.0%}" for rung in shelf.rungs)
    return f"{shelf.table.subject.name:<36} {shelf.table.subject}; weights {shelf.weights}; budgets {budgets}"


@plans.command("push")
@in_one_line
def push_plans(
    repository: Repository,
    name: Annotated[list[str] | None, typer.Option(help="Only the plans with this name; `list` shows names.")] = None,
) -> None:
    """Upload plans to your repository on the Hub."""
    here = {path.stem: path for folder in (PLANS, Path(OWN)) for path in sorted(folder.glob("*.json"))}
    if strange := [one for one in name or () if one not in here]:
        raise SharingRefused(f"there are no plans {strange[0][:80]!r}; there are {', '.join(here)}")
    place = SharedPlace.named(repository)
    for sent in push(place, [here[one] for one in name or here]):
        print(f"sent {sent} to {place}")


@plans.command("pull")
@in_one_line
def pull_plans(repository: Repository) -> None:
    """Download a repository's plans into runs/plans, where the method Optimised uses them."""
    for shelf in pull(SharedPlace.named(repository), Path(OWN)):
        print(f"here: {_line(shelf)}")
