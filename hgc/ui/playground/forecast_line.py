"""What a run will cost, beside the Run button, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hgc.charts.quantity import giga, seconds

if TYPE_CHECKING:
    from hgc.results.forecast import Forecast


def forecast_line(forecast: Forecast, title: str = "Cached arm", rival: str = "") -> str:
    """The cost of the run before it starts; `title` names the second picture, `rival` tells of the third."""
    share = f"{forecast.share:.1%}"
    cost = f"<b>{giga(forecast.macs.paper)}</b> of {giga(forecast.macs_full.paper)} MACs <b>({share})</b>"
    if forecast.latency_ms is None or forecast.latency_ms_full is None:
        clock = "time is known after the first run"
    else:
        whole = seconds(forecast.latency_ms_full)
        clock = f'about <b>{seconds(forecast.latency_ms)}</b><i class="wide"> after {whole} for the full picture</i>'
    meter = f'<div class="meter" aria-hidden="true"><i style="width:{min(forecast.share, 1):.1%}"></i></div>'
    third = f"<br><span>{escape(rival)}</span>" if rival else ""
    return f'<div class="forecast">{meter}<div>{escape(title)}: {cost}<br><span>{clock}</span>{third}</div></div>'


def forecast_waiting(text: str) -> str:
    """The same place, while there is nothing to forecast with."""
    return (
        '<div class="forecast waiting"><div class="meter" aria-hidden="true"><i></i></div>'
        f"<div>{escape(text)}</div></div>"
    )
