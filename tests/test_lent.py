"""A ZeroGPU Space without its accelerator: the real `spaces` package, a stand-in for the service that lends devices.

The package is told that this is a ZeroGPU Space, emulates the accelerator while the model loads, forks for every run
and sends results back by pickle. The forks here stay on the CPU: only the move to the borrowed device is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

ROOT = Path(__file__).parent.parent

BEGIN = """
import json, os, sys
from hgc.ui.loader import loader_here, load_lent, Loader
assert "torch" not in sys.modules, "spaces has to be imported first"
import spaces
import spaces.zero.torch as device
"""

RUN = """
device.init = lambda uuid: None
device.move = lambda callback=None: None
from hgc.studio.lent import LentStudio
studio = Loader(lambda: LentStudio.load(device="cpu")).load().studio()
import threading
from dataclasses import asdict
import numpy as np
from hgc.cache.schedules import HGC
from hgc.cache.trace import Trace
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Request, RequestRefused
from hgc.results.comparison import Cancelled, Comparison
from hgc.studio.studio import Studio
from hgc.studio.inspection import Inspection

scene = paint(9_000_005)
png = studio.prepare_control(colour_map(scene.labels), "segmentation", size=(128, 128)).png
settings = HGC(lambda_inter=0.5, gate=0.5, order=0)
request = Request.make(png, size=(128, 128), prompt=scene.caption, steps=2, cache=asdict(settings))
assert studio.forecast(request).latency_ms is None
*progress, lent = studio.compare(request)
assert isinstance(lent, Comparison) and isinstance(lent.cached.trace, Trace)
assert [(news.arm, news.step) for news in progress] == [(arm, step) for arm in ("full", "cached") for step in (1, 2)]
assert studio.forecast(request).latency_ms is not None
*_, own = Studio.compare(studio, request)
assert all(np.array_equal(lent.arms[name].image, own.arms[name].image) for name in own.arms)
assert lent.cached.trace.cells.keys() == own.cached.trace.cells.keys()
assert lent.digest == own.digest
*_, seen = studio.inspect(lent)
assert isinstance(seen, Inspection)

try:
    next(studio.compare(request.model_copy(update={"control": "pose"})))
except RequestRefused as refused:
    print(refused)
stop = threading.Event()
stopped = studio.compare(request, cancel=stop)
next(stopped)
stop.set()
try:
    list(stopped)
except Cancelled:
    print("stopped")
"""

LOAD = """
studio = loader_here().studio()
import torch
from hgc.calibration.measure import weights_of

assert (studio.device, studio.dtype) == ("cuda", "float16")
assert studio.loaded.components["unet"].conv_in.weight.device.type == "cuda"
before = [weights_of(studio.loaded.pipeline(control, "ddim")) for control in studio.controls]
packed = device.pack()  # what launching the page does: from here on the numbers are on disk, for the forks
assert packed > 2**20
found, weights = [], []

def serve():
    png = studio.prepare_control(colour_map(paint(1).labels), "segmentation").png
    request = Request.make(png, prompt="a lake with a zeppelin", steps=20)
    found.append((studio.forecast(request).share, studio.check_prompt(request.prompt)))
    weights.append([studio.weights_under(control) for control in studio.controls])

serving = threading.Thread(target=serve)
serving.start()
serving.join()
[(share, notes)] = found
assert 0 < share < 1 and "zeppelin" in notes[0]
assert weights == [before], "what calibrations go by"
print("served")
"""


class Lender(BaseHTTPRequestHandler):
    """Lends a device that is not there, to whoever asks; keeps what was asked."""

    asked: list[tuple[str, dict[str, list[str]]]]

    def do_POST(self) -> None:
        path = urlparse(self.path)
        self.asked.append((path.path, parse_qs(path.query)))
        lent = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "none", "allowToken": "token"}
        body = json.dumps(lent).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture(scope="module")
def lender() -> Iterator[ThreadingHTTPServer]:
    Lender.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield server
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture(scope="module")
def printed(lender: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Both scripts one after the other: the libraries are read once."""
    return on_a_space(RUN + LOAD, lender, tmp_path_factory.mktemp("space"))


def on_a_space(code: str, lender: ThreadingHTTPServer, folder: Path) -> list[str]:
    """The lines that a script prints on a ZeroGPU Space, the package's own remarks left out."""
    (folder / "cgroup").write_text("0::/space\n")
    environment = os.environ | {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{lender.server_port}",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(folder / "cgroup"),
        "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if not line.startswith("SPACES_ZERO_GPU_DEBUG")]


def test_runs_borrow_the_device_and_come_back_whole(printed: list[str]) -> None:
    refused, stopped, *_ = printed
    assert "no control 'pose'" in refused
    assert stopped == "stopped"
    paths = [path for path, _ in Lender.asked]
    assert paths.count("/schedule") == paths.count("/release") == 3, "a refusal borrows nothing"
    assert "/allow" in paths
    seconds = [float(query["durationSeconds"][0]) for path, query in Lender.asked if path == "/schedule"]
    assert all(10 <= asked <= 120 for asked in seconds)


def test_the_model_loads_in_the_emulation_and_the_page_forecasts(printed: list[str]) -> None:
    assert printed[-1] == "served"
