"""The page's endpoints as tools of the Model Context Protocol: gradio's own server, which answers in Python's notation,
made to answer in JSON."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
import gradio.mcp

GradioTools: Any = gradio.mcp.GradioMCPServer


class JsonTools(GradioTools):
    """Pictures as gradio sends them, everything else as JSON text."""

    def postprocess_output_data(self, data: Any, root_url: str) -> Any:
        """The content of a tool's answer, one entry or two for each output."""
        told = [each if _is_file(each) else json.dumps(each) for each in data]
        return super().postprocess_output_data(told, root_url)


def _is_file(output: Any) -> bool:
    return isinstance(output, dict) and (output.get("meta") or {}).get("_type") == "gradio.FileData"


def json_input(label: str) -> gr.JSON:
    """An input for an object; gradio's own description of it is none that the protocol allows."""
    field = gr.JSON(None, label=label)
    field.api_info = lambda: {"anyOf": [{"type": "object", "additionalProperties": {}}, {"type": "null"}]}
    return field
