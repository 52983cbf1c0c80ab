"""A few hundred of the inputs that `python -m hgc bench hostile` draws by the ten thousand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from serving import served
from typer import Exit, Typer

from hgc.bench.hostile import Attack, Gave, attacks
from hgc.bench.hostile_commands import loaded_once
from hgc.bench.hostile_inputs import InputDraw
from hgc.bench.hostile_report import Report
from hgc.bench.server import DEEP, Server
from hgc.studio.studio import Studio
from hgc.ui import Loader

pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]


@pytest.fixture
def server(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The page of this process, in a folder of its own."""
    folder = tmp_path / DEEP
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    here: Any = SimpleNamespace(pid=os.getpid())
    with served(Loader(lambda: studio).start()) as page:
        yield Server(page.local_url.rstrip("/"), folder, here)


def last(reports: Iterator[Report]) -> Report:
    *_, report = reports
    return report


def test_files_from_anywhere_are_read_or_refused_in_a_sentence() -> None:
    report = last(attacks(InputDraw(2026), 200, minutes=10))
    assert report.faults == [], report.text()
    assert report.inputs == 200
    assert report.taken["file"] > 5
    assert report.refused["file"] > 100


def test_endpoints_and_tools_answer_whatever_they_are_asked(server: Server) -> None:
    report = last(attacks(InputDraw(11), 80, minutes=10, server=server))
    assert report.faults == [], report.text()
    assert report.refused["endpoint"] + report.taken["endpoint"] == 16
    assert report.refused["tool"] + report.taken["tool"] == 16
    assert server.strays() == []


def test_the_same_seed_draws_the_same() -> None:
    assert InputDraw(3).text({"a": [1, 2]}) == InputDraw(3).text({"a": [1, 2]})


def test_what_gives_way_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    attack = Attack(InputDraw(0), None, None)

    def broken() -> None:
        raise KeyError("steps")

    monkeypatch.setattr(attack, "_readers", {"a plan": broken})
    with pytest.raises(Gave, match="KeyError"):
        attack.once("file")


def test_the_shell_in_this_process_tells_refusals_from_accidents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Studio, "load", Studio.load)  # put back afterwards
    app = Typer()

    @app.command()
    def refused() -> None:
        raise Exit(2)

    @app.command()
    def broken() -> None:
        raise ZeroDivisionError("by accident")

    invoke = loaded_once(app)
    assert invoke(["refused"]) == (2, "")
    assert "Traceback: ZeroDivisionError('by accident')" in invoke(["broken"])[1]
