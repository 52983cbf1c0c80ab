"""Version, model and weights of a worker: one that would draw other pictures is refused before work starts."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgc.refused import Refused

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

PACKAGE = Path(__file__).parents[1]


class WorkersDiffer(Refused, ValueError):
    """Workers with another version of the program or other weights; the message names both."""


@dataclass(frozen=True)
class Facts:
    """A worker's program, weights and device. `code` and `weights` are twelve hex digits that name the content.

    `where` is its machine and process, or its address.
    """

    where: str
    studio: str
    code: str
    weights: str
    model: str
    device: str
    dtype: str
    processor: str
    torch: str
    threads: int

    @classmethod
    def of(cls, studio: Studio) -> Facts:
        """Those of this process."""
        from hgc.request import Recipe
        from hgc.studio.provenance import made_now

        weights = studio.weights(Recipe(model=studio.model, control=studio.controls[0]))
        made = made_now(studio.device, studio.dtype, weights, None)
        return cls(
            where=f"{socket.gethostname()}, process {os.getpid()}",
            studio=made.studio,
            code=code_digest(),
            weights=made.weights,
            model=studio.model,
            device=made.device.partition(":")[0],
            dtype=made.dtype,
            processor=made.processor,
            torch=made.torch,
            threads=made.threads,
        )

    @classmethod
    def read(cls, data: Any) -> Facts:
        """From plain data, as `as_dict` gives it. Raises WorkersDiffer for what another version wrote."""
        try:
            return cls(**data)
        except TypeError as error:
            raise WorkersDiffer("this page is of another version of HGC Studio: bring both to the same one") from error

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def kind(self) -> str:
        """All on which the last bits of a picture may depend."""
        return f"{self.device} {self.processor}, {self.dtype}, torch {self.torch}"


def check_alike(first: Facts, other: Facts) -> None:
    """Raises WorkersDiffer."""
    for what, mine, theirs in (
        ("HGC Studio", f"{first.studio} ({first.code})", f"{other.studio} ({other.code})"),
        ("the model", first.model, other.model),
        (f"{first.model} in {first.dtype}, weights", first.weights, other.weights),
    ):
        if mine != theirs:
            raise WorkersDiffer(
                f"workers differ: {first.where} has {what} {mine}, {other.where} has {theirs}; "
                "bring both to the same and start again"
            )


def mixed(facts: Iterable[Facts]) -> str:
    """In one sentence, that pictures come from devices of several kinds; empty where they do not."""
    kinds = Counter(each.kind for each in facts)
    if len(kinds) < 2:
        return ""
    listed = "; ".join(f"{count} × {kind}" for kind, count in kinds.items())
    return f"Drawn on devices of several kinds, so the same request may differ in its last bits: {listed}."


def told(facts: Sequence[Facts]) -> str:
    """The workers in a few words."""
    kinds = Counter(f"{each.device} {each.processor}" for each in facts)
    listed = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
    return f"{len(facts)} worker{'s' if len(facts) > 1 else ''} ({listed})"


@cache
def code_digest() -> str:
    """Twelve hex digits that name the program: every source file of the package."""
    content = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        content.update(f"{path.relative_to(PACKAGE).as_posix()} ".encode() + path.read_bytes())
    return content.hexdigest()[:12]
