"""Every method is a function of the anatomy that returns a Plan; one method a file. Plain data, no torch."""

from hgc.cache.schedules.block_caching import ADDED, LAYERS, block_caching, delta_of
from hgc.cache.schedules.budget import Density, Off, OutOfReach, ladder, most_within, under_budget
from hgc.cache.schedules.deepcache import deepcache, power_around
from hgc.cache.schedules.easycache import WARM_SHARE, easycache, threshold_for
from hgc.cache.schedules.encoder_propagation import encoder_propagation
from hgc.cache.schedules.fewer_steps import fewer_steps
from hgc.cache.schedules.guidance_reuse import guidance_reuse
from hgc.cache.schedules.hgc import coarse_rows, fine_rows, hgc, key_steps_from, late_gate
from hgc.cache.schedules.hgc_measured import Densities, hgc_measured
from hgc.cache.schedules.hgc_search import densities_within
from hgc.cache.schedules.magcache import magcache, steps_by_magnitude
from hgc.cache.schedules.plain import exact, full
from hgc.cache.schedules.rows import (
    constants,
    cut_site,
    decoder_layers,
    keep_between,
    keep_control,
    kept_residuals,
    key_steps,
)
from hgc.cache.schedules.similarity import Similarity, key_steps_by
from hgc.cache.schedules.spectrum import growing_windows, spectrum
from hgc.cache.schedules.step_skip import step_skip
from hgc.cache.schedules.taylorseer import taylorseer
from hgc.cache.schedules.tgate import tgate

__all__ = [
    "ADDED",
    "LAYERS",
    "WARM_SHARE",
    "Densities",
    "Density",
    "Off",
    "OutOfReach",
    "Similarity",
    "block_caching",
    "coarse_rows",
    "constants",
    "cut_site",
    "decoder_layers",
    "deepcache",
    "delta_of",
    "densities_within",
    "easycache",
    "encoder_propagation",
    "exact",
    "fewer_steps",
    "fine_rows",
    "full",
    "growing_windows",
    "guidance_reuse",
    "hgc",
    "hgc_measured",
    "keep_between",
    "keep_control",
    "kept_residuals",
    "key_steps",
    "key_steps_by",
    "key_steps_from",
    "ladder",
    "late_gate",
    "magcache",
    "most_within",
    "power_around",
    "spectrum",
    "step_skip",
    "steps_by_magnitude",
    "taylorseer",
    "tgate",
    "threshold_for",
    "under_budget",
]
