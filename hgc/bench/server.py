"""A server of its own for a benchmark: on 127.0.0.1 alone, in a folder that goes with it, with its log and memory."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from hgc.bench.child import ROOT, child, unwound_by_sigterm
from hgc.bench.setup import BenchRefused

APP = ROOT / "app.py"
API = "/gradio_api"
DEEP = "/".join("abcdefghij")  # so that names that climb end in a folder that is looked at
OPENING_S = 300.0


@dataclass
class Server:
    """A running page. `folder` is all that it may write in; `log` what it said, line by line."""

    address: str
    folder: Path
    process: subprocess.Popen[bytes]
    log: list[str] = field(default_factory=list)

    def request(
        self,
        method: str,
        place: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        s: float = 120,
    ) -> tuple[int, str]:
        """Status and text of an answer; `s` is how long it is waited for. Raises OSError, also where nothing comes."""
        parts = urlsplit(self.address)
        assert parts.hostname == "127.0.0.1"
        connection = HTTPConnection(parts.hostname, parts.port, timeout=s)
        try:
            connection.request(method, place, body, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def call(self, name: str, data: Any, s: float = 120) -> tuple[str, Any]:
        """The last event of a call of an endpoint and what it carries; "http" and the text where there was none."""
        status, text = self.request("POST", f"{API}/call{name}", _json({"data": data}), s=s)
        if status != 200:
            return "http", f"{status}: {text}"
        status, text = self.request("GET", f"{API}/call{name}/{json.loads(text)['event_id']}", s=s)
        event, answer = re.findall(r"event: (\w+)\ndata: (.*)", text)[-1]
        return event, json.loads(answer)

    def upload(self, name: str, data: bytes) -> str:
        """Where an uploaded file is."""
        edge = uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{edge}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        return str(json.loads(self.request("POST", f"{API}/upload", body, kind)[1])[0])

    @property
    def memory_bytes(self) -> int:
        """Of the process, resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024

    def workers(self) -> list[int]:
        """The numbers of its workers' processes."""
        parents, names = dict[int, int](), dict[int, str]()
        for place in Path("/proc").glob("[0-9]*"):
            try:
                names[int(place.name)] = (place / "cmdline").read_bytes().decode("utf-8", "replace")
                parents[int(place.name)] = int(re.findall(r"PPid:\s+(\d+)", (place / "status").read_text())[0])
            except (OSError, IndexError):
                continue  # it has ended
        desks = [number for number, name in names.items() if "DeskActor" in name and "IDLE" not in name]
        return [number for number in desks if self.process.pid in _ancestors(number, parents)]

    def strays(self) -> list[Path]:
        """Files written beside its own folder, in the folders above it."""
        top = self.folder.parents[len(DEEP.split("/")) - 1]
        above = {self.folder, *self.folder.parents}
        return [path for path in top.rglob("*") if path not in above and self.folder not in path.parents]


def _ancestors(number: int, parents: Mapping[int, int]) -> set[int]:
    above = set()
    while (number := parents.get(number, 0)) > 1:
        above.add(number)
    return above


def _json(data: Any) -> bytes:
    return json.dumps(data).encode()


@contextmanager
def served(**environment: str) -> Iterator[Server]:
    """A fresh server whose model is loaded; it ends, and its folder goes, with this program. Raises BenchRefused."""
    with unwound_by_sigterm(), tempfile.TemporaryDirectory(prefix="hgc-bench-") as top:
        folder = Path(top) / DEEP
        folder.mkdir(parents=True)
        own = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        own |= {"GRADIO_TEMP_DIR": str(folder / "uploads"), "TMPDIR": str(folder)}
        with child(APP, cwd=folder, environment=own | environment) as process:
            yield _opened(process, folder)


def _opened(process: subprocess.Popen[bytes], folder: Path) -> Server:
    assert process.stdout is not None
    log: list[str] = []
    for line in iter(process.stdout.readline, b""):
        log.append(line.decode("utf-8", "replace"))
        if address := re.search(r"http://127\.0\.0\.1:\d+", log[-1]):
            break
    else:
        said = " ".join("".join(log)[-300:].split())
        raise BenchRefused(f"app.py ended without printing its address: {said}")
    server = Server(address[0], folder, process, log)
    threading.Thread(target=_listen, args=(server,), daemon=True).start()
    until = monotonic() + OPENING_S
    while monotonic() < until:
        if server.call("/palette", [])[0] == "complete":
            return server
        sleep(0.2)
    raise BenchRefused("the model did not load in time: start app.py alone and read what it says")


def _listen(server: Server) -> None:
    try:
        for line in iter(server.process.stdout.readline, b""):  # type: ignore[union-attr]
            server.log.append(line.decode("utf-8", "replace"))
    except ValueError:  # closed
        return
