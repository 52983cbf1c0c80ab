"""Every method is a frozen dataclass of its settings, whose `plan` makes a Plan of an anatomy; one method a file.

Plain data, no torch.
"""

from hgc.cache.schedules.block_caching import ADDED, LAYERS, BlockCaching, delta_of, thresholds_of
from hgc.cache.schedules.budget import OutOfReach, most_within
from hgc.cache.schedules.decoder_layers import cut_site, decoder_layers, kept_residuals
from hgc.cache.schedules.deepcache import DeepCache, power_around
from hgc.cache.schedules.easycache import EasyCache, threshold_for, warm_steps
from hgc.cache.schedules.encoder_propagation import EncoderPropagation
from hgc.cache.schedules.fewer_steps import FewerSteps
from hgc.cache.schedules.guidance_reuse import GuidanceReuse
from hgc.cache.schedules.hgc import HGC
from hgc.cache.schedules.hgc_budget import under_budget
from hgc.cache.schedules.hgc_measured import Off, hgc_measured
from hgc.cache.schedules.hgc_measured_budget import least_error_within
from hgc.cache.schedules.key_steps import key_steps, key_steps_from
from hgc.cache.schedules.magcache import MagCache
from hgc.cache.schedules.plain import exact, full
from hgc.cache.schedules.rows import constants, keep_between, keep_control
from hgc.cache.schedules.settings import Settings
from hgc.cache.schedules.similarity import Similarity, key_steps_by
from hgc.cache.schedules.spectrum import Spectrum, growing_windows
from hgc.cache.schedules.step_skip import StepSkip
from hgc.cache.schedules.taylorseer import TaylorSeer
from hgc.cache.schedules.tgate import TGate

__all__ = [
    "ADDED",
    "HGC",
    "LAYERS",
    "BlockCaching",
    "DeepCache",
    "EasyCache",
    "EncoderPropagation",
    "FewerSteps",
    "GuidanceReuse",
    "MagCache",
    "Off",
    "OutOfReach",
    "Settings",
    "Similarity",
    "Spectrum",
    "StepSkip",
    "TGate",
    "TaylorSeer",
    "constants",
    "cut_site",
    "decoder_layers",
    "delta_of",
    "exact",
    "full",
    "growing_windows",
    "hgc_measured",
    "keep_between",
    "keep_control",
    "kept_residuals",
    "key_steps",
    "key_steps_by",
    "key_steps_from",
    "least_error_within",
    "most_within",
    "power_around",
    "threshold_for",
    "thresholds_of",
    "under_budget",
    "warm_steps",
]
