"""Nobody reads, writes or blocks what isn't theirs: the page's doors over raw HTTP, without a model."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from PIL import Image
from serving import served

from hgc.cache import deadline
from hgc.refused import REFUSAL_CHARS
from hgc.request import Recipe
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.blocks import NOT_UPLOADED, uploaded
from hgc.ui.doors import Hosts
from hgc.ui.half_characters import whole_characters
from hgc.ui.serve import PortTaken, free_port

pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]
API = "gradio_api/"
MCP_CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
MCP_HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def page(studio: Studio) -> Iterator[gr.Blocks]:
    with served(Loader(lambda: studio).start()) as built:
        yield built


@pytest.fixture
def http(page: gr.Blocks) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.local_url, timeout=60) as client:
        yield client


def answer(http: httpx.Client, name: str, data: list[Any]) -> tuple[str, Any]:
    """The last event of a call as any program makes it, and what it carries; what is not given has its default."""
    known = http.get(f"{API}info").json()["named_endpoints"][f"/{name}"]["parameters"]
    rest = [parameter.get("parameter_default") for parameter in known[len(data) :]]
    begun = http.post(f"{API}call/{name}", json={"data": [*data, *rest]})
    assert begun.status_code == 200, begun.text
    told = http.get(f"{API}call/{name}/{begun.json()['event_id']}").text
    event, data_line = told.strip().split("\n\n")[-1].split("\n")[:2]
    return event.removeprefix("event: "), json.loads(data_line.removeprefix("data: "))


def refusal(http: httpx.Client, name: str, data: list[Any]) -> str:
    event, told = answer(http, name, data)
    assert event == "error", told
    return str(told["error"])


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("private") / "secret.png"
    Image.new("RGB", (64, 64), (120, 180, 90)).save(path)
    return path


META = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("form", [{}, META, {"url": "/x"}], ids=["bare", "meta", "url"])
@pytest.mark.parametrize("name", ["control_map", "compare", "sweep"])
def test_a_file_that_was_not_uploaded_is_refused_whether_it_is_there_or_not(
    http: httpx.Client, secret: Path, name: str, form: dict[str, Any]
) -> None:
    missing = secret.with_name("missing.png")
    told = {
        refusal(http, name, [{"path": str(path), **form}, "segmentation", None, None]) for path in (secret, missing)
    }
    assert told == {NOT_UPLOADED}


def test_no_way_of_writing_a_path_leads_out_of_the_upload_folder(
    http: httpx.Client, secret: Path, tmp_path: Path
) -> None:
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / f"link-{os.getpid()}.png"
    link.symlink_to(secret)
    try:
        ways = [link, folder / os.path.relpath(secret, folder), os.path.relpath(secret), f"file://{secret}", folder, ""]
        ways += ["https://example.org/a.png", "\0", "a" * 5000]
        for way in ways:
            assert refusal(http, "control_map", [{"path": str(way)}, "segmentation", None, None]) == NOT_UPLOADED, way
    finally:
        link.unlink()


FILES = (gr.Image, gr.File, gr.Gallery, gr.UploadButton)


def test_every_event_of_the_page_takes_uploaded_files_alone(page: gr.Blocks, http: httpx.Client, secret: Path) -> None:
    """Those without a name among the endpoints are called by number, as the page's own script does."""
    takers = [number for number, fn in page.fns.items() if fn.fn and any(isinstance(b, FILES) for b in fn.inputs)]
    assert len(takers) >= 6
    for number in takers:
        data = [{"path": str(secret)} if isinstance(block, FILES) else None for block in page.fns[number].inputs]
        asked = {"data": data, "fn_index": number, "session_hash": f"stranger{number}"}
        joined = http.post(f"{API}queue/join", json=asked)
        assert joined.status_code == 200, joined.text
        told = http.get(f"{API}queue/data", params={"session_hash": asked["session_hash"]}).text
        assert NOT_UPLOADED in told, (number, told)


def test_an_uploaded_file_is_read(http: httpx.Client, secret: Path) -> None:
    sent = http.post(f"{API}upload", files={"files": ("map.png", secret.read_bytes())}).json()
    assert uploaded(sent[0])
    event, told = answer(http, "control_map", [{"path": sent[0]}, "segmentation", None, None])
    assert event == "complete", told


@pytest.mark.parametrize("name", [".", "..", "/", " ", "\\", "a/..", "\u202e"])
def test_an_upload_without_a_proper_name_is_no_error_of_the_server(http: httpx.Client, secret: Path, name: str) -> None:
    sent = http.post(f"{API}upload", files={"files": (name, secret.read_bytes())})
    assert sent.status_code in (200, 400), sent.text
    if sent.status_code == 200:
        assert all(uploaded(path) for path in sent.json())


