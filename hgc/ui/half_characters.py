"""Half characters: JSON can name them, and no answer that repeats one can be sent."""

from __future__ import annotations

import json

from starlette.types import Message, Receive


def sendable(receive: Receive) -> Receive:
    """A request without half characters: JSON can name them, and no answer that repeats one can be sent."""

    async def whole() -> Message:
        message = await receive()
        if message["type"] != "http.request":
            return message
        parts = [message.get("body", b"")]
        while message.get("more_body"):
            message = await receive()
            if message["type"] != "http.request":
                return message
            parts.append(message.get("body", b""))
        return {"type": "http.request", "body": whole_characters(b"".join(parts)), "more_body": False}

    return whole


def whole_characters(body: bytes) -> bytes:
    """JSON with a question mark for every half of a character; what is no JSON stays as it is."""
    if b"\\ud" not in body.lower():
        return body
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return body
