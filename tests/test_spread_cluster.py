"""Ray as a place of work, without a cluster: what is said where it is missing, and what its errors mean."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.spread import cluster, ray_worker
from hgc.spread.connection import Connection
from hgc.spread.ray_worker import RayHand
from hgc.spread.work import WorkerLost

errors = pytest.importorskip("ray.exceptions", reason="Ray is not installed: pip install -r tests/requirements.txt")
SCENE = paint(9_000_007)


def test_without_ray_it_says_how_to_come_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(colour_map(SCENE.labels)).save("map.png")
    done = CliRunner().invoke(app, ["sweep", "--image", "map.png", "--x", "seed=0..1", "--out", "out", "--on", "ray"])
    assert done.exit_code == 2
    assert (
        done.stderr.strip() == "Ray is not installed here: `pip install hgc-studio[ray]`, or `pip install ray[client]`"
    )


def test_a_cluster_elsewhere_without_rays_client_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(cluster.NoCluster, match=r"ray://head:10001 needs Ray's client, .* `pip install ray\[client\]`"):
        cluster.Cluster("ray://head:10001")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.OutOfMemoryError("killed"), "its machine had no memory left"),
        (errors.OutOfDiskError("full"), "no room left"),
        (errors.ObjectStoreFullError("full"), "no room left"),
        (errors.GetTimeoutError("late"), "no answer within 120 s"),
        (errors.ActorDiedError(), "its process ended"),
        (errors.NodeDiedError("gone"), "its process ended"),
        (ConnectionError("closed"), r"the cluster is gone \(closed\)"),
    ],
)
def test_whatever_ray_says_of_a_worker_its_run_goes_to_another(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ray:
        exceptions = errors

        @staticmethod
        def get(called: Any, timeout: float) -> None:
            raise error

    actor = SimpleNamespace(_actor_id=SimpleNamespace(hex=lambda: "0123456789"), stop=SimpleNamespace(remote=str))
    clock = iter(range(0, 1000, 60))
    monkeypatch.setattr(ray_worker, "monotonic", lambda: next(clock))
    with pytest.raises(WorkerLost, match=says):
        RayHand(Connection(Ray(), client=True), actor, 0).stop("")
