"""Opens the page at an address: the one that was asked for, or the next that is free, which is then said."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence

import gradio as gr

from hgc.spread.cluster import end_in_order
from hgc.spread.on import COUNT, On, OnRefused
from hgc.ui.doors import HOSTS, Hosts
from hgc.ui.page import launch_options

HOST, PORT, TRIES = "127.0.0.1", 7860, 100


class PortTaken(SystemExit):
    """Another program has the port that was asked for; one sentence says so."""


def runs_at(environment: Mapping[str, str], arguments: Sequence[str]) -> On:
    """Where the page's runs are done; what is none ends the program with a sentence."""
    try:
        return On.of(environment, arguments)
    except OnRefused as error:
        raise SystemExit(str(error)) from error


def serve(page: gr.Blocks, arguments: Sequence[str]) -> None:
    """Serves until it is stopped."""
    asked = _parser().parse_args(arguments)
    host = asked.host or os.environ.get("GRADIO_SERVER_NAME", HOST)
    port = free_port(host, asked.port, os.environ)
    if runs_at(os.environ, arguments).elsewhere:
        end_in_order()
    page.launch(server_name=host, server_port=port, **launch_options(Hosts.of(os.environ, host)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py", description="Opens HGC Studio in the browser.")
    parser.add_argument("--no-history", action="store_true", help="keep nothing of what is run")
    parser.add_argument(
        "--graphs", action="store_true", help="record steps that are alike and replay them (CUDA; not measured)"
    )
    parser.add_argument("--on", default="here", help=f"here, ray or ray://HOST:PORT; {COUNT} says how many workers")
    parser.add_argument("--host", help=f"the name or address to serve at; further names of the page in {HOSTS}")
    parser.add_argument("--port", type=int, help=f"the port to serve at; the first free one from {PORT} by default")
    return parser


def free_port(host: str, asked: int | None, environment: Mapping[str, str]) -> int:
    """The port that was asked for, else the first free one, told where it is not the usual. Raises PortTaken."""
    usual = int(environment.get("GRADIO_SERVER_PORT", PORT))
    for port in [asked] if asked is not None else range(usual, usual + TRIES):
        if not _free(host, port):
            continue
        if port not in (asked, usual):
            print(f"Port {usual} is taken by another program: this page is at port {port}.", file=sys.stderr)
        return port
    where = f"Port {asked} is" if asked is not None else f"Ports {usual} to {usual + TRIES - 1} are"
    raise PortTaken(f"{where} taken by another program: stop that one, or choose another with --port.")


def _free(host: str, port: int) -> bool:
    """Whether a server may listen there. Raises PortTaken for what is no port or no address of this machine."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        raise PortTaken(f"Nothing can be served at {host}, port {port}: give another --host or --port.") from error
    with socket.socket(family, kind) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(address)
        except (OSError, OverflowError):
            return False
    return True
