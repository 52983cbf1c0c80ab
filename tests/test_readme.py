"""The README and its pages are true: commands give what is said, snippets run, the table is what the command prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import draw_tree
import loopback
import pandas as pd
import pytest
import smallhub
import typer
from PIL import Image
from typer.testing import CliRunner

import hgc
from hgc.__main__ import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {"README.md": README} | {f"assets/docs/{p.name}": p.read_text() for p in (ROOT / "assets/docs").glob("*.md")}
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if "-m hgc" in line
]
TABLE = ".venv/bin/python -m hgc bench paper"
MENTIONED = sorted(
    {
        command.strip()
        for text in PAGES.values()
        for command in re.findall(r"(?:^ {4}|`|^)(?:\.venv/bin/)?python -m hgc ([^`\n]+)", text, re.MULTILINE)
    }
)


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def compared(out: Path, printed: str) -> None:
    """The default preset is the paper's share; a plan has whole steps and may stay a little below it."""
    assert 0.3 < float(re.search(r"([\d.]+)% of the MACs", printed)[1]) / 100 <= 0.369  # type: ignore[index]
    assert size_of(out / "full.png") == size_of(out / "cached.png") == (256, 256)
    assert json.loads((out / "request.json").read_text())["prompt"] == "a lake in autumn at sunset"


def swept(out: Path, printed: str) -> None:
    table = pd.read_csv(out / "sweep" / "sweep.csv")
    assert [tuple(row) for row in table[["budget", "method"]].to_numpy()] == [
        (budget, method) for method in ("optimised", "hgc") for budget in (0.4, 0.65)
    ]
    assert (table.macs_ratio <= table.budget + 0.001).all()
    assert len(pd.read_parquet(out / "sweep" / "sweep.parquet")) == 4
    assert size_of(out / "sweep" / "sheet.png") > (512, 512)


def made_again(out: Path, printed: str) -> None:
    assert "every pixel of the cached picture is the same" in printed
    assert "a lake in autumn at sunset" in printed


def shown(out: Path, printed: str) -> None:
    assert printed.startswith("recorded ")
    assert "plan optimised" in printed


def trained(out: Path, printed: str) -> None:
    assert {"unet", "controlnet", "controlnet_edges", "vae"} <= {part.name for part in (out / "model").iterdir()}


def listed(out: Path, printed: str) -> None:
    assert " app.py" in printed
    assert "would be pushed" in printed


def fetched(out: Path, printed: str) -> None:
    assert "stable-diffusion-v1-5/stable-diffusion-v1-5: " in printed
    assert "control_v11p_sd15_canny: " in printed
    assert printed.rstrip().endswith("all is here")


def added(out: Path, printed: str) -> None:
    assert printed == "added mine, a model of the family of sd15\n"


def made_with_it(out: Path, printed: str) -> None:
    assert size_of(out / "mine" / "cached.png") == (512, 512)
    assert json.loads((out / "mine" / "request.json").read_text())["model"] == "mine"


