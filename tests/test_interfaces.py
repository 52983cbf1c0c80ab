"""The same request through the shell, the API and the MCP tools: the same pictures and the same result."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent, Tool
from PIL import Image
from serving import served
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache.plan import Plan
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.request import Recipe, Request
from hgc.studio.studio import Studio
from hgc.ui import Loader

pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

Answer = TypeVar("Answer")
ROOT = Path(__file__).parent.parent
SCENE = paint(9_000_004)
STEPS = 4
# What differs between two runs of the same request.
CLOCKED = re.compile("latency|denoise|speedup|ms_")


@pytest.fixture(scope="module")
def page(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("folder"))  # calibrations are kept in the working folder
        with served(Loader(lambda: studio).start()) as built:
            yield built


@pytest.fixture(scope="module")
def client(page: gr.Blocks) -> Client:
    return Client(page.local_url, verbose=False)


@pytest.fixture(scope="module")
def request_json(studio: Studio) -> dict[str, Any]:
    png = studio.prepare_control(colour_map(SCENE.labels), "segmentation").png
    settings = asdict(studio.settings(Recipe(budget=0.5, steps=STEPS)))
    request = Request.make(png, prompt=SCENE.caption, seed=5, steps=STEPS, cache=settings)
    return request.model_dump(mode="json")


@pytest.fixture(scope="module")
def by_api(client: Client, request_json: dict[str, Any]) -> tuple[list[np.ndarray], dict[str, Any]]:
    full, kept, result, rival = client.predict(request_json, api_name="/run_request")
    assert rival is None
    return [np.array(Image.open(path)) for path in (full, kept)], result


def unclocked(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if not CLOCKED.search(name)}


def connected(page: gr.Blocks, ask: Callable[[ClientSession], Awaitable[Answer]]) -> Answer:
    """What a client of the protocol gets to know."""

    async def answer() -> Answer:
        address = f"{page.local_url}gradio_api/mcp/"
        async with (
            streamable_http_client(address) as (reading, writing, *_),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return await ask(session)

    return asyncio.run(answer())


def tools(page: gr.Blocks) -> dict[str, Tool]:
    return {tool.name: tool for tool in connected(page, lambda session: session.list_tools()).tools}


def called(page: gr.Blocks, name: str, arguments: dict[str, Any]) -> CallToolResult:
    return connected(page, lambda session: session.call_tool(name, arguments))


def test_every_endpoint_is_a_tool_and_says_what_each_argument_means(page: gr.Blocks, client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    found = tools(page)
    assert set(found) == {name.removeprefix("/") for name in endpoints}
    for name, tool in found.items():
        assert len(tool.description or "") > 20, name
        for argument, schema in tool.inputSchema["properties"].items():
            assert len(schema.get("description", "")) > 5, f"{name}: {argument}"


def test_a_tool_answers_in_json_and_refuses_in_a_sentence(page: gr.Blocks, studio: Studio) -> None:
    [told] = called(page, "settings_for", {"preset": "Balanced", "steps": 20, "guidance": 1.0}).content
    assert isinstance(told, TextContent)
    assert json.loads(told.text) == asdict(studio.settings(Recipe(budget=0.5, guidance=1.0)))
    refused = called(page, "settings_for", {"preset": "Cheapest"})
    assert refused.isError
    assert isinstance(refused.content[0], TextContent)
    assert "Turbo" in refused.content[0].text
    assert "Traceback" not in refused.content[0].text
    refused = called(page, "forecast", {"loras": "ink=0.8, line"})
    assert isinstance(refused.content[0], TextContent)
    assert "unknown LoRA 'ink'" in refused.content[0].text


def test_the_shells_run_is_the_apis(
    studio: Studio,
    request_json: dict[str, Any],
    by_api: tuple[list[np.ndarray], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Studio, "load", lambda *_: studio)
    written = tmp_path / "request.json"
    written.write_text(json.dumps(request_json))
    done = CliRunner().invoke(app, ["run", str(written), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert unclocked(json.loads(done.stdout)) == unclocked(by_api[1])
    for name, expected in zip(("full", "cached"), by_api[0], strict=True):
        assert np.array_equal(np.array(Image.open(tmp_path / "out" / f"{name}.png")), expected)
    assert json.loads((tmp_path / "out" / "request.json").read_text()) == by_api[1]["request"] == request_json
    for text, told in (("{", "request"), ("{}", "control_png"), ("[1]", "request")):
        written.write_text(text)
        refused = CliRunner().invoke(app, ["run", str(written), "--out", str(tmp_path / "out")])
        assert refused.exit_code == 2
        assert told in refused.stderr
        assert refused.stderr.strip().count("\n") == 0


def test_a_plan_is_edited_and_run_over_the_api(client: Client, request_json: dict[str, Any]) -> None:
    plan = client.predict("Exact", None, STEPS, api_name="/forecast")["plan"]
    edited = client.predict(plan, [["UNet up 4", 2]], None, 4.0, api_name="/edit_plan")
    assert edited["rows"]["UNet up 4"] == "CCRC"
    assert edited["rows"]["UNet middle"] == "CC.C"
    assert edited["macs_ratio"] < 0.8
    _, _, result, _ = client.predict(request_json | {"plan": edited["plan"]}, True, api_name="/run_request")
    assert result["macs_cached"] == edited["macs_cached"]
    assert Plan.from_dict(result["trace"]["plan"]) == Plan.from_dict(edited["plan"])
    for cells, action, told in (
        ([["UNet up 4", 0]], "R", "step 0"),
        ([["UNet attic", 1]], None, "UNet attic"),
        ([["UNet up 4", STEPS]], None, "choose 0 to 3"),
        ([["UNet up 4", 1]], "X", "unknown action"),
        ([], None, "no cells"),
    ):
        with pytest.raises(AppError, match=told):
            client.predict(plan, cells, action, 4.0, api_name="/edit_plan")


def test_a_calibration_over_the_api_goes_on_where_it_was(client: Client, studio: Studio) -> None:
    curves = client.predict("segmentation", 2, "ddim", 4.0, 1, api_name="/calibrate")
    assert curves["scenes"] == 1
    assert set(curves["mean"]) <= {site.name for site in studio.anatomy()}
    again = client.predict("segmentation", 2, "ddim", 4.0, 2, api_name="/calibrate")
    assert again["scenes"] == 2
    with pytest.raises(AppError, match="choose 1 to 64"):
        client.predict("segmentation", 2, "ddim", 4.0, 65, api_name="/calibrate")


def test_the_readmes_client_runs(page: gr.Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = re.findall(r"<!-- client -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "http://127.0.0.1:7860" in snippet
    monkeypatch.chdir(ROOT)
    kept: dict[str, Any] = {}
    exec(snippet.replace("http://127.0.0.1:7860", page.local_url), kept)
    assert kept["again"]["digest"] == kept["result"]["digest"]
    assert kept["again"]["macs_ratio"] < kept["result"]["macs_ratio"]
