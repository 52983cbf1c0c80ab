"""A hub on the loopback interface: what the Hub's API answers for the small hub's files, and how it can go wrong."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from huggingface_hub import constants

GATED = "someone/gated"


@dataclass
class Hub:
    """A hub's files, and what goes wrong with them.

    `broken` names files whose transfer breaks off half-way once, `spoilt` those whose bytes arrive changed, `held`
    those that stop half-way until they are let go.
    """

    files: Mapping[str, Mapping[str, Path]]
    url: str = ""
    broken: set[str] = field(default_factory=set)
    spoilt: set[str] = field(default_factory=set)
    held: dict[str, Event] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)  # bytes, by file
    token: str = ""  # of who may write
    committed: dict[str, bytes] = field(default_factory=dict)  # what was uploaded, by file


@contextmanager
def serving(files: Mapping[str, Mapping[str, Path]]) -> Iterator[Hub]:
    hub = Hub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def pointed_at(server: Hub, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Has this process take `server` for the Hub, and an own folder for its cache."""
    patch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))


class _Answers(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        """An upload: first which files go in the commit itself, which are all, then the commit, a line an operation."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        repo = "/".join(self.path.strip("/").split("/")[2:4])
        if repo not in self.hub.files:
            return self._refuse(404, "RepoNotFound")
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._refuse(401, "")
        if "/preupload/" in self.path:
            modes = [{"path": f["path"], "uploadMode": "regular"} for f in json.loads(body)["files"]]
            return self._say({"files": [mode | {"shouldIgnore": False} for mode in modes]})
        for line in filter(None, body.split(b"\n")):
            operation = json.loads(line)
            if operation["key"] == "file":
                self.hub.committed[operation["value"]["path"]] = b64decode(operation["value"]["content"])
        self._say({"commitUrl": f"{self.hub.url}/{repo}/commit/{'c' * 40}", "commitOid": "c" * 40})

    def _say(self, answer: object) -> None:
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0].strip("/")
        # Data sets lie beside models here.
        path = path.replace("api/datasets/", "api/models/", 1).removeprefix("datasets/")
        repo = "/".join(path.removeprefix("api/models/").split("/")[:2])
        if repo == GATED:
            self._refuse(403, "GatedRepo")
        elif repo not in self.hub.files:
            self._refuse(404, "RepoNotFound")
        elif path.startswith("api/models/"):
            self._tell(repo)
        else:
            name = path.removeprefix(f"{repo}/resolve/main/")
            self._hand(name, self.hub.files[repo][name].read_bytes(), body)

    def _refuse(self, code: int, word: str) -> None:
        self.send_response(code)
        self.send_header("X-Error-Code", word)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _tell(self, repo: str) -> None:
        files = [{"rfilename": n, "size": p.stat().st_size} for n, p in self.hub.files[repo].items()]
        card = {"license": "openrail++"}
        self._say({"id": repo, "sha": "c" * 40, "siblings": files, "cardData": card, "tags": []})

    def _hand(self, name: str, data: bytes, body: bool) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if not body:
            return
        rest = data[start:]
        if name in self.hub.spoilt:
            rest = bytes(len(rest))
        if name in self.hub.broken:
            self.hub.broken.discard(name)
            rest = rest[: len(rest) // 2]
            self.close_connection = True
        half = len(rest) // 2 if name in self.hub.held else len(rest)
        for piece in (rest[:half], rest[half:]):
            self.hub.sent[name] += len(piece)  # before it goes: who stops and counts anew is not to meet this later
            self.wfile.write(piece)
            if piece and name in self.hub.held:
                self.wfile.flush()
                self.hub.held[name].wait()
