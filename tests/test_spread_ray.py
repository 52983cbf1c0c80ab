"""A local Ray cluster of two workers: the pictures are those made here to the bit, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any

import numpy as np
import psutil
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

errors = pytest.importorskip("ray.exceptions", reason="Ray is not installed: pip install -r tests/requirements.txt")
ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.ray,
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


def until(true: Callable[[], bool], patience_s: float = 120) -> None:
    end = monotonic() + patience_s
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
    news: list[Any] = []
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


def test_rays_own_process_killed_costs_a_retry_and_no_picture(
    spread: SpreadStudio, studio: Studio, base: Request
) -> None:
    """Ray would end this very program at its next call; instead its processes are begun again."""
    killed = set[int]()
    news: list[Any] = []
    for each in spread.compare(base.but(seed=2)):
        news.append(each)
        if not killed and isinstance(each, Progress):
            killed = {process.pid for process in psutil.Process().children(True) if process.name() == "raylet"}
            assert len(killed) == 1
            os.kill(killed.copy().pop(), signal.SIGKILL)
    assert same(news[-1], finished(studio.compare(base.but(seed=2))))
    until(lambda: len(spread.place.facts) == 2)


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


@pytest.fixture
def either(spread: SpreadStudio, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> list[On]:
    """Commands work on these, here or there as they are told; where that was."""
    opened: list[On] = []

    @contextmanager
    def at(self: On, *_: Any) -> Iterator[Studio]:
        opened.append(self)
        yield spread if self.elsewhere else studio

    monkeypatch.setattr(On, "studio", at)
    return opened


def told(*words: str) -> str:
    """What a command says while it works."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stderr


THERE = ("--on", "ray", "--count", "2")


def test_a_sweep_that_was_stopped_goes_on_here_or_there(either: list[On], tmp_path: Path) -> None:
    """Two runs on Ray, then two more: only these are drawn; here, nothing is left to draw."""
    Image.fromarray(colour_map(SCENE.labels)).save(tmp_path / "map.png")
    place, given = tmp_path / "out", ["--image", str(tmp_path / "map.png"), "--steps", "2", "--method", "step_skip"]

    def run(seeds: str, *more: str) -> dict[str, float]:
        told("sweep", *given, "--x", "budget=0.7", "--y", f"seed={seeds}", "--out", str(place), *more)
        return {path.name: path.stat().st_mtime for path in (place / "runs").glob("*.png")}

    first = run("0..1", *THERE)
    second = run("0..3", *THERE)
    assert either == [On("ray", 2)] * 2
    assert len(second) == 2 * len(first) == 8
    assert second.items() >= first.items()
    assert run("0..3") == second


