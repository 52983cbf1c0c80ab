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
    verb = "would be pushed" if dry_run else "pushed"
    for name in pushed.files if dry_run else ():
        typer.echo(name)
    typer.echo(f"{len(pushed.files)} files, {pushed.total_bytes / 2**20:.1f} MiB, {verb} to {pushed.url}")
