"""Hostile inputs for every endpoint, MCP tool, file format and command.

Everything goes to a server of its own on 127.0.0.1 and ends by itself, in count and in time.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any

from PIL import Image

from hgc.bench.hostile_inputs import InputDraw
from hgc.bench.hostile_report import Fault, Report
from hgc.bench.server import API, Server
from hgc.cache.plan import Plan
from hgc.cache.trace import Trace
from hgc.control.images import decode
from hgc.evidence import read_signed
from hgc.history import opening, read_archive
from hgc.history.record import Record
from hgc.landscapes import examples
from hgc.optimise import shared
from hgc.planning.optimised import PLANS
from hgc.refused import REFUSAL_CHARS, Refused
from hgc.request import Request
from hgc.results.records import comparison_of
from hgc.share import link_of, read_link
from hgc.sweep import Axis, parse_seeds

TURNS = ("file", "endpoint", "file", "tool", "file", "endpoint", "file", "file", "tool", "file")
EVERY_COMMAND = 40  # a command starts what it needs anew
PATIENCE_S = 120.0
SLOWEST_FILE_S = 30.0
TOOL_HEADERS = {"Accept": "application/json, text/event-stream"}
# What the shell answers with: the exit status, and all that it wrote.
Invoke = Callable[[list[str]], tuple[int, str]]


class Gave(Exception):
    """Something gave way."""


class Attack:
    """All targets, and the inputs for them."""

    def __init__(self, drawing: InputDraw, server: Server | None, invoke: Invoke | None) -> None:
        self._draw, self._server, self._invoke = drawing, server, invoke
        self._record = opening()
        self._files = self._record.files()
        self._plan = self._record.arm("cached").trace.plan.as_dict()
        self._sound: dict[str, Any] = {"plan": self._plan, "cells": [["UNet up 4", 3]], "action": "R", "method": "hgc"}
        self._sound |= {"request": self._record.request.model_dump(mode="json"), "preset": "Paper", "budget": 0.5}
        self._sound |= {"trace": json.loads(self._record.arm("cached").trace_json), "form": "csv"}
        self._readers = self._all_readers()
        self._endpoints: dict[str, Any] = {}
        self._tools: list[dict[str, Any]] = []
        self.latest = ""
        if server is not None:
            self._meet(server)

    def _meet(self, server: Server) -> None:
        uploaded = server.upload("map.png", _example())
        self._sound["picture"] = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
        self._endpoints = json.loads(server.request("GET", f"{API}/info")[1])["named_endpoints"]
        listed = self._asked(server, "tools/list", {})
        self._tools = listed["result"]["tools"]

    def once(self, kind: str) -> tuple[str, str, str]:
        """The target, the input in short, and "taken" or "refused"; raises Gave."""
        way: Callable[[], tuple[str, str, str]] = getattr(self, f"_{kind}")
        return way()

    # Files

    def _all_readers(self) -> dict[str, Callable[[], Any]]:
        draw, files = self._draw, self._files
        request, trace = self._sound["request"], self._sound["trace"]
        shelf = next(PLANS.glob("*.json"))
        plans, table = json.loads(shelf.read_bytes()), shelf.with_suffix(".npz").read_bytes()
        linked = link_of(self._record.request).query.partition("=")[2]
        return {
            "a recording": lambda: [comparison_of(run).figures() for run in read_archive(draw.archive(files))],
            "a plan": lambda: Plan.from_json(draw.text(self._plan)),
            "a request": lambda: Request.parse(draw.text(request)).own_plan,
            "a request's fields": lambda: Request.parse(draw.changed(request)).picture_digest,
            "a trace": lambda: Trace.from_json(draw.text(trace)).digest,
            "a signed picture": lambda: read_signed(draw.damaged(files["cached.png"])),
            "a picture": lambda: decode(draw.damaged(_example())),
            "shared plans": lambda: shared.read(draw.text(plans).encode("utf-8", "replace"), draw.damaged(table), "a"),
            "a link": lambda: read_link(draw.damaged(linked.encode()).decode("latin-1")),
            "an axis": lambda: Axis.read(f"{draw.choice('steps', 'budget', 'seed', draw.word())}={draw.word()}"),
            "seeds": lambda: parse_seeds(draw.word()),
            "a sheet": lambda: Record.from_files({**files, "run.json": draw.text(json.loads(files["run.json"])).encode(
                "utf-8", "replace")}),
        }  # fmt: skip

    def _file(self) -> tuple[str, str, str]:
        name = self._draw.random.choice(list(self._readers))
        begun = monotonic()
        try:
            self._readers[name]()
            end = "taken"
        except Refused as error:
            _check_sentence(name, str(error))
            end = "refused"
        except ValueError as error:
            if name != "a trace":  # whose reader says so
                raise Gave(f"{type(error).__name__}: {error}") from error
            end = "refused"
        except Exception as error:
            raise Gave(f"{type(error).__name__}: {error}") from error
        if monotonic() - begun > SLOWEST_FILE_S:
            raise Gave(f"took {monotonic() - begun:.0f} s")
        return name, "", end

    # The page

    def _endpoint(self) -> tuple[str, str, str]:
        assert self._server is not None
        name = self._draw.random.choice(list(self._endpoints))
        asked = self._endpoints[name]["parameters"]
        data: Any = [self._draw.argument(p["parameter_name"], p["type"], self._sound) for p in asked]
        if self._draw.random.random() < 0.05:
            data = self._draw.anything()
        given = self.latest = f"{name} {json.dumps(data)[:300]}"
        event, answer = self._server.call(name, data, PATIENCE_S)
        if event == "complete":
            return name, given, self._alive("taken")
        if event == "http" and str(answer).startswith("4"):
            return name, given, self._alive("refused")
        if event != "error" or not isinstance(answer, dict) or not answer.get("error"):
            raise Gave(f"{name} {given}: answered {event} {str(answer)[:300]}")
        _check_sentence(given, str(answer["error"]))
        return name, given, self._alive("refused")

    def _tool(self) -> tuple[str, str, str]:
        assert self._server is not None
        tool = self._draw.random.choice(self._tools)
        asked = tool["inputSchema"].get("properties", {})
        sound = {name: value for name, value in self._sound.items() if name != "picture"}
        arguments = {n: self._draw.argument(n, s, sound) for n, s in asked.items() if self._draw.random.random() < 0.8}
        given = self.latest = f"{tool['name']} {json.dumps(arguments)[:300]}"
        answer = self._asked(self._server, "tools/call", {"name": tool["name"], "arguments": arguments})
        if "error" in answer:
            return tool["name"], given, self._alive("refused")
        said = " ".join(str(part.get("text", "")) for part in answer["result"]["content"])
        if answer["result"].get("isError"):
            if "Something unexpected" in said or "Traceback" in said:
                raise Gave(f"{tool['name']} {given}: {said[:300]}")
            return tool["name"], given, self._alive("refused")
        return tool["name"], given, self._alive("taken")

    def _asked(self, server: Server, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        status, text = server.request("POST", f"{API}/mcp/", body, TOOL_HEADERS, PATIENCE_S)
        events = re.findall(r"^data: (.*)$", text, re.MULTILINE)
        if status >= 500 or (status == 200 and not events and not text.startswith("{")):
            raise Gave(f"{method} {str(params)[:300]}: HTTP {status} {text[:200]}")
        if status != 200:
            return {"error": text}
        answer: dict[str, Any] = json.loads(events[-1] if events else text)
        return answer

    def _alive(self, end: str) -> str:
        """Whether the page answers after it, too."""
        assert self._server is not None
        if self._server.call("/methods", [], PATIENCE_S)[0] != "complete":
            raise Gave("afterwards the page did not answer")
        return end

    # The shell

    def _command(self) -> tuple[str, str, str]:
        assert self._invoke is not None
        with tempfile.TemporaryDirectory(prefix="hgc-hostile-") as top:
            home = Path(top) / "a" / "b" / "c"
            home.mkdir(parents=True)
            arguments = self._arguments(home)
            before = {path for path in Path(top).rglob("*") if home not in path.parents}
            status, said = self._invoke(arguments)
            shown = " ".join(arguments)[:300].encode("utf-8", "replace").decode()
            if "Traceback" in said or status not in (0, 2):
                raise Gave(f"{shown}: status {status}, {said[-300:]}")
            if strays := {path for path in Path(top).rglob("*") if home not in path.parents} - before:
                raise Gave(f"{shown}: wrote {strays}")
            if parts := list(home.rglob("*.part")):
                raise Gave(f"{shown}: left {parts[0].name}")
            return arguments[0], shown, "taken" if status == 0 else "refused"

    def _arguments(self, home: Path) -> list[str]:
        draw, clean = self._draw, lambda word: word.replace("\0", "0").encode("utf-8", "replace").decode()
        kind = draw.random.choice(("replay", "run", "compare", "sweep"))
        out = str(home / clean(draw.word())) if draw.random.random() < 0.4 else str(home / "out")
        if kind == "replay":
            (home / "runs.zip").write_bytes(draw.archive(self._files))
            return ["replay", str(home / "runs.zip"), "--out", out]
        if kind == "run":
            asked = self._sound["request"] | {"steps": 2, "plan": None, "rival": None}
            (home / "request.json").write_text(clean(draw.text(asked)), "utf-8")
            return ["run", str(home / "request.json"), "--out", out]
        (home / "map.png").write_bytes(_example())
        wrong = draw.random.choice(("steps", "guidance", "method", "plan", "control", "sampler", "seed", "annotator"))
        value = clean(draw.word()) if draw.random.random() < 0.6 else str(draw.random.choice((-1, 10**6, 1e999, "nan")))
        asked_for = ["--steps", "2"] if wrong != "steps" else []
        x = ["--x", clean(f"{draw.choice('steps', 'budget', 'gate')}={draw.word()}")] if kind == "sweep" else []
        return [kind, "--image", str(home / "map.png"), "--out", out, *asked_for, *x, f"--{wrong}", value]


def _example() -> bytes:
    """The first example's map as a PNG."""
    buffer = BytesIO()
    Image.fromarray(examples.gallery()[0].pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _check_sentence(asked: str, sentence: str) -> None:
    if (
        "Something unexpected" in sentence
        or "Traceback" in sentence
        or "\n" in sentence.strip()
        or not sentence
        or len(sentence) > REFUSAL_CHARS
    ):
        raise Gave(f"{asked}: was told {sentence[:300]!r}")


def attacks(
    drawing: InputDraw, inputs: int, minutes: float, server: Server | None = None, invoke: Invoke | None = None
) -> Iterator[Report]:
    """The report so far, after every input; it ends with their number or the time. Without server or shell, files."""
    report, begun = Report(seed=0), monotonic()
    attack = Attack(drawing, server, invoke)
    start_bytes = 0 if server is None else server.memory_bytes
    while report.inputs < inputs and monotonic() - begun < 60 * minutes:
        kind = TURNS[report.inputs % len(TURNS)] if server is not None else "file"
        if invoke is not None and report.inputs % EVERY_COMMAND == 7:
            kind = "command"
        said_before = 0 if server is None else len(server.log)
        try:
            target, given, end = attack.once(kind)
            (report.taken if end == "taken" else report.refused)[kind] += 1
            if server is not None and (fault := _heard(server, said_before)):
                report.faults.append(Fault(kind, target, given, fault))
        except Gave as error:
            report.faults.append(Fault(kind, "", "", str(error)))
        except (OSError, HTTPException) as error:
            report.faults.append(Fault(kind, "", attack.latest, f"no answer: {error!r}"))
        now_bytes = 0 if server is None else server.memory_bytes
        report.memory_bytes, report.seconds = (start_bytes, now_bytes), monotonic() - begun
        yield report
    if server is not None and (strays := server.strays()):
        report.faults.append(Fault("endpoint", "", "", f"wrote outside its folder: {strays[:3]}"))
        yield report


def _heard(server: Server, since: int) -> str:
    """The accidents in the server's log since a line; what gradio says of a refusal is none."""
    said = "".join(server.log[since:])
    return said[-600:] if "a run failed" in said or "Traceback (most recent call last)" in said else ""
