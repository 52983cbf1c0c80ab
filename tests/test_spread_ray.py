"""A local Ray cluster of two workers: the pictures are those made here to the bit, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.calibration.subject import Subject
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request
from hgc.results.comparison import Cancelled, Comparison, Progress
from hgc.spread.on import On
from hgc.spread.studio import SpreadStudio
from hgc.studio.studio import Studio

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install -r tests/requirements.txt"),
    # Of Ray itself, about its own next version.
    pytest.mark.filterwarnings("ignore:.*accelerator visible devices.*:FutureWarning"),
]
SCENE = paint(9_000_007)
MARK = "HGC_TEST_MARK"


@pytest.fixture(scope="module")
def spread() -> Iterator[SpreadStudio]:
    with On.read("ray", 2).studio("landscapes", "cpu") as studio:
        assert isinstance(studio, SpreadStudio)
        yield studio


@pytest.fixture(scope="module")
def base(studio: Studio) -> Request:
    png = studio.prepare_control(colour_map(SCENE.labels), "segmentation").png
    return Request.make(png, prompt=SCENE.caption, steps=3, method="step_skip", budget=0.7, rival="fewer_steps")


def finished(news: Iterator[Any]) -> Comparison:
    *_, last = news
    assert isinstance(last, Comparison)
    return last


def same(one: Comparison, other: Comparison) -> bool:
    arms = zip(one.arms.values(), other.arms.values(), strict=True)
    alike = [np.array_equal(a.image, b.image) and a.trace.digest == b.trace.digest for a, b in arms]
    return all(alike) and one.likeness == other.likeness and one.digest == other.digest


def processes(studio: SpreadStudio) -> list[int]:
    return [int(facts.where.rpartition(" ")[2]) for facts in studio.place.facts]


def until(true: Callable[[], bool]) -> None:
    end = monotonic() + 120
    while not true():
        assert monotonic() < end, "it never came true"
        sleep(0.05)


def test_pictures_are_those_made_here(spread: SpreadStudio, studio: Studio, base: Request) -> None:
    """By both workers at once, each another picture."""
    assert len(set(processes(spread))) == 2
    requests = [base, base.but(seed=1, method="hgc", budget=0.8)]
    there: list[Comparison] = []
    threads = [threading.Thread(target=lambda r=r: there.append(finished(spread.compare(r)))) for r in requests]
    for thread in threads:
        thread.start()
    here = {request.seed: finished(studio.compare(request)) for request in requests}
    for thread in threads:
        thread.join()
    assert len(there) == 2
    assert all(same(one, here[one.request.seed]) for one in there)


def test_whoever_kills_a_worker_costs_a_retry_and_no_picture(
    spread: SpreadStudio, studio: Studio, base: Request
) -> None:
    before, killed = processes(spread), False
    news = []
    for each in spread.compare(base):
        news.append(each)
        if not killed and isinstance(each, Progress):
            for process in before:
                os.kill(process, signal.SIGKILL)
            killed = True
    assert killed
    assert same(news[-1], finished(studio.compare(base)))
    assert [each.step for each in news if isinstance(each, Progress) and each.arm == "full"].count(1) == 2
    until(lambda: len(spread.place.facts) == 2)
    assert not set(before) & set(processes(spread))


def test_stop_is_heard_by_a_worker(spread: SpreadStudio, base: Request) -> None:
    stop = threading.Event()
    news = spread.compare(base.but(steps=20), cancel=stop)
    assert any(isinstance(each, Progress) for each in news), "it runs"
    stop.set()
    with pytest.raises(Cancelled, match="stopped after step"):
        list(news)
    assert isinstance(finished(spread.compare(base)), Comparison)
    assert len(spread.place.facts) == 2, "nobody was sent home for it"


def test_calibration_scenes_are_added_up_in_their_order(
    spread: SpreadStudio, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subject = Subject("landscapes", "edges", "ddim", 2, 3.0)
    *news, there = spread.calibrate(subject, 3)
    assert [each.done for each in news] == [0, 1, 2, 3]  # type: ignore[union-attr]
    for file in tmp_path.rglob("*.*"):
        file.unlink()
    *_, here = studio.calibrate(subject, 3)
    assert there.curves == here.curves  # type: ignore[union-attr]
    assert there.adjustment.digest == here.adjustment.digest  # type: ignore[union-attr]


def test_a_sweep_that_was_stopped_goes_on_here_or_there(
    spread: SpreadStudio, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs on Ray, then two more: only these are drawn; here, nothing is left to draw."""
    Image.fromarray(colour_map(SCENE.labels)).save(tmp_path / "map.png")
    place, given = tmp_path / "out", ["--image", str(tmp_path / "map.png"), "--steps", "2", "--method", "step_skip"]
    opened: list[On] = []

    @contextmanager
    def at(self: On, *_: Any) -> Iterator[Studio]:
        opened.append(self)
        yield spread if self.elsewhere else studio

    def run(seeds: str, *more: str) -> dict[str, float]:
        asked = ["sweep", *given, "--x", "budget=0.7", "--y", f"seed={seeds}", "--out", str(place), *more]
        done = CliRunner().invoke(app, asked)
        assert done.exit_code == 0, done.output
        return {path.name: path.stat().st_mtime for path in (place / "runs").glob("*.png")}

    monkeypatch.setattr(On, "studio", at)
    first = run("0..1", "--on", "ray", "--count", "2")
    second = run("0..3", "--on", "ray", "--count", "2")
    assert opened == [On("ray", 2)] * 2
    assert len(second) == 2 * len(first) == 8
    assert second.items() >= first.items()
    assert run("0..3") == second


def marked(mark: str) -> list[str]:
    """Programs that were started with this mark in their environment, and by what they start."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended
    return found


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    """While the workers load their model, so that nobody waits for pictures here."""
    Image.fromarray(colour_map(SCENE.labels)).save(tmp_path / "map.png")
    asked = ["sweep", "--image", "map.png", "--x", "seed=0..9", "--out", "out", "--on", "ray", "--count", "2"]
    mark = os.urandom(8).hex()
    swept = subprocess.Popen(
        [sys.executable, "-m", "hgc", *asked],
        cwd=tmp_path,
        env=os.environ | {MARK: mark, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Whoever runs the tests in the background has them ignore Ctrl-C, and their children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        until(lambda: any("ray::DeskActor" in program for program in marked(mark)) or swept.poll() is not None)
        swept.send_signal(signal.SIGINT)
        told = swept.communicate(timeout=120)[0].decode()
    finally:
        swept.kill()
    assert swept.returncode != 0
    assert "Traceback" not in told
    until(lambda: marked(mark) == [])