def test_plans_optimised_by_workers_are_those_found_here_to_the_byte(
    either: list[On], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--steps", "4", "--side", "64", "--scenes", "2", "--tries", "7", "--budget", "0.6"]
    said = told("optimize", "--out", "there/p.json", "--work", "w1", *few, *THERE)
    assert "; 2 workers, " in said
    told("optimize", "--out", "here/p.json", "--work", "w2", *few)
    for name in ("p.json", "p.npz"):
        assert Path("there", name).read_bytes() == Path("here", name).read_bytes()
    runs = Path("w1/runs.jsonl").read_bytes()
    told("optimize", "--out", "again/p.json", "--work", "w1", *few, *THERE)
    assert Path("w1/runs.jsonl").read_bytes() == runs, "nothing was run again"
    assert Path("again/p.json").read_bytes() == Path("here/p.json").read_bytes()


def test_a_table_of_fidelity_by_workers_is_the_one_made_here(either: list[On], tmp_path: Path) -> None:
    for number in (7, 8):
        scene = paint(9_000_000 + number)
        for folder, pixels in (("images", scene.image), ("conditions", colour_map(scene.labels))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    few = ["--size", "256", "--steps", "2", "--sampler", "ddim", "--method", "step_skip", "--method", "fewer_steps"]
    asked = ["bench", "fidelity", "--data", str(tmp_path), "--model", "landscapes", "--task", "segmentation", *few]

    def drawn(place: str, *more: str) -> tuple[str, dict[str, Any]]:
        """What was said, and the figures by what they are of, but for times."""
        said, out = told(*asked, "--out", str(tmp_path / place), *more), tmp_path / place / "ledger-1-of-1.jsonl"
        lines = [json.loads(line) for line in out.read_text().splitlines() if line]
        return said, {line["key"]: line["drawn"] | {"latency_ms": None} for line in lines}

    said, there = drawn("there", *THERE)
    assert "ddim: 2 of 2 pictures; 2 workers, " in said
    assert there == drawn("here")[1]
    assert len(there) == 6
    assert all(one["overlaps"] for one in there.values())
    assert drawn("there", *THERE) == ("", there), "nothing was drawn again"


def test_a_table_of_every_method_by_workers_is_the_one_made_here(either: list[On], tmp_path: Path) -> None:
    few = ["--scenes", "2", "--no-drawings", "--batch", "1", "--alone", "1", "--steps", "2", "--long", "0"]
    few += ["--control", "segmentation", "--budget", "0.7", "--method", "step_skip", "--method", "fewer_steps"]

    def drawn(place: str, *more: str) -> list[dict[str, Any]]:
        """The figures of every picture, but for times."""
        told("bench", "pareto", *few, "--work", str(tmp_path / f"{place}.jsonl"), "--out", str(tmp_path / place), *more)
        points = json.loads((tmp_path / place).read_text())["points"]
        return [each | {"latency_ms": None} for point in points for each in point.pop("each")]

    there = drawn("there.json", *THERE)
    assert len(there) == 6
    assert there == drawn("here.json")
    kept = (tmp_path / "there.json.jsonl").read_bytes()
    drawn("there.json", *THERE)
    assert (tmp_path / "there.json.jsonl").read_bytes() == kept, "nothing was drawn again"


def marked(mark: str) -> dict[psutil.Process, list[str]]:
    """Programs that were started with this mark in their environment, and by what they start; with their words."""
    every = ((each, each.info) for each in psutil.process_iter(["environ", "cmdline"]))
    return {one: of["cmdline"] for one, of in every if (of["environ"] or {}).get(MARK) == mark and of["cmdline"]}


def environment(mark: str, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, MARK: mark, "PYTHONPATH": path, **more}


@contextmanager
def swept(
    folder: Path, env: dict[str, str], *words: str, on: str = "ray", count: int = 2, code: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """`hgc sweep` on workers in a program of its own, which runs `code` first."""
    Image.fromarray(colour_map(SCENE.labels)).save(folder / "map.png")
    asked = ["sweep", "--image", "map.png", "--out", "out", "--on", on, "--count", str(count), *words]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nfrom hgc.__main__ import app; app()", *asked],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Whoever runs the tests in the background has them ignore Ctrl-C, and their children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    """While the workers load their model, so that nobody waits for pictures here."""
    mark = os.urandom(8).hex()
    with swept(tmp_path, environment(mark), "--x", "seed=0..9") as process:
        until(lambda: "ray::DeskActor" in str(marked(mark)) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[0].decode()
    assert process.returncode != 0
    assert "Traceback" not in said
    until(lambda: not marked(mark))


FULL_DISK = """
import errno, os
def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
os.fsync = full
"""


def test_a_full_disk_is_one_sentence_and_keeps_what_is_there(tmp_path: Path) -> None:
    """No file is brought to the disk any more once the folder is there, which comes with the first run in it."""
    mark = os.urandom(8).hex()
    few = ("--x", "seed=0..7", "--steps", "2", "--method", "step_skip", "--budget", "0.7")
    with swept(tmp_path, environment(mark), *few, count=1, code=FULL_DISK) as process:
        said = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 2, said
    assert "cannot be written (No space left on device): name another place or make room" in said
    assert "Traceback" not in said
    files = sorted(path.suffix for path in (tmp_path / "out" / "runs").iterdir())
    assert files == [".json", ".png", ".png"], "one run, whole, and no part of another"
    until(lambda: not marked(mark))


# Clients show the cluster's token, and give up a head after a few seconds instead of half a minute. gRPC's own care for
# forks ends Ray's client server at times, as it begins: "Check failed: next_worker->state == KICKED".
CLIENTS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(16).hex()}
CLIENTS |= {"RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2", "GRPC_ENABLE_FORK_SUPPORT": "0"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def head(env: dict[str, str]) -> Iterator[str]:
    """A cluster as `ray start` begins it; its address for clients."""
    port, client_port = free_port(), free_port()
    # Sockets lie in its folder, whose name may not be long.
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        words = f"--port={port} --ray-client-server-port={client_port} --num-cpus=1 --temp-dir={folder}".split()
        words += ["--include-dashboard=false", "--disable-usage-stats"]
        ray = str(Path(sys.executable).with_name("ray"))
        begun = subprocess.run([ray, "start", "--head", *words], env=env, capture_output=True, text=True, check=False)
        try:
            assert begun.returncode == 0, begun.stderr
            yield f"ray://127.0.0.1:{client_port}"
        finally:
            kill(env[MARK])


def kill(mark: str) -> None:
    """Everything that was started with this mark, until nothing is left."""
    while left := marked(mark):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        sleep(0.05)


@pytest.mark.timeout(600)  # on a busy machine; alone a minute
def test_a_head_that_dies_ends_the_command_with_a_sentence_and_keeps_what_is_there(tmp_path: Path) -> None:
    """Head, worker and client server are killed by force after the first run; the command goes on elsewhere."""
    mine, theirs = os.urandom(8).hex(), os.urandom(8).hex()
    few = ("--x", "seed=0..19", "--steps", "2", "--method", "step_skip", "--budget", "0.7")
    runs, begun = tmp_path / "out" / "runs", set[str]()
    with (
        head(environment(theirs, CLIENTS)) as address,
        swept(tmp_path, environment(mine, CLIENTS), *few, on=address, count=1) as process,
    ):
        until(lambda: any(runs.glob("*.json")) or process.poll() is not None, 300)
        kill(theirs)
        until(lambda: bool(begun.update(each.name() for each in marked(mine))) or process.poll() is not None)
        said = process.communicate(timeout=10)[0].decode()
    assert process.returncode == 2, said
    assert "no worker is left: the cluster is gone" in said
    assert said.rstrip().endswith("what is finished is kept")
    assert "Traceback" not in said
    assert "raylet" not in begun, "no cluster of its own instead"
    kept = Counter(path.suffix for path in runs.iterdir())
    assert 1 <= kept[".json"] < 20
    assert kept[".png"] == 2 * kept[".json"], "whole runs only"
