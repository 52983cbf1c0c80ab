"""What stands in the pictures' place until they are there, as HTML: empty, loading, under way, stopped, refused."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from hgc.ui.titles import ARM_TITLES

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.service import ArmName, Progress


def stage_empty() -> str:
    return _stage(
        "empty", "Two pictures will appear here", "One computed in full, one from the cache, on the same noise."
    )


def stage_loading() -> str:
    return _stage(
        "loading", "Loading the model", "This happens once, and takes some seconds. Your run starts right after."
    )


def stage_starting() -> str:
    return _stage("loading", "Starting", "Waiting for its turn on the model.")


def stage_stopped() -> str:
    return _stage("stopped", "Stopped", "Nothing of this run was kept. Change what you like and run again.")


def stage_error(message: str) -> str:
    return _stage("error", "This cannot be run", message)


def _stage(kind: str, title: str, text: str) -> str:
    return (
        f'<div class="stage {kind}" role="{"alert" if kind == "error" else "status"}"><span class="mark"></span>'
        f"<h3>{escape(title)}</h3><p>{escape(text)}</p></div>"
    )


def stage_running(latest: Mapping[ArmName, Progress], steps: int, arms: Sequence[ArmName]) -> str:
    """Live previews of all arms, their steps, and how long it will still take."""
    panes = "".join(_pane(arm, latest.get(arm), steps) for arm in arms)
    last = next((latest[arm] for arm in reversed(arms) if arm in latest), None)
    eta = "Starting" if last is None else f"About {math.ceil(last.eta_s)} s left" if last.eta_s else "Finishing"
    return (
        f'<div class="running"><div class="arms arms-{len(arms)}">{panes}</div>'
        f'<p class="eta" role="status">{eta}</p></div>'
    )


def _pane(arm: ArmName, news: Progress | None, steps: int) -> str:
    done, steps = (0, steps) if news is None else (news.step, news.steps)
    picture = ""
    if news is not None and news.preview is not None:
        picture = f'<img alt="Preview of the {ARM_TITLES[arm].lower()} picture" src="{preview_url(news.preview)}">'
    words = "waiting" if not done else "done" if done == steps else f"step {done} of {steps}"
    return (
        f'<figure class="arm {arm}"><div class="frame">{picture}</div>'
        f"<figcaption><b>{ARM_TITLES[arm]}</b><span>{words}</span></figcaption>"
        f'<progress max="{steps}" value="{done}" aria-label="{ARM_TITLES[arm]}: {words}"></progress></figure>'
    )


def preview_url(pixels: Pixels) -> str:
    """A small JPEG inside the page: previews are looked at for a moment and never measured."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"
