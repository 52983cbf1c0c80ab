"""How alike kept values are to later ones, read off an error table: what HGC by measured similarity goes by."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from hgc.cache.anatomy import UNGUIDED, Anatomy, Kind
from hgc.cache.bases import weights
from hgc.cache.rules import REPEAT, ForecastRule
from hgc.cache.schedules import cut_site, kept_residuals
from hgc.cache.schedules.similarity import Past
from hgc.optimise.predict import OUTPUT, ErrorTable, forecast_error

Key = tuple[str, int, Past, ForecastRule]


@dataclass(frozen=True, eq=False)
class Alike:
    """`guidance` is that of the run, whatever the table was measured with."""

    anatomy: Anatomy
    table: ErrorTable
    guidance: float
    _known: dict[Key, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return self.table.subject.steps

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """None at all, and the cuts whose errors were followed to the output."""
        return (0, *sorted(int(depth) for depth in self.table.gains if depth.isdigit()))

    def change(self, step: int) -> float:
        sites = [cut_site(self.anatomy, count) for count in self.layers if count]
        return fmean(self._relative(site, step, (step - 1,), REPEAT) for site in sites) if step else 0.0

    def kept(self, layers: int, step: int, past: Past, forecast: ForecastRule) -> float:
        sites = [cut_site(self.anatomy, layers), *kept_residuals(self.anatomy, layers)]
        relative = sum(self._relative(site, step, past, forecast) ** 2 for site in sites) ** 0.5
        return float(self.table.gains[str(layers)][step]) * relative

    def skipped(self, step: int, past: Past, forecast: ForecastRule) -> tuple[float, tuple[float, ...]]:
        past, weighed = _weighed(step, past, forecast)
        return forecast_error(self.table.products[OUTPUT], step, past, weighed), weighed

    def unguided(self, step: int, past: Past, forecast: ForecastRule) -> tuple[float, tuple[float, ...]]:
        past, weighed = _weighed(step, past, forecast)
        return (self.guidance - 1) * forecast_error(self.table.products[UNGUIDED], step, past, weighed), weighed

    def attention(self, site: str, step: int, since: int) -> float:
        return self.table.attention[site] * self._relative(site, step, (since,), REPEAT)

    def growth(self, step: int) -> float:
        return float(self.table.growth[step])

    @cached_property
    def attends(self) -> bool:
        """Whether cross-attentions were measured as well."""
        return all(site.name in self.table.attention for site in self.anatomy.of(Kind.CROSS_ATTENTION))

    def _relative(self, site: str, step: int, past: Past, forecast: ForecastRule) -> float:
        """The error of a forecast as a share of the value's size."""
        past, weighed = _weighed(step, past, forecast)
        if (key := (site, step, past, forecast)) not in self._known:
            products = self.table.products[site]
            size = max(float(products[step, step]), 1e-24) ** 0.5
            self._known[key] = forecast_error(products, step, past, weighed) / size
        return self._known[key]


def _weighed(step: int, past: Past, forecast: ForecastRule) -> tuple[Past, tuple[float, ...]]:
    """The past values that count, and their weights; too few of them are repeated."""
    forecast = forecast if len(past) >= forecast.least else REPEAT
    past = past[-forecast.depth :]
    return past, tuple(weights(forecast, past, step))
