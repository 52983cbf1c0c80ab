"""The page: a slim header, one tab for each way to look, and how it is served."""

from __future__ import annotations

import logging
import os
from typing import Any

import gradio as gr

from hgc.history import NOWHERE, HistoryPlace, Record, RecordRefused, opening
from hgc.ui.blocks import GuardedBlocks
from hgc.ui.doors import Hosts
from hgc.ui.endpoints import build_endpoints
from hgc.ui.endpoints_requests import build_request_endpoints
from hgc.ui.explore.endpoint import build_sweep_endpoint
from hgc.ui.explore.events import wire_explore
from hgc.ui.explore.tab import build_explore
from hgc.ui.greeting import wire_greeting
from hgc.ui.history.events import wire_history
from hgc.ui.history.tab import build_history
from hgc.ui.how.tab import build_how
from hgc.ui.inside.tab import build_inside
from hgc.ui.loader import Loader
from hgc.ui.model_events import wire_models
from hgc.ui.model_header import build_header
from hgc.ui.playground.restoring import Restoring, wire_recording, wire_restoring
from hgc.ui.playground.session import wire_session
from hgc.ui.playground.sharing import wire_sharing
from hgc.ui.playground.tab import build_playground
from hgc.ui.queueing import let_in
from hgc.ui.runner import Runner
from hgc.ui.schedules.tab import build_schedules
from hgc.ui.sessions import KEPT
from hgc.ui.theme import css, head, theme

log = logging.getLogger(__name__)

TITLE = "HGC Studio"
QUEUE_SIZE = 32
# Files of the page: looked for every hour, kept for a day.
DELETE_CACHE = (3600, 86400)
MAX_UPLOAD = "64mb"


def first_view() -> Record | None:
    """The recording that the page opens with; without one it opens empty, and the log says why."""
    try:
        record = opening()
        for arm in record.arms:
            _ = arm.pixels
    except (OSError, RecordRefused) as error:
        log.warning("the page opens without its recording: %s", error)
        return None
    return record


def build(loader: Loader, place: HistoryPlace = NOWHERE, recording: Record | None = None) -> gr.Blocks:
    """The whole interface over a model that may still be loading; runs are kept at `place`."""
    runner = Runner(loader, place)
    with GuardedBlocks(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=DELETE_CACHE) as page:
        header = build_header(loader)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Playground", id="playground"):
                playground = build_playground(runner, recording)
            with gr.Tab("Inside", id="inside"):
                build_inside(runner, playground.results.run_id, recording is not None)
            with gr.Tab("Explore", id="explore") as tab:
                explore = build_explore()
            with gr.Tab("Schedules", id="schedules") as schedules:
                build_schedules(playground, schedules, tabs)
            with gr.Tab("History", id="history") as history_tab:
                history = build_history(runner)
            with gr.Tab("How it works", id="how"):
                build_how(runner.runs, playground.results.run_id)
        wire_explore(playground, explore, tabs, tab)
        build_endpoints(runner)
        build_sweep_endpoint(runner)
        build_request_endpoints(runner)
        wire_models(playground, header, wire_greeting(wire_session(page, playground), playground, header.masthead))
        restoring = Restoring(playground, tabs)
        wire_restoring(restoring, playground)
        wire_sharing(page, playground, restoring)
        wire_history(history, history_tab, runner, restoring, playground)
        wire_recording(playground, recording)
    if loader.several:
        let_in(page, QUEUE_SIZE)
    page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=4)
    return page


def launch_options(hosts: Hosts | None = None) -> dict[str, Any]:
    """The arguments of `launch`: the look, what may come in, and that the endpoints are tools as well.

    It answers to `hosts` alone, by default those that the environment names.
    """
    return {
        "theme": theme(),
        "css": css(),
        "head": head(),
        "max_file_size": MAX_UPLOAD,
        "allowed_paths": [],
        "state_session_capacity": KEPT,
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "mcp_server": True,
        "hosts": hosts or Hosts.of(os.environ),
    }
