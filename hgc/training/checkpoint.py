"""Training state on disk: what a stage goes on from, written whole or not at all and checked when read."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hgc.refused import Refused
from hgc.training.pace import Budget, Pace
from hgc.whole import write_whole

MAGIC = b"HGC-CKP1"
_DIGEST_BYTES = 32


class CheckpointError(Refused, RuntimeError):
    """A checkpoint file that must not be trained on."""


Losses = list[list[float]]  # a row of step and figures each


def save_stage(path: Path, parts: Mapping[str, Any], pace: Pace, losses: Losses) -> None:
    """Writes what a stage goes on from: its networks and optimizer by name, steps and seconds so far, its losses."""
    states = {name: part.state_dict() for name, part in parts.items()}
    save_checkpoint(path, states | {"step": pace.step, "spent_s": pace.spent_s, "losses": losses})


def begin_stage(path: Path, parts: Mapping[str, Any], budget: Budget) -> tuple[Pace, Losses]:
    """The pace and losses of a stage, anew, or with its parts as the checkpoint has them. Raises CheckpointError."""
    if not path.exists():
        return Pace(budget), []
    state = load_checkpoint(path)
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint {path.name} is of another recipe; delete it to begin its stage again"
        ) from error
    return Pace(budget, state["step"], state["spent_s"]), state["losses"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes the state and its SHA-256, the file whole or not at all. Raises PlaceRefused."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    write_whole(path, MAGIC + hashlib.sha256(payload).digest() + payload)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state back. Raises CheckpointError when the file is not one of ours or is not whole."""
    content = path.read_bytes()
    header = len(MAGIC) + _DIGEST_BYTES
    if content[: len(MAGIC)] != MAGIC or len(content) < header:
        raise CheckpointError(
            f"checkpoint {path.name}: {len(content)} bytes and no training state of this program; "
            f"delete it to start its stage again"
        )
    if hashlib.sha256(content[header:]).digest() != content[len(MAGIC) : header]:
        raise CheckpointError(
            f"checkpoint {path.name}: its {len(content) - header} bytes of state do not match their checksum, "
            f"the file is truncated or damaged; delete it to start its stage again, or put a whole copy back"
        )
    state = torch.load(io.BytesIO(content[header:]), map_location="cpu", weights_only=True)
    return dict(state)
