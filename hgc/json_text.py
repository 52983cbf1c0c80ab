"""JSON that anybody may have written, as plain data."""

from __future__ import annotations

import json
from typing import Any


def parsed(text: str) -> Any:
    """JSON as plain data. Raises ValueError in one sentence, for hostile nesting and endless numbers as well."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"invalid JSON at line {error.lineno}") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error
