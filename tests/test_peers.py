"""Our DeepCache and T-GATE give the pictures of the code that their authors published; and the table of all methods.

What needs the published packages is skipped where they are not installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
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
from hgc.bench.methods import FULL, Drawn, Ledger
from hgc.bench.setup import BenchRefused
from hgc.cache import schedules
from hgc.cache.networks import Networks
from hgc.cache.plan import Plan
from hgc.request import Request
from hgc.service import Studio

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


@pytest.mark.skipif(all(find_spec(name) for name in PEERS), reason="the peers are installed")
def test_a_missing_peer_is_named_with_the_remedy() -> None:
    with pytest.raises(BenchRefused, match=r"is not installed: pip install -r tests/peers-requirements.txt"):
        peers.check_installed()


@pytest.mark.parametrize("settings", [{"interval": 0}, {"branch": -1}, {"repeats": 0}])
def test_settings_out_of_range_are_refused(settings: Any) -> None:
    with pytest.raises(BenchRefused, match=next(iter(settings))):
        Settings(**settings)


DRAWN = Drawn(FULL, "edges", 0, 200, 300, 80.0, inf, 1.0, 0.5)


def test_the_table_is_of_medians_and_means_against_the_full_picture() -> None:
    fast = replace(DRAWN, method="fast", macs_paper=50, latency_ms=40.0, psnr=30.0, ssim=0.9)
    found = [DRAWN, fast, replace(DRAWN, seed=1, latency_ms=120.0), replace(fast, seed=1, psnr=20.0, ssim=0.7)]
    full, row = methods.table(found)
    assert (full.psnr, full.speedup, full.scenes) == (None, 1.0, 2)
    assert (row.share_paper, row.latency_ms, row.speedup, row.psnr) == (0.25, 40.0, 2.5, 25.0)
    assert row.ssim == pytest.approx(0.8)


def control_png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (256, 256)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_stopped_table_goes_on_where_it_was(tmp_path: Path) -> None:
    """Half a line, as a kill leaves it, costs that picture only; other weights or plans are other pictures."""
    path, plan = tmp_path / "work" / "table.jsonl", Plan("p", 2, "m")
    request = Request.make(control_png(), control="edges", steps=2)
    Ledger(path, "weights").add(request, plan, DRAWN)
    path.write_text(path.read_text() + "\n" + path.read_text()[:30])
    again = Ledger(path, "weights")
    assert again.known(request, plan) == DRAWN
    assert again.known(request, Plan("p", 3, "m")) is None
    assert Ledger(path, "other weights").known(request, plan) is None
    again.add(request, Plan("p", 3, "m"), DRAWN)
    assert Ledger(path, "weights").known(request, Plan("p", 3, "m")) == DRAWN


def test_the_table_runs_and_resumes_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two_methods(studio: Studio) -> Mapping[str, Plan]:
        return {FULL: schedules.full(studio.anatomy(), 2), "exact savings": schedules.exact(studio.anatomy(), 2)}

    monkeypatch.setattr(methods, "methods", two_methods)
    work = tmp_path / "table.jsonl"
    command = ["bench", "peers", "--scenes", "1", "--controls", "edges", "--json", "--work", str(work)]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    full, exact = json.loads(first.stdout)
    assert (full["method"], exact["method"], exact["control"]) == (FULL, "exact savings", "edges")
    assert exact["psnr"] is None
    assert exact["tmacs_paper"] < full["tmacs_paper"]
    assert 0 <= exact["control_score"] == full["control_score"] <= 1
    before = work.read_text()
    assert json.loads(CliRunner().invoke(app, command).stdout) == [full, exact]
    assert work.read_text() == before
