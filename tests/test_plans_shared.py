"""Searched plans through a hub on the loopback interface: sent, brought, carried over, and all that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import loopback
import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.optimise import shared
from hgc.optimise.shared import SharedPlace, SharingRefused, pull, push, read
from hgc.planning import optimised
from hgc.planning.optimised import PLANS, kept_for
from hgc.request import Recipe

REPO, TOKEN = "someone/plans", "hf_of_a_test"
NAME = "landscapes-edges-ddim-20"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback.Hub]:
    """A repository with one shelf, the embedded model's, as another person's model."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    data = json.loads((PLANS / f"{NAME}.json").read_text())
    (theirs / f"{NAME}.json").write_text(json.dumps(data))
    (theirs / f"{NAME}.npz").write_bytes((PLANS / f"{NAME}.npz").read_bytes())
    files = {f"plans/{path.name}": path for path in theirs.iterdir()}
    with loopback.serving({REPO: files, "someone/empty": {}}) as server:
        server.token = TOKEN
        loopback.pointed_at(server, tmp_path / "cache", monkeypatch)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(shared, "get_token", lambda: TOKEN)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def refused(action: Callable[[], Any]) -> str:
    with pytest.raises(SharingRefused) as error:
        action()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", [REPO, f"datasets/{REPO}"])
def test_what_is_sent_is_what_is_there(served: loopback.Hub, name: str, tmp_path: Path) -> None:
    place = SharedPlace.named(name)
    (brought,) = pull(place, tmp_path / "own")
    assert brought.table.subject.name == NAME
    assert push(place, [PLANS / f"{NAME}.json"]) == (NAME,)
    assert served.committed == {
        f"plans/{NAME}.{ending}": (PLANS / f"{NAME}.{ending}").read_bytes() for ending in ("json", "npz")
    }


def test_what_is_brought_is_listed_and_used(served: loopback.Hub) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["plans", *words])
        return done.exit_code, done.output

    assert run("list", REPO) == (0, f"{NAME}\n")
    code, said = run("pull", REPO)
    assert (code, said.startswith(f"here: {NAME}")) == (0, True)
    assert (Path("runs/plans") / f"{NAME}.json").exists()
    optimised.shelves.cache_clear()
    listed = run("list")[1]
    assert listed.count(f"{NAME} ") == 2  # shipped, and brought
    assert "landscapes, edges, ddim, 20 steps, guidance 2; weights 9bfd95f4b0e5; budgets 15%, 20%" in listed
    other = Recipe.parse({"model": "sd15", "control": "edges", "method": "optimised", "budget": 0.5, "guidance": 7.5})
    assert kept_for(other).carried_over == {"model": "landscapes", "guidance": 2.0}
    assert run("push", REPO, "--name", "nothing")[0] == 2
    optimised.shelves.cache_clear()


def test_what_goes_wrong_is_said_in_one_sentence(served: loopback.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    own, there = [PLANS / f"{NAME}.json"], SharedPlace.named(REPO)
    assert "write it as someone/name" in refused(lambda: SharedPlace.named("plans"))
    assert "no repository some/where" in refused(lambda: pull(SharedPlace.named("some/where"), Path("x")))
    assert "holds no plans" in refused(lambda: pull(SharedPlace.named("someone/empty"), Path("x")))
    assert "no plans to send" in refused(lambda: push(there, []))
    served.token = "another"
    assert "hf auth login" in refused(lambda: push(there, own))
    monkeypatch.setattr(shared, "get_token", lambda: None)
    assert "nobody is logged in" in refused(lambda: push(there, own))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "connect to the internet" in refused(lambda: pull(there, Path("x")))
    assert not Path("x").exists()
    assert not served.committed


def packed(**arrays: bytes) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def test_hostile_plans_are_refused() -> None:
    data, table = json.loads((PLANS / f"{NAME}.json").read_text()), (PLANS / f"{NAME}.npz").read_bytes()
    assert read(json.dumps(data).encode(), table, "here").weights == data["weights"]

    def changed(**fields: Any) -> str:
        return refused(lambda: read(json.dumps(data | fields).encode(), table, "there"))

    rung = data["rungs"][0]
    assert "10001 budgets" in changed(rungs=[rung] * 10_001)
    assert "a budget of" in changed(rungs=[rung | {"budget": float("nan")}])
    assert "a figure that is not a number" in changed(rungs=[rung | {"tried": "many"}])
    assert "a plan of 3 steps" in changed(rungs=[rung | {"course": "FFF 222 3"}])
    assert "not printable" in changed(command="\x1b[2J")
    assert "not plans of HGC Studio" in changed(subject=data["subject"] | {"model": "../../x"})
    assert "not plans of HGC Studio" in changed(rungs=[rung | {"course": 7}])
    for text in (b"[" * 100_000, b"\xff\xfe", b"{}", b"null"):
        assert "nothing was kept" in refused(lambda text=text: read(text, table, "there"))  # type: ignore[misc]
    whole = json.dumps(data).encode()
    assert "nothing was kept" in refused(lambda: read(whole, b"no archive", "there"))
    later = bytearray(table)
    later[table.rindex(b"PK\1\2") + 6] = 92  # a zip of version 9.2, which zipfile does not know
    assert "nothing was kept" in refused(lambda: read(whole, bytes(later), "there"))
    assert "unpacks to 80 MB" in refused(lambda: read(whole, packed(growth=bytes(80 * 2**20)), "there"))
    assert "nothing was kept" in refused(lambda: read(whole, packed(header=b"\x80\x04K\x01."), "there"))
