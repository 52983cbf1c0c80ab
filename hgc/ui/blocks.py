"""gradio's Blocks with doors of our own: who asks and what comes in is looked at before any component reads it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.mcp
from gradio.utils import get_upload_folder

from hgc.refused import in_short
from hgc.ui.doors import Doors, Hosts
from hgc.ui.sessions import Sessions

GradioTools: Any = gradio.mcp.GradioMCPServer
log = logging.getLogger(__name__)
# The same for a file that is not there and for one that is nobody's business: the answer tells nothing of the disk.
NOT_UPLOADED = "This file was not uploaded here: upload it first, then use the name in the upload's answer."
UNREADABLE = "The arguments do not have the form that is needed: see the API page for each of them."


class JsonTools(GradioTools):
    """Pictures as gradio sends them, everything else as JSON text."""

    def postprocess_output_data(self, data: Any, root_url: str) -> Any:
        """The content of a tool's answer, one entry or two for each output."""
        texts = [each if _is_file(each) else json.dumps(each) for each in data]
        return super().postprocess_output_data(texts, root_url)


def _is_file(output: Any) -> bool:
    return isinstance(output, dict) and (output.get("meta") or {}).get("_type") == "gradio.FileData"


def json_input(label: str) -> gr.JSON:
    """An input for an object; gradio's own description of it is none that the protocol allows."""
    field = gr.JSON(None, label=label)
    field.api_info = lambda: {"anyOf": [{"type": "object", "additionalProperties": {}}, {"type": "null"}]}
    return field


class GuardedBlocks(gr.Blocks):
    """Takes files from its own upload folder alone, in every event and for every tool.

    gradio checks a path only where `meta` stands beside it, and components read the others all the same.
    """

    def launch(self, *args: Any, hosts: Hosts, **options: Any) -> Any:
        """Serves to these hosts alone."""
        self._hosts = hosts
        return super().launch(*args, **options)

    @property
    def server_app(self) -> Any:
        """The application that gradio makes at launch, with the doors before all of gradio's own and our sessions."""
        return self._server_app

    @server_app.setter
    def server_app(self, app: Any) -> None:
        app.add_middleware(Doors, hosts=self._hosts)
        app.state_holder = Sessions()
        app.state_holder.set_blocks(self)
        self._server_app = app

    @property
    def mcp_server_obj(self) -> Any:
        """The page's tools, which answer in JSON, in the place of those that gradio makes at launch."""
        return self._tools

    @mcp_server_obj.setter
    def mcp_server_obj(self, server: Any) -> None:
        self._tools = JsonTools(self) if server is not None else None

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        for path in _paths(inputs):
            if not uploaded(path):
                raise gr.Error(NOT_UPLOADED, print_exception=False)
        needed = len(block_fn.inputs)
        if isinstance(inputs, list):  # the last ones may be left out, where they have a value of their own
            inputs = [*inputs, *(part.value for part in block_fn.inputs[len(inputs) :] if _settled(part))]
        if not isinstance(inputs, list) or len(inputs) < needed:
            raise gr.Error(f"{needed} arguments are needed: see the API page for all of them.", print_exception=False)
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error as refusal:  # a choice that there is not is no accident
            raise gr.Error(in_short(str(refusal.message)), print_exception=False) from refusal
        # gradio tells these in pages of its own words, or not at all.
        except Exception as error:
            log.info("an input was refused: %s", error)
            raise gr.Error(UNREADABLE, print_exception=False) from error


def _settled(part: Any) -> bool:
    return getattr(part, "value", None) is not None


def uploaded(path: str) -> bool:
    """Whether this is a file in the upload folder, links followed; no other place is looked at."""
    folder = Path(get_upload_folder()).resolve()
    try:
        return Path(path).is_absolute() and _within(Path(path), folder) and Path(path).is_file()
    except (OSError, ValueError):
        return False


def _within(path: Path, folder: Path) -> bool:
    return folder in path.resolve().parents


def _paths(value: Any) -> Iterator[str]:
    """Every file path inside an input."""
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield str(value["path"])
        for each in value.values():
            yield from _paths(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _paths(each)