GIVES: dict[str, Callable[[Path, str], None]] = {
    "compare --image": compared,
    "compare --model mine": made_with_it,
    "models add ": added,
    "models fetch ": fetched,
    "replay out/cached.png --again": made_again,
    "replay assets/recorded/opening.zip": shown,
    "space ": listed,
    "sweep ": swept,
    "train ": trained,
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder the commands are written for, in which what they make is thrown away, one for all in their order."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("assets", "README.md", "Spacefile", "requirements.txt", "app.py", "hgc", ".git"):
        (folder / name).symlink_to(ROOT / name)
    return folder


OTHER = {"with"}  # words of the architecture that are no files


def test_every_command_is_checked_for_what_it_gives() -> None:
    assert [sum(start in command for start in GIVES) for command in COMMANDS if command != TABLE] == [1] * len(GIVES)


@pytest.fixture
def own_model(small_hub: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub of tiny models on the loopback interface, a cache of its own, and a checkpoint in the folder."""
    file = checkout / "my_model.safetensors"
    if not file.exists():
        file.symlink_to(small_hub / "files" / file.name)
    with loopback.serving(smallhub.listing(small_hub)) as server:
        loopback.pointed_at(server, checkout / "cache", monkeypatch)
        yield


@pytest.mark.usefixtures("loaded", "own_model")
@pytest.mark.parametrize("command", [command for command in COMMANDS if command != TABLE])
def test_every_command_gives_what_is_said(command: str, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has the libraries imported and the model loaded."""
    monkeypatch.chdir(checkout)
    python, module, name, *rest = shlex.split(command)
    assert (python, module, name) == (".venv/bin/python", "-m", "hgc")
    if "out/cached.png" in rest and not Path("out/cached.png").exists():
        CliRunner().invoke(app, shlex.split(COMMANDS[0])[3:])
    if "mine" in rest and "compare" in rest and not Path("runs/models.json").exists():
        for earlier in (line for line in COMMANDS if " models " in line):
            CliRunner().invoke(app, shlex.split(earlier)[3:])
    done = CliRunner().invoke(app, rest)
    assert done.exit_code == 0, done.output
    (check,) = (check for start, check in GIVES.items() if start in command)
    check(checkout / "out", done.stdout)


@pytest.mark.parametrize("command", MENTIONED)
def test_commands_that_are_mentioned_can_be_given(command: str) -> None:
    """Nothing is run: each name is a command, each option one of its own, each value of its type."""
    known: click.Command = typer.main.get_command(app)
    context, words = click.Context(known), shlex.split(command)
    while isinstance(known, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        assert name in known.commands, f"{name}: known are {', '.join(known.commands)}"
        known = known.commands[name]
    if words and words != ["--help"]:
        known.make_context(known.name, words, parent=context, resilient_parsing="--out" not in words)


def test_the_python_snippet_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (snippet,) = re.findall(r"(?<!<!-- client -->\n)```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(snippet, names)
    assert "hits" in capsys.readouterr().out
    assert names["picture"].size == (256, 256)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("loaded")
def test_every_public_name_has_an_example_and_all_of_them_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = PAGES["assets/docs/python.md"]
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    assert sorted(sections) == sorted(hgc.__all__)
    assert len(hgc.__all__) <= 10
    names: dict[str, object] = {}
    for name, text in sections.items():
        snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        assert any(re.search(rf"from hgc import .*\b{name}\b", snippet) for snippet in snippets), name
        for snippet in snippets:
            exec(snippet, names)


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


@pytest.mark.parametrize("page", PAGES)
def test_what_is_linked_to_is_there(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[page]):
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}


def test_every_room_is_in_the_architecture() -> None:
    described = README[README.index("## Architecture") :]
    rooms = {p.name + "/" if p.is_dir() else p.name for p in (ROOT / "hgc").iterdir() if not p.name.startswith("__")}
    rooms -= {name for name in rooms if name.startswith(".")}
    assert {room for room in rooms if f"`hgc/{room}`" not in described} == set()


def test_every_file_is_in_the_tree_by_its_own_first_line() -> None:
    page = draw_tree.PAGE.read_text()
    assert page == draw_tree.drawn(), "a file came, went or says something else: python tests/draw_tree.py"
    files = [path for kind in ("*.py", "*.js") for path in (ROOT / "hgc").rglob(kind) if path.name != "__init__.py"]
    assert page.count("\n- `") == len(files) + 1


def test_every_file_the_architecture_names_is_there() -> None:
    """A name in a room's row is a file or a folder of that room, or of one that the row opens with."""
    above, gone = Path("hgc"), []
    for row in re.findall(r"^\| (.+?) \| (.+?) \|$", README[README.index("## Architecture") :], re.MULTILINE):
        heading, text = (re.findall(r"`([^`]+)`", part) for part in row)
        if heading and not heading[0].startswith("·"):
            above = Path(heading[0]) if heading[0].endswith("/") else Path(heading[0]).parent
        rooms = [above, *(above / name.strip("· ") for name in heading)]
        names = [name for name in [*heading, *text] if re.fullmatch(r"[a-z_0-9]+(/|\.js)?", name) and name not in OTHER]
        gone += [
            f"{heading}: {name}"
            for name in names
            if not any((ROOT / room / f"{name}{end}").exists() for room in rooms for end in ("", ".py"))
        ]
    assert gone == []


def test_the_film_is_light() -> None:
    assert (ROOT / "assets/readme/studio.webp").stat().st_size < 2_000_000
