"""How the page's events wait for their turn, and how they answer."""

from typing import Any

# The page's own: no progress bar over what they fill, no place among the endpoints.
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# Everything that runs the model waits in one line.
MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
# One after the other, so that the answer to the last stroke is the one that stays.
LOOK_QUEUE: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 1}
