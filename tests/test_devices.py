"""Which device is taken where nobody says, in which precision, and how many cores of a CPU."""

from __future__ import annotations

import os
import subprocess
import sys
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


def program(folder: Path, number: int, state: str, nice: int = 0, policy: int = 0) -> None:
    """A thread, as proc_pid_stat(5) has it, under a name that looks like fields."""
    place = folder / f"{number}" / "task" / f"{number}"
    place.mkdir(parents=True, exist_ok=True)
    fields = ["0"] * 49
    fields[0], fields[16], fields[38] = state, str(nice), str(policy)
    (place / "stat").write_text(f"{number} (a R) b) {' '.join(fields)}\n")


def test_what_runs_elsewhere_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.nice(0)
    program(tmp_path, 11, "R", own)
    program(tmp_path, 12, "R", own - 1)
    program(tmp_path, 13, "S", own)
    program(tmp_path, 14, "R", own + 2)
    program(tmp_path, 15, "R", own, policy=cores.IDLE)
    program(tmp_path, os.getpid(), "R", own)
    monkeypatch.setattr(cores, "_PROGRAMS", tmp_path)
    assert cores.runnable_elsewhere() == pytest.approx(2 + 0.8**2)
    monkeypatch.setattr(cores, "_MOST", 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    try:
        assert cores.take_free_cores() == 1
        for number in (11, 12, 14):
            program(tmp_path, number, "S")
        assert cores.take_free_cores() == 2
        monkeypatch.setenv("OMP_NUM_THREADS", "1")  # whoever says how many is obeyed
        program(tmp_path, 11, "R")
        assert cores.take_free_cores() == 2
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(cores, "_PROGRAMS", tmp_path / "none")
    assert cores.runnable_elsewhere() == 0


def test_a_thread_that_computes_elsewhere_is_seen() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system does not tell")
    busy = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert busy.stdout is not None
        busy.stdout.readline()
        assert max(cores.runnable_elsewhere() for _ in range(20)) >= 0.5
    finally:
        busy.kill()
        busy.communicate()