STRANGERS = [
    {"Host": "evil.example"},
    {"Host": "evil.example:7860", "Origin": "http://evil.example:7860"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Host": "localhost.evil.example"},
    {"Host": "localhost@evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": ""},
]


@pytest.mark.parametrize("headers", STRANGERS, ids=str)
@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("GET", ""),
        ("GET", "config"),
        ("POST", f"{API}call/palette"),
        ("POST", f"{API}queue/join"),
        ("POST", f"{API}upload"),
        ("POST", f"{API}cancel"),
        ("POST", f"{API}mcp/"),
        ("GET", f"{API}mcp/sse"),
        ("OPTIONS", f"{API}call/palette"),
    ],
)
def test_nothing_is_told_to_another_host_or_to_a_page_of_another_site(
    http: httpx.Client, headers: dict[str, str], method: str, place: str
) -> None:
    asked = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else MCP_HEADERS
    content = json.dumps(MCP_CALL).encode() if method == "POST" else None
    sent = http.request(method, place, headers={**asked, "Content-Type": "application/json"} | headers, content=content)
    assert sent.status_code in (403, 421), sent.text[:200]
    assert "access-control-allow-origin" not in sent.headers
    assert "palette" not in sent.text


def test_its_own_pages_are_answered(page: gr.Blocks, http: httpx.Client) -> None:
    port = http.base_url.port
    for own in ({}, {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}, {"Host": "127.0.0.1"}):
        assert http.get("", headers=own).status_code == 200
        assert http.post(f"{API}call/palette", json={"data": []}, headers=own).status_code == 200
        listed = http.post(f"{API}mcp/", json=MCP_CALL, headers=MCP_HEADERS | own)
        assert "control_map" in listed.text


def test_a_page_answers_to_the_names_that_it_was_given() -> None:
    assert "evil.example" not in Hosts.of({})
    assert "studio.example:80" in Hosts.of({"GRADIO_ROOT_PATH": "https://studio.example/hgc"})
    assert "studio.example" in Hosts.of({}, "studio.example")
    assert "a.b.example" in Hosts.of({"HGC_HOSTS": "x.example, *.b.example"})
    assert "b.example.evil" not in Hosts.of({"HGC_HOSTS": "*.b.example"})
    on_space = Hosts.of({"SPACE_ID": "someone/studio", "SPACE_HOST": "someone-studio.hf.space"})
    assert "someone-studio.hf.space" in on_space
    assert "evil.example" not in on_space
    assert all(
        name in Hosts.of({}) for name in ("localhost", "127.0.0.1:7860", "[::1]:7860", "192.168.0.7", "LOCALHOST.")
    )
    assert not any(name in Hosts.of({}) for name in ("", ":", "[", "localhost@evil.example", "localhost.evil.example"))


PLAN = {"name": "mine", "steps": 4, "model": "landscapes", "table": {}}
ASKED_TOO_MUCH = {
    "endless steps": ("settings_for", ["Paper", None, 10**9], "steps: Input should be less than or equal to 200"),
    "no preset": ("settings_for", ["Cheapest", None, 20], "Turbo"),
    "steps without a budget": ("forecast", ["Paper", {}, 10**6], "steps"),
    "another sampler": ("forecast", ["Paper", None, 20, "../x"], "sampler"),
    "another control": ("calibrate", ["x1/../../../../y", 20, "ddim", 2.0, 1], "control"),
    "a sampler elsewhere": ("calibrate", ["segmentation", 20, "../../y", 2.0, 1], "sampler"),
    "endless scenes": ("calibrate", ["segmentation", 20, "ddim", 2.0, 10**9], "scenes"),
    "no scenes": ("calibrate", ["segmentation", 20, "ddim", 2.0, None], "scenes"),
    "a plan without end": (
        "edit_plan", [{**PLAN, "steps": 10**6, "table": {"unet": "C" * 10**6}}, [["unet", 1]]], "at most 200"
    ),
    "a plan that is nothing": ("edit_plan", [None, [["unet", 1]]], "plan"),
    "a plan of other names": ("edit_plan", [{**PLAN, "name": {"a": 1}}, [["unet", 1]]], "name"),
    "a table that is a list": ("edit_plan", [{**PLAN, "table": []}, [["unet", 1]]], "table"),
    "cells of one": ("edit_plan", [PLAN, [["unet"]]], "pair"),
    "cells of objects": ("edit_plan", [PLAN, [{"a": 1}]], "pair"),
    "cells that are a word": ("edit_plan", [PLAN, "unet"], "pairs"),
    "an endless prompt": ("run_request", [{"control_png": "", "prompt": "a " * 500_000}], "at most 2000 characters"),
    "a request that is a list": ("run_request", [[1, 2]], "request"),
    "a plan in a request": ("run_request", [{"control_png": "", "plan": {"name": 1}}], "plan"),
    "a trace that is none": ("export_trace", [{"plan": {}}, "csv"], "not a trace"),
    "a form that is none": ("export_trace", [{}, {"a": 1}], "form"),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED_TOO_MUCH)
def test_what_is_asked_too_much_is_refused_by_name_at_once(http: httpx.Client, case: str) -> None:
    name, data, named = ASKED_TOO_MUCH[case]
    begun = monotonic()
    told = refusal(http, name, data)
    assert named in told, told
    assert "unexpected" not in told
    assert len(told) < 600
    assert monotonic() - begun < 20


