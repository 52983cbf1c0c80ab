"""From a Trace to plotly figures. Plain data in, figures out: neither torch nor gradio is needed."""

from hgc.charts.attention import attention_chart
from hgc.charts.document import Chart, as_page, charts_of
from hgc.charts.drift import curves_chart, drift_chart
from hgc.charts.pareto import Point, pareto_chart
from hgc.charts.spending import latency_chart, macs_chart
from hgc.charts.states import Detail, state_chart

__all__ = [
    "Chart",
    "Detail",
    "Point",
    "as_page",
    "attention_chart",
    "charts_of",
    "curves_chart",
    "drift_chart",
    "latency_chart",
    "macs_chart",
    "pareto_chart",
    "state_chart",
]
