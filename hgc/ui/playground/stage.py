"""The stage before there are pictures, and the state of a run, as HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from hgc.charts.quantity import duration, giga, seconds

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.history import Record
    from hgc.request import ArmName
    from hgc.results.comparison import Progress
    from hgc.spread.work import Waiting

# Those of a run with two arms.
PLACES: dict[ArmName, str] = {"full": "Full", "cached": "Cached"}


def proportions(arms: int, size: tuple[int, int] | None) -> str:
    """A style: how many pictures stand side by side, and the shape of each, (width, height), square without a size."""
    width, height = size or (1, 1)
    return f"--arms:{arms};--shape:{width}/{height}"


def stage_empty() -> str:
    """A message over the bare places of two pictures, so that nothing moves when they come."""
    places = "".join(_place(arm, title) for arm, title in PLACES.items())
    return (
        f'<div class="panes" style="--arms:{len(PLACES)}">{places}<div class="stage empty" role="status">'
        '<span class="mark"></span><h3>Two pictures will appear here</h3><p>One computed in full, one with the cache, '
        'on the same noise. Press Run: the example on the left is ready.</p></div></div><div class="under"></div>'
    )


def run_told(title: str, text: str = "", kind: str = "waits") -> str:
    """A line over the pictures, which stay: that a run waits, was stopped or refused; nothing without words."""
    if not title:
        return ""
    role = "alert" if kind == "refused" else "status"
    return f'<p class="run-told {kind}" role="{role}"><b>{escape(title)}</b> {escape(text)}</p>'


def waits_told(waiting: Waiting) -> str:
    """The place of a run in the line, and when its turn may be."""
    when = "It starts when a worker is free." if waiting.eta_s is None else f"About {duration(waiting.eta_s)} to go."
    return run_told(f"Place {waiting.place} in the line.", when)


def _place(arm: ArmName, title: str) -> str:
    return f'<figure class="pane arm {arm}"><div class="glass"></div><figcaption><b>{title}</b></figcaption></figure>'


def stage_running(
    latest: Mapping[ArmName, Progress],
    steps: int,
    arms: Mapping[ArmName, str],
    size: tuple[int, int] | None = None,
) -> str:
    """Live previews of all arms, which are given with their titles, their steps, and how long it will still take."""
    panes = "".join(_pane(arm, title, latest.get(arm), steps) for arm, title in arms.items())
    last = next((latest[arm] for arm in reversed(list(arms)) if arm in latest), None)
    eta = "Starting" if last is None else f"About {duration(last.eta_s)} left" if last.eta_s else "Finishing"
    return (
        f'<div class="panes running" style="{proportions(len(arms), size)}">{panes}</div>'
        f'<div class="under"><p class="eta" role="status">{eta}</p></div>'
    )


def _pane(arm: ArmName, title: str, news: Progress | None, steps: int) -> str:
    done, steps = (0, steps) if news is None else (news.step, news.steps)
    picture = ""
    if news is not None and news.preview is not None:
        picture = f'<img alt="Preview: {escape(title)}" src="{preview_url(news.preview)}">'
    words = "waiting" if not done else "done" if done == steps else f"step {done} of {steps}"
    return (
        f'<figure class="pane arm {arm}"><div class="glass">{picture}'
        f'<progress max="{steps}" value="{done}" aria-label="{escape(title)}: {words}"></progress></div>'
        f"<figcaption><b>{escape(title)}</b><span>{words}</span></figcaption></figure>"
    )


def stage_recorded(record: Record) -> str:
    """A run that was recorded, so that there is something to see before a model is loaded."""
    data, alt = record.figures, escape(record.request.prompt, quote=True)
    panes = "".join(
        f'<figure class="pane arm {arm.name}"><div class="glass"><img alt="{alt}" '
        f'src="{preview_url(arm.pixels)}"></div><figcaption><b>{escape(str(data[f"title_{arm.name}"]))}</b>'
        f"<span>{cost_line(arm.latency_ms, data[f'macs_{arm.name}'], data['macs_full'])}</span></figcaption></figure>"
        for arm in record.arms
    )
    return (
        f'<div class="panes recorded" style="{proportions(len(record.arms), record.request.size)}">{panes}</div>'
        '<div class="under">'
        f'<p class="aside"><b>A recording</b>, <span title="{escape(record.made.words, quote=True)}">made earlier on '
        f"{escape(record.made.device.upper())}</span>. Press Run for your own, or "
        '<button type="button" class="quiet" onclick="hgc.press(\'open-recording\')">look closer</button></p></div>'
    )


def cost_line(latency_ms: float, macs: float, macs_full: float) -> str:
    """The cost of a picture, in short."""
    return f"{seconds(latency_ms)} · {giga(macs)} MACs, {macs / macs_full:.0%}"


def preview_url(pixels: Pixels) -> str:
    """A small JPEG inside the page: previews are looked at for a moment and never measured."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"
