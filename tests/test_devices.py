"""Which device is taken where nobody says, in which precision, and how many cores of a CPU."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
import torch

from hgc.models.devices import DEVICE_DTYPES, best_device, processor_of
from hgc.studio import cores
from hgc.studio.cores import threads_beside


@pytest.mark.parametrize(
    ("there", "best"),
    [
        (["cuda", "xpu", "mps"], "cuda"),
        (["xpu", "mps"], "xpu"),
        (["mps"], "mps"),
        ([], "cpu"),
    ],
    ids=str,
)
def test_an_accelerator_comes_before_the_cpu(
    monkeypatch: pytest.MonkeyPatch, there: Collection[str], best: str
) -> None:
    for kind, place in (("cuda", torch.cuda), ("xpu", torch.xpu), ("mps", torch.backends.mps)):
        monkeypatch.setattr(place, "is_available", lambda kind=kind: kind in there)
    assert best_device().type == best
    assert DEVICE_DTYPES[best] is (torch.float32 if best == "cpu" else torch.float16)


def test_a_processor_has_a_name() -> None:
    assert processor_of(torch.device("cpu")) == torch.backends.cpu.get_cpu_capability()
    assert processor_of(torch.device("mps")) == "mps"


@pytest.mark.parametrize(
    ("others", "most", "threads"), [(0, 2, 2), (0.4, 2, 2), (1, 2, 1), (8, 2, 1), (3.2, 16, 13), (40, 16, 1), (0, 1, 1)]
)
def test_a_picture_takes_the_cores_that_are_free(others: float, most: int, threads: int) -> None:
    assert threads_beside(others, most) == threads


def test_what_runs_elsewhere_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "loadavg"
    told.write_text("0.20 0.18 0.12 9/612 11206\n")
    monkeypatch.setattr(cores, "_RUNNABLE", told)
    assert cores.runnable_elsewhere() == 8
    monkeypatch.setattr(cores, "_MOST", 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    try:
        assert cores.take_free_cores() == 1
        told.write_text("0.20 0.18 0.12 1/612 11206\n")
        assert cores.take_free_cores() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "1")  # whoever says how many is obeyed
        told.write_text("0.20 0.18 0.12 9/612 11206\n")
        assert cores.take_free_cores() == 2
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(cores, "_RUNNABLE", tmp_path / "none")
    assert cores.runnable_elsewhere() == 0
