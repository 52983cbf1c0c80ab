"""The README is true: its commands run, its snippet runs, its table is what the command prints."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hgc.__main__ import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if "-m hgc" in line
]
TABLE = ".venv/bin/python -m hgc bench paper"


def name_of(command: str) -> str:
    return shlex.split(command)[3]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the commands are written for, in which what they make is thrown away; tests stand in it."""
    for name in ("assets", "README.md", "Spacefile", "requirements.txt", "app.py", "hgc", ".git"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands_to_run() -> None:
    wanted = {"compare", "sweep", "bench", "train", "space", "replay"}
    assert {name_of(command) for command in COMMANDS} == wanted


@pytest.mark.usefixtures("loaded", "checkout")
@pytest.mark.parametrize("command", [command for command in COMMANDS if command != TABLE], ids=name_of)
def test_every_command_runs(command: str) -> None:
    """In this process, which has the libraries imported and the model loaded."""
    python, module, hgc, *rest = shlex.split(command)
    assert (python, module, hgc) == (".venv/bin/python", "-m", "hgc")
    done = CliRunner().invoke(app, rest)
    assert done.exit_code == 0, done.output
    assert done.stdout


@pytest.mark.usefixtures("checkout")
def test_the_python_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = re.findall(r"(?<!<!-- client -->\n)```python\n(.*?)```", README, re.DOTALL)
    exec(snippet, {})
    assert "hits" in capsys.readouterr().out


def test_the_table_is_what_the_command_prints_in_a_process_of_its_own(checkout: Path) -> None:
    (table,) = re.findall(r"<!-- bench paper -->\n```\n(.*?)```", README, re.DOTALL)
    assert TABLE in COMMANDS
    _, *command = shlex.split(TABLE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *command], cwd=checkout, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == table.strip()


def test_what_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
