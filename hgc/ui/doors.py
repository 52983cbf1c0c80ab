"""Who may speak to the page, its own addresses only, and what is answered where an upload fails.

No other website reads or starts anything from a browser.

A page at localhost is within reach of every website that its owner visits: a name that its maker points at 127.0.0.1
(DNS rebinding) passes the browser's own checks. Such a request carries the other name as Host, and as Origin.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hgc import limits
from hgc.ui.half_characters import sendable

log = logging.getLogger(__name__)

# Further names of the page, between commas; *.example.org for all beneath one.
HOSTS = "HGC_HOSTS"
LOCAL = ("localhost",)
ON_SPACE, SPACE_HOST = "SPACE_ID", "SPACE_HOST"
SPACES = ("*.hf.space", "huggingface.co")
LENT = "*.gradio.live"
UPLOADS = "/upload"
UPLOAD_BYTES = 64 * 2**20  # which gradio checks, file by file


class Hosts:
    """The names under which a page may be spoken to; an address in numbers is always one, as no website has it."""

    def __init__(self, *names: str) -> None:
        self._names = tuple(name.lower() for name in names if name)

    @classmethod
    def of(cls, environment: Mapping[str, str], host: str | None = None) -> Hosts:
        """localhost, this machine's name, what `host` and gradio's variables say, the Space's, and HGC_HOSTS."""
        names = [*LOCAL, socket.gethostname(), f"{socket.gethostname()}.local", host or ""]
        names += [environment.get("GRADIO_SERVER_NAME", ""), environment.get(SPACE_HOST, "")]
        names += [urlsplit(environment.get("GRADIO_ROOT_PATH", "")).hostname or ""]
        names += SPACES if environment.get(ON_SPACE) else ()
        names += [LENT] if environment.get("GRADIO_SHARE", "").lower() == "true" else []
        return cls(*names, *(name.strip() for name in environment.get(HOSTS, "").split(",")))

    def __contains__(self, netloc: str) -> bool:
        """Whether a Host, or what stands in an Origin after the slashes, is one of them; ports do not matter."""
        try:
            name = (urlsplit(f"//{netloc}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        if not name or netloc.count("@"):
            return False
        return _in_numbers(name) or any(_matches(name, known) for known in self._names)


def _in_numbers(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _matches(name: str, known: str) -> bool:
    return name.endswith(known[1:]) if known.startswith("*.") else name == known


class Doors:
    """A check of Host and Origin before anything of gradio's; a failed upload says so in a sentence."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = refused(self._hosts, Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope.get("path", "").endswith(UPLOADS):
            await self._uploaded(scope, receive, send)
        else:
            await self._app(scope, sendable(bounded(receive)), send)

    async def _uploaded(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noted)
        # A name that is none, a form cut short: gradio lets most of it through as an error of its own.
        except Exception as error:
            if begun:
                raise
            log.info("an upload was refused: %s", error)
            told = "This file cannot be read: give it a plain name with an ending, and upload all of it."
            await PlainTextResponse(told, status_code=400)(scope, receive, send)


def refused(hosts: Hosts, headers: Headers) -> PlainTextResponse | None:
    """The answer to a request for another host or from a page of another one; None where both are of this page."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if not headers.get("content-length", "0").isdigit():
        return PlainTextResponse("This request does not say how long it is.", status_code=400)
    if int(headers.get("content-length", "0")) > limits.BODY_BYTES + UPLOAD_BYTES:
        return PlainTextResponse("This request is too long.", status_code=413)
    if host not in hosts:
        return PlainTextResponse(
            f"This page is not served under this name. If the name is yours, start the page with {HOSTS}=<name>.",
            status_code=421,
        )
    if origin is not None and urlsplit(origin).netloc not in hosts:
        return PlainTextResponse(
            f"Another website may not use this page. To allow it, start this page with {HOSTS}=<its name>.",
            status_code=403,
        )
    return None


def bounded(receive: Receive) -> Receive:
    """The body of a request as it is received, to the limit; one that goes on is taken for broken off."""
    bytes_in = 0

    async def counted() -> Message:
        nonlocal bytes_in
        message = await receive()
        bytes_in += len(message.get("body", b""))
        return message if bytes_in <= limits.BODY_BYTES else {"type": "http.disconnect"}

    return counted
