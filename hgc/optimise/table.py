"""The error table: how far every site's value at a step lies from any weighted sum of its earlier values.

All of it follows from inner products: with G[i, j] the inner product of a site's values at steps i and j in full runs,
the squared error of the forecast sum w_i f_i of f_b is w'Gw - 2 w'G_b + G_bb, least for w = G^-1 G_b. So one number for
each pair of steps tells the error of every forecast from every past, and the best weights. Pure numbers, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hgc.cache.anatomy import PREDICTION
from hgc.cache.rules import CalibrationRefused
from hgc.calibration.subject import Subject

Numbers = NDArray[np.float64]
OUTPUT = "output"  # the prediction that the solver sees, both branches brought together


@dataclass(frozen=True)
class ErrorTable:
    """Measurements of full runs of `scenes` scenes.

    `products[site]` are the inner products G, [steps, steps]. `gains[depth][i]` is the error of the output for each
    unit of relative error of the feature kept at that depth in step i; `growth[i]` the error of the final latents for
    each unit of error of the output at step i, the solver's coefficients and all later steps' reaction in it.
    """

    subject: Subject
    scenes: int
    products: Mapping[str, Numbers]
    gains: Mapping[str, Numbers]
    growth: Numbers

    def weights(self, site: str, at: int, past: tuple[int, ...], ridge: float) -> tuple[float, ...]:
        """The weights of least squares; a whole prediction's are those best for what the solver sees.

        Raises CalibrationRefused for a site that was not measured.
        """
        return best_weights(self._of(OUTPUT if site == PREDICTION else site), at, past, ridge)

    def error(self, site: str, at: int, past: tuple[int, ...], ridge: float) -> float:
        """Root mean square error of the best forecast, in the site's own units."""
        return forecast_error(self._of(site), at, past, self.weights(site, at, past, ridge))

    def _of(self, site: str) -> Numbers:
        if site not in self.products:
            raise CalibrationRefused(f"site '{site}' is not in the error table of {self.subject}; measure it again")
        return self.products[site]


def best_weights(products: Numbers, at: int, past: tuple[int, ...], ridge: float) -> tuple[float, ...]:
    """Of least squares; `ridge`, a share of the mean square, holds them small."""
    among = products[np.ix_(past, past)]
    held = ridge * np.trace(among) / len(past) * np.eye(len(past))
    return tuple(float(w) for w in np.linalg.solve(among + held, products[list(past), at]))


def forecast_error(products: Numbers, at: int, past: tuple[int, ...], weights: tuple[float, ...]) -> float:
    """Root of the squared error of a weighted sum of the values at `past` for that at `at`."""
    signed = np.array([*weights, -1.0])
    square = signed @ products[np.ix_((*past, at), (*past, at))] @ signed
    return sqrt(max(float(square), 0.0))
