"""Our DeepCache and T-GATE give the pictures of the code that their authors published.

What needs the published packages is skipped where they are not installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from typing import Any

import pytest
import tiny
import torch

from hgc.bench import peers
from hgc.bench.peers import PEERS, Duel, PeerSettings
from hgc.bench.setup import BenchRefused
from hgc.cache.anatomy.networks import Networks
from hgc.cache.schedules import DeepCache, TGate

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


def fought(deepcache: DeepCache, tgate: TGate) -> list[Duel]:
    pipe = tiny.control_pipeline()
    before = {module: set(vars(module)) for net in Networks.of(pipe).all for module in net.modules()}
    found = list(peers.duels(pipe, tiny_call(pipe), PeerSettings(deepcache, tgate, repeats=1)))
    assert all(set(vars(module)) == names for module, names in before.items())
    return found


@needs_peers
@pytest.mark.parametrize(
    "settings",
    [
        (DeepCache(2), TGate(3)),
        (DeepCache(3, branch=4), TGate(4, self_every_before=2, self_every_after=2, warm=1)),
    ],
    ids=["outermost branch, gate only", "deeper branch, self-attention at intervals"],
)
def test_the_same_picture_as_theirs(settings: tuple[DeepCache, TGate]) -> None:
    deepcache, tgate, controlled = fought(*settings)
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
            pictures.append(peers.released_deepcache(pipe, call, DeepCache(interval))())
    assert not torch.allclose(*pictures, atol=1e-3)


def test_a_missing_peer_or_another_version_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(peers, "version", missing)
    with pytest.raises(BenchRefused, match=r"pip install -r tests/peers-requirements\.txt"):
        peers.check_installed()
    monkeypatch.setattr(peers, "version", lambda _name: "9.9")
    with pytest.raises(BenchRefused, match=r"DeepCache 9\.9.* 0\.1\.1"):
        peers.check_installed()


def test_no_rounds_are_refused() -> None:
    with pytest.raises(BenchRefused, match="repeats 0"):
        PeerSettings(repeats=0)
