"""`hgc space`: a Hugging Face Space of this checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.refusals import in_one_line
from hgc.space import push


@in_one_line
def space(
    repo_id: Annotated[str, typer.Argument(help="owner/name of the Space to create or update.")],
    dry_run: Annotated[bool, typer.Option(help="Show what would be pushed, push nothing.")] = False,
    private: Annotated[bool, typer.Option(help="Keep the Space to yourself.")] = False,
) -> None:
    """Make a Hugging Face Space of this checkout, or bring it up to date."""
    pushed = push(Path.cwd(), repo_id, dry_run=dry_run, private=private)
    if pushed.url is not None:
        typer.echo(f"{len(pushed.files)} files, {pushed.total_bytes / 2**20:.1f} MiB, pushed to {pushed.url}")
        return
    for name, size in pushed.sizes.items():
        typer.echo(f"{size:>11,} {name}")
    typer.echo("settings: " + ", ".join(f"{name} {value}" for name, value in pushed.settings.front_matter().items()))
    typer.echo(
        f"{len(pushed.files)} files, {pushed.total_bytes / 2**20:.1f} MiB, would be pushed to the Space {repo_id}; "
        "whatever else is there would be deleted"
    )
