"""The configurations of a model in diffusers' format: JSON objects that anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hgc.models.refusals import ModelUnavailable


def read_config(path: Path) -> dict[str, Any]:
    """Raises ModelUnavailable for what cannot be read, or holds something else."""
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(f"{_shown(path)} cannot be read as JSON; fetch or copy it again") from error
    if not isinstance(config, dict):
        raise ModelUnavailable(
            f"{_shown(path)} holds a {type(config).__name__} and no settings; fetch or copy it again"
        )
    return config


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
