"""Nobody reads, writes or blocks what isn't theirs: the page's doors over raw HTTP, without a model."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from PIL import Image
from serving import served

from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.blocks import NOT_UPLOADED, uploaded
from hgc.ui.doors import Hosts
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
    """The last event of a call as any program makes it, and what it carries."""
    begun = http.post(f"{API}call/{name}", json={"data": data})
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
