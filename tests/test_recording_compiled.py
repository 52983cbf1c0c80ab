"""Rows that go through a compiler: here the traced graph itself, to the bit; torch's own on a small function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from replaying import Taping
from test_engine import every_plan
from test_pipelines import anatomy_of
from test_recording import same_cells
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from hgc.cache.recording.ahead import Packages, digest_of
from hgc.cache.recording.capture import CompiledRows
from hgc.cache.recording.rows import Recordings
from hgc.cache.running.engine import cached
from hgc.studio.studio import Studio
from hgc.ui.loader import PACKAGES, load_lent

STEPS = 4


def as_traced(graph: GraphModule) -> Callable[[], list[torch.Tensor]]:
    """A compiler that changes nothing."""
    return graph


@pytest.fixture(scope="module")
def pipe() -> Any:
    return tiny.small_pipeline("sd", "text", True)


def recordings(compiler: Any = as_traced, inner: Taping | None = None) -> Recordings:
    return Recordings(capture_for=lambda _device: inner, compile=True, compiler=compiler)


@pytest.mark.parametrize(("name", "inner"), [("hgc", None), ("deepcache", Taping())], ids=["run", "captured"])
def test_a_compiled_row_gives_the_eager_picture(pipe: Any, name: str, inner: Taping | None) -> None:
    plan = replace(every_plan(anatomy_of(pipe), STEPS)[name], model="small")
    store = recordings(inner=inner)
    for seed in range(3):  # met, recorded, replayed
        with cached(pipe, plan) as eager:
            wanted = tiny.latents(pipe, steps=STEPS, seed=seed).clone()
        with cached(pipe, plan, graphs=store) as run:
            found = tiny.latents(pipe, steps=STEPS, seed=seed)
        assert torch.equal(found, wanted)
        assert same_cells(run.trace, eager.trace)
    assert run.trace.replays is not None
    assert run.trace.replays.notes == ()
    assert "replayed" in run.trace.replays.steps


def test_weights_written_in_place_are_read_anew() -> None:
    pipe = tiny.small_pipeline("sd", "text", True)
    plan = replace(every_plan(anatomy_of(pipe), STEPS)["deepcache"], model="small")
    store = recordings()
    for _ in range(2):
        with cached(pipe, plan, graphs=store):
            tiny.latents(pipe, steps=STEPS)
    with torch.no_grad():
        pipe.unet.conv_out.weight.mul_(1.5)
    with cached(pipe, plan):
        wanted = tiny.latents(pipe, steps=STEPS).clone()
    with cached(pipe, plan, graphs=store):
        assert torch.equal(tiny.latents(pipe, steps=STEPS), wanted)


def test_a_row_that_does_not_compile_runs_eagerly_and_is_said(pipe: Any) -> None:
    def broken(_graph: GraphModule) -> Any:
        raise AssertionError("no compiler found\n" + "and why, at length\n" * 1000)

    plan = replace(every_plan(anatomy_of(pipe), STEPS)["deepcache"], model="small")
    with cached(pipe, plan) as eager:
        wanted = tiny.latents(pipe, steps=STEPS).clone()
    store = recordings(broken)
    for _ in range(2):
        with cached(pipe, plan, graphs=store) as run:
            assert torch.equal(tiny.latents(pipe, steps=STEPS), wanted)
    assert same_cells(run.trace, eager.trace)
    assert run.trace.replays is not None
    assert any("no compiler found" in note for note in run.trace.replays.notes)
    assert max(map(len, run.trace.replays.notes)) < 400


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.skipif(which("c++") is None, reason="torch's own compiler writes C++ and needs a compiler for it")
def test_torchs_own_compiler_gives_the_numbers_but_for_rounding() -> None:
    given, weight = torch.randn(8, 16), torch.nn.Parameter(torch.randn(16, 16))

    def function() -> Any:
        hidden = torch.nn.functional.silu(given @ weight)
        return {"hidden": hidden}, [hidden.mean(0), hidden - 1]

    with torch.no_grad():
        captured = CompiledRows(None)(function)
        for scale in (1.0, 0.5):
            given.mul_(scale)
            weight.mul_(scale)
            captured.replay()
            torch.testing.assert_close(captured.out, function())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of torch's exporter and of spaces, on a machine without a GPU
@pytest.mark.skipif(which("c++") is None, reason="torch's own compiler writes C++ and needs a compiler for it")
def test_a_row_compiled_ahead_is_loaded_by_later_programs_and_reads_what_changes(tmp_path: Path) -> None:
    given, weight = torch.randn(8, 16), torch.nn.Parameter(torch.randn(16, 16))

    def function() -> Any:
        hidden = torch.nn.functional.silu(given @ weight)
        return {"hidden": hidden}, [hidden.mean(0), hidden - 1]

    first, later = Packages(tmp_path), Packages(tmp_path)
    with torch.no_grad():
        for packages in (first, later):
            captured = CompiledRows(None, packages)(function)
            for scale in (1.0, 0.5):
                given.mul_(scale)
                weight.mul_(scale)
                captured.replay()
                torch.testing.assert_close(captured.out, function())
    assert (first.compiled, later.compiled) == (1, 0)
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt2"]


def test_a_space_takes_packages_from_the_folder_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    studio = SimpleNamespace(folders=[])
    studio.record_steps = lambda packages: studio.folders.append(packages)
    lent = SimpleNamespace(LentStudio=SimpleNamespace(load=lambda: studio))
    monkeypatch.setitem(sys.modules, "hgc.studio.lent", lent)  # the real one wants to be imported before torch
    load_lent()
    monkeypatch.setenv(PACKAGES, str(tmp_path))
    load_lent()
    assert studio.folders == [tmp_path]


def test_a_studio_compiles_ahead_where_it_is_given_a_folder(studio: Studio, tmp_path: Path) -> None:
    try:
        studio.record_steps(False, packages=tmp_path)
        assert studio.recordings is not None
        assert studio.recordings.compiled
        studio.record_steps(False)
        assert studio.recordings is None
    finally:
        studio.record_steps(False)


def test_packages_differ_wherever_the_code_would() -> None:
    def digest(function: Callable[..., torch.Tensor], *given: torch.Tensor) -> str:
        graph = make_fx(lambda: function(*given))()
        return digest_of(graph, dict(graph.named_buffers()))

    one = torch.ones(4, 6)
    two = one * 2
    same, others = (
        digest(torch.add, one, one),
        [
            digest(torch.mul, one, one),
            digest(torch.add, one[:2], one[:2]),
            digest(torch.add, one.double(), one.double()),
            digest(torch.add, torch.ones(6, 4).T, torch.ones(6, 4).T),
        ],
    )
    assert digest(torch.add, two, two) == same, "numbers are read when it runs"
    assert len({same, *others}) == 5
