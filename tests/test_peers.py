"""Our DeepCache and T-GATE give the pictures of the code that their authors published; and the table of all methods.

What needs the published packages is skipped where they are not installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from io import BytesIO
from math import inf
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from PIL import Image
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench import methods, peers
from hgc.bench.duel import PEERS, Duel, Settings
from hgc.bench.methods import FULL, Drawn, Entry, Ledger, Sizes
from hgc.bench.setup import BenchRefused
from hgc.cache import schedules
from hgc.cache.networks import Networks
from hgc.cache.plan import Plan
from hgc.request import Request
from hgc.service import Studio
from hgc.service.methods import METHODS
from hgc.service.scenes import painted

STEPS = 6
needs_peers = pytest.mark.skipif(
    any(find_spec(name) is None for name in PEERS),
    reason=f"the published DeepCache and tgate are not installed: {peers.INSTALL}",
)


def tiny_call(pipe: Any, steps: int = STEPS) -> Mapping[str, Any]:
    positive, negative = pipe.encode_prompt("a lake", torch.device("cpu"), 1, True)
    return {
        "prompt_embeds": positive,
        "negative_prompt_embeds": negative,
        "latents": torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3)),
        "image": tiny.control_image(),
        "num_inference_steps": steps,
        "guidance_scale": 4.0,
    }


def fought(**settings: int) -> list[Duel]:
    pipe = tiny.control_pipeline()
    before = {module: set(vars(module)) for net in Networks.of(pipe).all for module in net.modules()}
    found = list(peers.duels(pipe, tiny_call(pipe), Settings(repeats=1, **settings)))
    assert all(set(vars(module)) == names for module, names in before.items())
    return found


@needs_peers
@pytest.mark.parametrize(
    "settings",
    [
        {"interval": 2, "branch": 0, "gate": 3, "self_every_before": 1, "self_every_after": 1},
        {"interval": 3, "branch": 4, "gate": 4, "self_every_before": 2, "self_every_after": 2, "warm": 1},
    ],
    ids=["outermost branch, gate only", "deeper branch, self-attention at intervals"],
)
def test_the_same_picture_as_theirs(settings: Any) -> None:
    deepcache, tgate, controlled = fought(**settings)
    assert [duel.peer for duel in (deepcache, tgate, controlled)] == ["DeepCache", "T-GATE", "DeepCache"]
    for duel in (deepcache, tgate, controlled):
        assert duel.alike, duel
        assert duel.macs_ours.paper < duel.macs_theirs.paper
        assert min(duel.ms_theirs, duel.ms_ours) > 0
    # Without ControlNet only the text's keys and values are spared; with it, all the work that nobody consumes.
    assert deepcache.macs_ours.paper > 0.9 * deepcache.macs_theirs.paper
    assert controlled.macs_ours.paper < 0.9 * controlled.macs_theirs.paper


@needs_peers
def test_a_difference_would_be_seen() -> None:
    """The comparison can fail: theirs at another interval is another picture."""
    pipe = tiny.control_pipeline()
    call, pictures = tiny_call(pipe), []
    for interval in (2, 3):
        with peers.as_found(Networks.of(pipe)):
            pictures.append(peers.released_deepcache(pipe, call, Settings(interval=interval))())
    assert not torch.allclose(*pictures, atol=1e-3)


def test_a_missing_peer_or_another_version_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(peers, "version", missing)
    with pytest.raises(BenchRefused, match=r"is not installed: pip install -r tests/peers-requirements.txt"):
        peers.check_installed()
    monkeypatch.setattr(peers, "version", lambda _name: "9.9")
    with pytest.raises(BenchRefused, match=r"DeepCache 9.9 is installed, the comparison is with 0.1.1"):
        peers.check_installed()


@pytest.mark.parametrize("settings", [{"interval": 0}, {"branch": -1}, {"repeats": 0}])
def test_settings_out_of_range_are_refused(settings: Any) -> None:
    with pytest.raises(BenchRefused, match=next(iter(settings))):
        Settings(**settings)


DRAWN = Drawn(FULL, 1.0, "edges", 0, 200, 300, 80.0, inf, 1.0, 0.0, 0.5)


def test_the_table_is_of_medians_and_means_against_the_full_picture() -> None:
    fast = replace(
        DRAWN, method="fast", budget=0.3, macs_paper=50, latency_ms=40.0, psnr=30.0, ssim=0.9, perceptual=0.1
    )
    later = replace(fast, seed=1, psnr=20.0, ssim=0.7, perceptual=0.3)
    full, row = methods.table([DRAWN, fast, replace(DRAWN, seed=1, latency_ms=120.0), later])
    assert (full.psnr, full.speedup, full.scenes) == (None, 1.0, 2)
    assert (row.share_paper, row.latency_ms, row.speedup, row.psnr) == (0.25, 40.0, 2.5, 25.0)
    assert (row.ssim, row.perceptual) == (pytest.approx(0.8), pytest.approx(0.2))


def test_only_what_was_drawn_alone_counts_in_the_times() -> None:
    fast = replace(DRAWN, method="fast", latency_ms=40.0)
    together = [replace(DRAWN, seed=1, latency_ms=None), replace(fast, seed=1, latency_ms=None)]
    _, row = methods.table([DRAWN, fast, *together])
    assert (row.scenes, row.timed, row.latency_ms, row.speedup) == (2, 1, 40.0, 2.0)
    full, row = methods.table(together)
    assert (full.latency_ms, row.latency_ms, row.speedup) == (None, None, None)
    assert "nothing was timed" in methods.as_text([full, row], "here")


def test_scenes_on_the_clock_stand_alone_and_the_others_together() -> None:
    chunks = Sizes(timed=2, batch=3).chunks(range(9))
    assert [(timed, list(chunk)) for timed, chunk in chunks] == [
        (True, [0]),
        (True, [1]),
        (False, [2, 3, 4]),
        (False, [5, 6, 7]),
        (False, [8]),
    ]
    with pytest.raises(BenchRefused, match="--batch 0"):
        Sizes(batch=0)


def control_png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (256, 256)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_stopped_table_goes_on_where_it_was(tmp_path: Path) -> None:
    """Half a line, as a kill leaves it, costs that picture only; other weights or plans are other pictures."""
    path, entry = tmp_path / "work" / "table.jsonl", Entry("p", 0.5, Plan("p", 2, "m"), 100, 150)
    request = Request.make(control_png(), control="edges", steps=2)
    Ledger(path, "weights").add(request, entry, DRAWN)
    path.write_text(path.read_text() + "\n" + path.read_text()[:30])
    again = Ledger(path, "weights")
    assert again.known(request, entry, timed=True) == DRAWN
    for other in (replace(entry, plan=Plan("p", 3, "m")), replace(entry, budget=0.4), replace(entry, title="q")):
        assert again.known(request, other, timed=False) is None
    assert Ledger(path, "other weights").known(request, entry, timed=False) is None
    untimed = replace(DRAWN, latency_ms=None)
    again.add(request, entry, untimed)
    assert Ledger(path, "weights").known(request, entry, timed=False) == untimed
    assert Ledger(path, "weights").known(request, entry, timed=True) is None


def test_the_rows_are_the_apps_methods_and_what_is_missing_is_told(studio: Studio) -> None:
    request = painted(studio, 0, {"control": "edges", "steps": 20})
    found, missing = methods.entries(studio, request, (0.5, 0.2))
    assert (found[0].title, found[0].plan.table) == (FULL, {})
    titles = {entry.title for entry in found[1:]}
    assert titles | {sentence.split(" at ")[0].split(", ")[1] for sentence in missing} == {
        method.title for method in METHODS.values()
    }
    assert {"HGC", "DeepCache", "Fewer steps"} <= titles
    assert all(entry.macs_paper <= 1.0001 * entry.budget * found[0].macs_paper for entry in found)
    assert any("Guidance reuse at 20.0%: " in sentence and "or more" in sentence for sentence in missing)


@pytest.mark.usefixtures("loaded")
def test_the_table_runs_and_resumes_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scenes on their own and two together, the same as one by one."""

    def two_methods(studio: Studio, request: Request, budgets: Any) -> Any:
        assert budgets == (0.7,)
        whole, fine = schedules.full(studio.anatomy(), 2), schedules.exact(studio.anatomy(), 2)
        return [Entry(FULL, 1.0, whole, 200, 300), Entry("exact", 0.7, fine, 180, 270)], ["edges, other: too dear"]

    monkeypatch.setattr(methods, "entries", two_methods)
    work = tmp_path / "table.jsonl"
    command = ["bench", "peers", "--scenes", "3", "--controls", "edges", "--budget", "0.7", "--steps", "2", "--json"]
    command += ["--timed", "1", "--batch", "2", "--work", str(work)]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "edges, other: too dear" in first.stderr
    full, exact = json.loads(first.stdout)
    assert (full["method"], exact["method"], exact["control"]) == (FULL, "exact", "edges")
    assert (exact["psnr"], exact["perceptual"], exact["scenes"], exact["timed"]) == (None, 0, 3, 1)
    assert exact["latency_ms"] > 0
    assert 0 <= exact["control_score"] == full["control_score"] <= 1
    before = work.read_text()
    assert json.loads(CliRunner().invoke(app, command).stdout) == [full, exact]
    assert work.read_text() == before
