"""The refusal where a model cannot be had."""

from __future__ import annotations

from hgc.refused import Refused


class ModelUnavailable(Refused, RuntimeError):
    """A model that is unknown or cannot be loaded here; one sentence with the remedy."""
