"""The README is true: its commands run, its snippet runs, its table is what the command prints."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if "-m hgc" in line
]


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=_env())


def _env() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The folder the commands are written for, in which what they make is thrown away."""
    for name in ("assets", "README.md", "Spacefile", "requirements.txt", "app.py", "hgc", ".git"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_there_are_commands_to_run() -> None:
    wanted = {"compare", "sweep", "bench", "train", "space", "replay"}
    assert {shlex.split(command)[3] for command in COMMANDS} == wanted


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: shlex.split(command)[3])
def test_every_command_runs(command: str, checkout: Path) -> None:
    python, *rest = shlex.split(command)
    assert python == ".venv/bin/python"
    done = run([sys.executable, *rest], checkout)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_python_snippet_runs(checkout: Path) -> None:
    (snippet,) = re.findall(r"(?<!<!-- client -->\n)```python\n(.*?)```", README, re.DOTALL)
    done = run([sys.executable, "-W", "ignore", "-c", snippet], checkout)
    assert done.returncode == 0, done.stderr
    assert "hits" in done.stdout


def test_the_table_is_what_the_command_prints(checkout: Path) -> None:
    (table,) = re.findall(r"<!-- bench paper -->\n```\n(.*?)```", README, re.DOTALL)
    done = run([sys.executable, "-m", "hgc", "bench", "paper"], checkout)
    assert done.stdout.strip() == table.strip()


def test_what_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
