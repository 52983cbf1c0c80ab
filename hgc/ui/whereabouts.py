"""Whether a visitor sits at the machine that serves the page.

Only there may paths be named, and what everybody shares be changed.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import gradio as gr

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


def at_this_machine(page: gr.Request) -> bool:
    """Whether who asks sits at the machine that serves: a loopback address on both ends, and nothing in between."""
    if page.client is None or any(name in page.headers for name in FORWARDED):
        return False
    host = urlsplit(f"//{page.headers.get('host', '')}").hostname or ""
    return _loopback(page.client.host) and (host == "localhost" or _loopback(host))


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
