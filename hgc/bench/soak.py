"""Eight visitors at once for a long time, who also cancel and close tabs: counts wrong and hung runs, watches memory.

Every run is small and known: what comes back is held against the same request made alone, pixel by pixel.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection
from io import BytesIO
from random import Random
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image

from hgc.bench.server import API, Server
from hgc.landscapes import examples

CLIENTS = 8
STEPS = 4
PATIENCE_S = 600.0
PROMPTS = ("a lake at noon", "hills in the evening", "a forest in winter", "")
METHODS: tuple[dict[str, Any], ...] = (
    {"method": "hgc", "budget": 0.7},
    {"method": "deepcache", "budget": 0.8},
    {"method": "step_skip", "budget": 0.6},
    {"method": "optimised", "budget": 0.5},
    {"cache": {"coarse": False, "fine": False}},
)
LEAVING_SHARE = 0.25  # of the runs: cancelled, or the tab closed
WARM = 50  # runs before memory is looked at for the first time


@dataclass
class Soak:
    """The outcome of all runs. `memory_bytes` of the server: after the first runs, at its most, and at the end."""

    clients: int = CLIENTS
    done: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    memory_bytes: tuple[int, int, int] = (0, 0, 0)
    killed: int = 0
    seconds: float = 0.0

    @property
    def runs(self) -> int:
        return self.done + self.left + len(self.wrong) + len(self.hung)

    def text(self) -> str:
        """The figures in a few lines."""
        first, most, last = (size / 2**20 for size in self.memory_bytes)
        early = f"{first:.0f} MB after {WARM} runs, " if first else ""
        lines = [
            f"{self.runs:,} runs of {STEPS} steps from {self.clients} clients in {self.seconds:.0f} s: {self.done:,} "
            f"finished, {self.left:,} left half way, {len(self.wrong)} wrong, {len(self.hung)} hung",
            f"memory of the server {early}{most:.0f} MB at most, {last:.0f} MB at the end",
        ]
        if self.killed:
            lines.append(f"{self.killed} workers were killed meanwhile")
        return "\n".join([*lines, *self.wrong, *self.hung])


def request_of(draw: Random) -> dict[str, Any]:
    """One of a few dozen requests, so that every one comes up often."""
    example = examples.gallery()[draw.randrange(3)]
    buffer = BytesIO()
    Image.fromarray(example.pixels).save(buffer, "PNG")
    fields = {"control": example.control, "prompt": draw.choice(PROMPTS), "seed": draw.randrange(2), "steps": STEPS}
    return fields | draw.choice(METHODS) | {"control_png": b64encode(buffer.getvalue()).decode()}


def key_of(request: dict[str, Any]) -> str:
    return sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


class Visitors:
    """All clients: what they asked, what came back, and what the same request gave the first time."""

    def __init__(self, server: Server, runs: int, minutes: float, seed: int, kill_every_s: float = 0.0) -> None:
        self.soak, self._kill_every_s = Soak(), kill_every_s
        self._server, self._runs, self._seed = server, runs, seed
        self._until = monotonic() + 60 * minutes
        self._lock, self._first = threading.Lock(), dict[str, str]()
        self._asked = 0
        self._low = self._high = 0

    def run(self, tell: Callable[[str], None]) -> Soak:
        """Until all are done, or the time is over."""
        begun = monotonic()
        threads = [threading.Thread(target=self._visit, args=(n,), daemon=True) for n in range(self.soak.clients)]
        for thread in threads:
            thread.start()
        if self._kill_every_s:
            threading.Thread(target=self._kill, daemon=True).start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(5.0) if threads[0].is_alive() else threading.Event().wait(5.0)
            self._weigh()
            tell(self._so_far)
        self.soak.seconds = monotonic() - begun
        self.soak.memory_bytes = (self._low, self._high, self._server.memory_bytes)
        return self.soak

    def _kill(self) -> None:
        """Ends one of the server's workers every so often, in the midst of whatever it does."""
        draw = Random(f"{self._seed} kill")
        while True:
            sleep(self._kill_every_s)
            if workers := self._server.workers():
                os.kill(draw.choice(workers), signal.SIGKILL)
                self.soak.killed += 1

    @property
    def _so_far(self) -> str:
        soak, now = self.soak, f"{self._server.memory_bytes / 2**20:.0f} MB"
        return (
            f"{soak.runs} of {self._runs}: {soak.left} left, {len(soak.wrong)} wrong, {len(soak.hung)} hung, "
            f"the server has {now}"
        )

    def _weigh(self) -> None:
        size = self._server.memory_bytes
        if self._low == 0 and self.soak.runs >= min(WARM, self._runs // 4):
            self._low = size
        self._high = max(self._high, size)

    def _next(self) -> bool:
        with self._lock:
            self._asked += 1
            return self._asked <= self._runs and monotonic() < self._until

    def _visit(self, number: int) -> None:
        draw = Random(f"{self._seed} {number}")
        while self._next():
            request = request_of(draw)
            leaves = draw.random() < LEAVING_SHARE
            try:
                end = self._leave(draw, request) if leaves else self._finish(request)
            except TimeoutError:
                end = "hung"
            except OSError as error:
                end = f"no answer: {error}"
            self._note(end, request)

    def _finish(self, request: dict[str, Any]) -> str:
        """Runs to the end. Empty where it is right."""
        event, answer = self._server.call("/run_request", [request, False, False], PATIENCE_S)
        if event != "complete":
            return f"answered {event}: {str(answer)[:200]}"
        pictures = "".join(self._digest(answer[place]["path"]) for place in (0, 1))
        with self._lock:
            first = self._first.setdefault(key_of(request), pictures)
        if first != pictures:
            return "another picture than the first time"
        asked, made = request["seed"], answer[2]["seed"]
        return "" if asked == made and answer[2]["request"]["prompt"] == request["prompt"] else "another run's figures"

    def _digest(self, path: str) -> str:
        parts = urlsplit(self._server.address)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", f"{API}/file={quote(path)}")
            data = connection.getresponse().read()
        finally:
            connection.close()
        return sha256(np.array(Image.open(BytesIO(data))).tobytes()).hexdigest()

    def _leave(self, draw: Random, request: dict[str, Any]) -> str:
        """Begins, looks on for a moment, and goes: the tab is closed, or the run is cancelled first."""
        status, text = self._server.request(
            "POST", f"{API}/call/run_request", json.dumps({"data": [request, False, False]}).encode()
        )
        if status != 200:
            return f"HTTP {status}"
        event_id = json.loads(text)["event_id"]
        parts = urlsplit(self._server.address)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE_S)
        connection.request("GET", f"{API}/call/run_request/{event_id}")
        threading.Event().wait(draw.random() * 0.6)
        if draw.random() < 0.5:
            body = json.dumps({"session_hash": event_id, "fn_index": 0, "event_id": event_id}).encode()
            self._server.request("POST", f"{API}/cancel", body)
        connection.close()
        return "left"

    def _note(self, end: str, request: dict[str, Any]) -> None:
        about = f"seed {request['seed']}, {request.get('method', 'exact')}, {request['prompt']!r}"
        with self._lock:
            if end == "":
                self.soak.done += 1
            elif end == "left":
                self.soak.left += 1
            elif end == "hung":
                self.soak.hung.append(f"hung: {about}")
            else:
                self.soak.wrong.append(f"{end}: {about}")
