"""Pieces of the page as HTML: the row of figures, badges, the stage that shows a run under way. Pure functions."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image

from hgc.charts.quantity import giga, seconds, size

if TYPE_CHECKING:
    from hgc.control.canvas import Pixels
    from hgc.service import Forecast, Progress

SAMPLER_TITLES = {"ddim": "DDIM", "dpmpp": "DPM-Solver++", "unipc": "UniPC", "euler": "Euler"}
ARM_TITLES = {"full": "Full", "cached": "Cached"}


def masthead(kind: str, status: str) -> str:
    """The page's name, what it is for, and how the model stands: loading, ready or failed."""
    return (
        '<header class="masthead"><div class="brand"><h1>HGC Studio</h1>'
        "<p>Draw a landscape and see it made twice: in full, and from a cache that keeps to your drawing.</p></div>"
        f'<span class="status {kind}" role="status"><i></i>{escape(status)}</span></header>'
    )


def figures_row(values: Mapping[str, Any]) -> str:
    """Every number of a comparison in one row, and a button that copies them all."""
    tiles = [
        _tile(
            "MACs",
            f"{giga(values['macs_full'])} → {giga(values['macs_cached'])}",
            f"{values['macs_ratio']:.1%} of full",
            "Multiply-accumulates of convolutions and linear layers: the convention of the HGC paper.",
        ),
        _tile(
            "MACs with attention",
            f"{giga(values['macs_with_attention_full'])} → {giga(values['macs_with_attention_cached'])}",
            f"{values['macs_with_attention_cached'] / values['macs_with_attention_full']:.1%} of full",
            "The same, with the two attention products counted too.",
        ),
        _tile(
            "Time",
            f"{seconds(values['latency_ms_full'])} → {seconds(values['latency_ms_cached'])}",
            f"{values['speedup']:.2f}× as fast",
            "The whole call of the pipeline, text and decoding included, one after the other on this machine.",
        ),
        _tile("Cache memory", size(values["peak_bytes"]), "at its peak", "What the cached arm kept at most."),
        _tile(
            "PSNR",
            "∞" if values["psnr"] is None else f"{values['psnr']:.1f} dB",
            _likeness(values["psnr"]),
            "Peak signal-to-noise ratio of the cached picture against the full one; higher is more alike.",
        ),
        _tile("SSIM", f"{values['ssim']:.3f}", "1 is the same", "Structural similarity of the two pictures."),
        _tile(
            f"Control, {values['control_score_name']}",
            *_scores(values["control_score_full"], values["control_score_cached"]),
            "The control is read back from each picture and compared with your map; 100% is perfect.",
        ),
    ]
    setting = (
        f"{values['device'].upper()} · {values['dtype']} · one picture · {values['steps']} steps · "
        f"{SAMPLER_TITLES.get(values['sampler'], values['sampler'])} · guidance {values['guidance']:g} · "
        f"seed {values['seed']}"
    )
    copied = escape(json.dumps(values, default=str, indent=1), quote=True)
    return (
        f'<div class="figures" role="group" aria-label="Figures of this run">{"".join(tiles)}</div>'
        f'<div class="measured"><span>Measured on {escape(setting)}</span>'
        f'<button type="button" class="quiet" data-copy="{copied}" '
        'onclick="hgc.copy(this.dataset.copy, this)">Copy figures</button></div>'
    )


def _tile(title: str, value: str, note: str, hint: str) -> str:
    return (
        f'<div class="figure" title="{escape(hint, quote=True)}"><div class="name">{escape(title)}</div>'
        f'<div class="value">{escape(value)}</div><div class="note">{escape(note)}</div></div>'
    )


def _scores(full: float | None, cached: float | None) -> tuple[str, str]:
    """Both control scores, 0..1, and a word for them; None where nothing could be scored."""
    if full is None or cached is None:
        return "not scored", "nothing to compare with the map"
    return f"{full:.1%} → {cached:.1%}", "how well each picture follows the map"


def _likeness(psnr: float | None) -> str:
    """A word for what PSNR means to the eye on flat-shaded pictures; None for identical ones."""
    if psnr is None:
        return "the same bits"
    return "hardly visible" if psnr >= 35 else "small differences" if psnr >= 27 else "visible differences"


def badges(values: Mapping[str, Any], notes: Iterable[str] = ()) -> str:
    """What both arms shared, whether anything changed, and what should be known about the prompt."""
    items = [_badge("same", f"Same noise, same map, same scheduler: <code>{escape(values['digest'])}</code>")]
    if values["identical"]:
        items.append(_badge("good", "Bit-identical to the plain pipeline"))
    if values["nothing_reused"]:
        items.append(_badge("warn", "The cache did nothing: no value was reused in any step"))
    items += [_badge("note", escape(note)) for note in notes]
    return f'<div class="badges">{"".join(items)}</div>'


def _badge(kind: str, html: str) -> str:
    return f'<span class="badge {kind}">{html}</span>'


def notes_list(notes: Iterable[str], kind: str = "note") -> str:
    """Short remarks under a control; nothing at all when there are none."""
    items = "".join(f"<li>{escape(note[:1].upper() + note[1:])}</li>" for note in notes)
    return f'<ul class="notes {kind}" role="status">{items}</ul>' if items else ""


def forecast_line(forecast: Forecast) -> str:
    """What the run will cost, before it starts."""
    share = f"{forecast.share:.1%}"
    cost = f"<b>{giga(forecast.macs.paper)}</b> of {giga(forecast.macs_full.paper)} MACs <b>({share})</b>"
    if forecast.latency_ms is None or forecast.latency_ms_full is None:
        clock = "time is known after the first run"
    else:
        whole = seconds(forecast.latency_ms_full)
        clock = f'about <b>{seconds(forecast.latency_ms)}</b><i class="wide"> after {whole} for the full picture</i>'
    meter = f'<div class="meter" aria-hidden="true"><i style="width:{min(forecast.share, 1):.1%}"></i></div>'
    return f'<div class="forecast">{meter}<div>Cached arm: {cost}<br><span>{clock}</span></div></div>'


def forecast_waiting(text: str) -> str:
    """The same place, while there is nothing to forecast with."""
    return (
        '<div class="forecast waiting"><div class="meter" aria-hidden="true"><i></i></div>'
        f"<div>{escape(text)}</div></div>"
    )


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


def stage_running(latest: Mapping[str, Progress], steps: int) -> str:
    """Live previews of both arms, their steps, and how long it will still take."""
    panes = "".join(_pane(arm, latest.get(arm), steps) for arm in ("full", "cached"))
    last = latest.get("cached") or latest.get("full")
    eta = "Starting" if last is None else f"About {math.ceil(last.eta_s)} s left" if last.eta_s else "Finishing"
    return f'<div class="running"><div class="arms">{panes}</div><p class="eta" role="status">{eta}</p></div>'


def _pane(arm: str, news: Progress | None, steps: int) -> str:
    done = news.step if news else 0
    picture = ""
    if news is not None and news.preview is not None:
        picture = f'<img alt="Preview of the {arm} picture" src="{preview_url(news.preview)}">'
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