def test_settings_of_a_sweep_are_fields(http: httpx.Client, secret: Path) -> None:
    sent = http.post(f"{API}upload", files={"files": ("map.png", secret.read_bytes())}).json()
    given = [{"path": sent[0]}, "segmentation", None]
    assert "settings are fields" in refusal(http, "sweep", [*given, ["a"], "budget=0.5", "", ""])
    assert "cache" in refusal(http, "sweep", [*given, {"cache": [1]}, "budget=0.5", "", ""])
    assert "at most 100" in refusal(http, "sweep", [*given, {}, "guidance=1..9 by 0.0000000001", "", ""])
    assert "2,000" in refusal(http, "sweep", [*given, {}, "budget=" + "0.5," * 1000, "", ""])
    assert "steps" in refusal(http, "compare", [*given, "", "", 0, 20000])
    assert "unexpected" not in refusal(http, "sweep", [*given, {}, None, None, None]), "a text may be none"
    assert "unexpected" not in refusal(http, "sweep", [*given, {"steps": 201}, "budget=0.5", None, None])


def test_planning_ends_in_time(studio: Studio) -> None:
    recipe = Recipe(method="hgc", budget=0.4, steps=200)
    with deadline.planning(0.05), pytest.raises(deadline.TooLong, match="fewer steps"):
        studio.plan(recipe)
    assert studio.plan(recipe.but(steps=8)).steps == 8


def test_a_body_without_end_is_not_read(page: gr.Blocks, http: httpx.Client) -> None:
    with closing(HTTPConnection("127.0.0.1", http.base_url.port, timeout=60)) as raw:
        raw.putrequest("POST", f"/{API}call/palette")
        raw.putheader("Content-Length", str(10**12))
        raw.endheaders()
        assert raw.getresponse().status == 413


def test_too_few_arguments_are_counted(http: httpx.Client) -> None:
    begun = http.post(f"{API}call/compare", json={"data": []}).json()
    answer = http.get(f"{API}call/compare/{begun['event_id']}").text
    assert re.search(r"[1-9]\d* arguments are needed", answer)


def test_what_has_a_value_of_its_own_may_be_left_out(http: httpx.Client) -> None:
    begun = http.post(f"{API}call/run_request", json={"data": [{"steps": 1}]}).json()
    answer = http.get(f"{API}call/run_request/{begun['event_id']}").text
    assert "steps" in answer
    assert "arguments are needed" not in answer


def test_a_refusal_repeats_little_of_what_was_given(http: httpx.Client) -> None:
    """gradio's own checks included, which come before ours and repeat a value whole."""
    begun = http.post(f"{API}call/compare", json={"data": [None, "9" * 50_000, *[None] * 20]}).json()
    answer = http.get(f"{API}call/compare/{begun['event_id']}").text
    assert "99999 is not in the list" not in answer
    assert "Value: 99999" in answer
    assert len(answer) < 2 * REFUSAL_CHARS


def test_a_taken_port_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} is taken by another program.*--port"):
            free_port("127.0.0.1", port, {})
        other = free_port("127.0.0.1", None, {"GRADIO_SERVER_PORT": str(port)})
    assert other > port
    told = capsys.readouterr().err
    assert f"Port {port} is taken" in told
    assert f"port {other}" in told
    with pytest.raises(PortTaken, match="--host"):
        free_port("no such host", None, {})


@pytest.mark.parametrize("where", ["name", "argument", "nested"])
def test_a_tool_that_is_asked_with_half_a_character_answers(http: httpx.Client, where: str) -> None:
    """A lone surrogate in a refusal ended the answer in the middle, with status 200."""
    half = "\\ud800"
    picture = {"argument": f'"{half}"', "nested": f'{{"path": "{half}"}}'}.get(where, '"none"')
    name = f"control_map{half}" if where == "name" else "control_map"
    asked = f'{{"name": "{name}", "arguments": {{"picture": {picture}, "annotator": "segmentation", "reading": null}}}}'
    body = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {asked}}}'
    headers = MCP_HEADERS | {"Content-Type": "application/json"}
    told = http.post(f"{API}mcp/", content=body.encode(), headers=headers).text
    answer = json.loads(re.findall(r"^data: (.*)$", told, re.MULTILINE)[-1])
    assert answer["result"]["isError"]
    assert answer["result"]["content"][0]["text"]


def test_an_endpoint_that_is_asked_with_half_a_character_answers(http: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (b'{"data": "\\ud800"}', b'{"\\ud800": []}', b'{"data": ["\\ud800"]}', b'"\\ud800"'):
        asked = http.post(f"{API}call/presets", content=body, headers=headers)
        assert asked.status_code in (200, 422), asked.text


def test_whole_characters_stay_as_they_are() -> None:
    smile = json.dumps({"prompt": "a \N{GRINNING FACE}, C:\\\\users"}).encode()
    assert json.loads(whole_characters(smile)) == json.loads(smile)
    assert whole_characters(b"{no json \\ud800") == b"{no json \\ud800"
    assert json.loads(whole_characters(b'["\\ud83d", 1.5]')) == ["?", 1.5]
