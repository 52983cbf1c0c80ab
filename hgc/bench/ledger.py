"""The pictures a long benchmark has drawn so far, a line a picture, so that a stop loses one call of the pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hgc.cache.plan import Plan
from hgc.request import Request


@dataclass(frozen=True)
class Shown:
    """One picture by one plan. Likeness is to the full run's picture; `psnr_long` to that of the long run, if any.

    `overlaps` are the pixels of each class shared with the label map and in either, empty under edges. `latency_ms` is
    the part of one picture in the pipeline's whole call, in which `together` pictures were drawn, by so many `threads`.
    """

    seed: int
    psnr: float
    ssim: float
    perceptual: float | None
    psnr_long: float | None
    control_score: float
    overlaps: Mapping[str, tuple[int, int]]
    latency_ms: float
    together: int
    threads: int


class Ledger:
    """Pictures by what determines them; `key` names weights, device and the long run."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._known: dict[str, Shown] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
                self._known[record["key"]] = Shown(**record["shown"])
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # the line that was being written when the run was stopped

    def known(self, request: Request, plan: Plan, together: int) -> Shown | None:
        """The picture as drawn with so many in one call."""
        return self._known.get(self._name(request, plan, together))

    def add(self, request: Request, plan: Plan, shown: Shown) -> None:
        name = self._name(request, plan, shown.together)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write("\n" + json.dumps({"key": name, "shown": asdict(shown)}))
        self._known[name] = shown

    def _name(self, request: Request, plan: Plan, together: int) -> str:
        return f"{self._key} {request.picture_digest} {plan.steps} {plan.digest} {together}"
