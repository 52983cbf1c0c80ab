"""The pictures drawn for a data set: a ledger of them, and the table that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from statistics import fmean, median

import numpy as np

from hgc.judges.pictures import FEATURES, frechet_distance
from hgc.ledger import append_line, lines_of
from hgc.metrics import pooled_miou
from hgc.planning.methods import METHODS
from hgc.whole import write_whole

FULL = "full"


@dataclass(frozen=True)
class DatasetPicture:
    """One picture by one method: how it keeps to its control and words, and the time of the pipeline's whole call.

    `overlaps` are pixels of each class shared and joint, of a label map. What could not be judged is None. `macs_paper`
    are those that were executed: a method may decide while running. None of the plain pipeline, whose are its plan's.
    """

    score: float | None
    overlaps: Mapping[str, tuple[int, int]]
    clip: float | None
    latency_ms: float
    macs_paper: int | None


@dataclass(frozen=True)
class DatasetRow:
    """A method with a sampler over its pictures, times a median.

    `score` is of all pictures' pixels under label maps, else a mean; `lost` the share of full's that is gone, below 0 a
    gain.
    """

    method: str
    sampler: str
    plan: str
    macs_paper: int
    share: float
    latency_ms: float
    score: float | None
    lost: float | None
    fid: float | None
    clip: float | None
    pictures: int

    @property
    def title(self) -> str:
        return METHODS[self.method].title if self.method in METHODS else "Full"


class DatasetLedger:
    """Drawn pictures by what determines them, with their features: one file a shard is written, all are read."""

    def __init__(self, folder: Path, shard: tuple[int, int]) -> None:
        self._features = folder / "features"
        self._path = folder / f"ledger-{shard[0]}-of-{shard[1]}.jsonl"
        self._known: dict[str, DatasetPicture] = {}
        for path in sorted(folder.glob("ledger-*.jsonl")):
            for record in lines_of(path):
                with suppress(ValueError, KeyError, TypeError):
                    self._known[record["key"]] = DatasetPicture(**record["drawn"])

    def known(self, key: str) -> DatasetPicture | None:
        return self._known.get(key)

    def add(self, key: str, drawn: DatasetPicture) -> None:
        append_line(self._path, {"key": key, "drawn": asdict(drawn)})
        self._known[key] = drawn

    def keep_features(self, key: str, features: np.ndarray | None) -> None:
        """Nothing where there are none."""
        if features is not None:
            buffer = BytesIO()
            np.save(buffer, features.astype(np.float32), allow_pickle=False)
            write_whole(self._features / f"{key}.npy", buffer.getvalue())

    def features(self, key: str) -> np.ndarray | None:
        path = self._features / f"{key}.npy"
        return np.load(path, allow_pickle=False) if path.exists() else None


def scored(pictures: Sequence[DatasetPicture]) -> float | None:
    """The control score of a data set: mIoU over all pixels where there are overlaps, else the mean."""
    if any(picture.overlaps for picture in pictures):
        return pooled_miou(picture.overlaps for picture in pictures)
    return _mean([picture.score for picture in pictures])


def executed(pictures: Sequence[DatasetPicture], planned: int) -> int:
    """MACs of a picture, the mean; those `planned` where none were counted."""
    counted = _mean([picture.macs_paper for picture in pictures])
    return planned if counted is None else round(counted)


def lost(score: float | None, full: float | None, higher_is_better: bool) -> float | None:
    """The share of full's score that is gone; of an error the share that has come."""
    if score is None or full is None or not full:
        return None
    return (full - score if higher_is_better else score - full) / full


def fid(real: Sequence[np.ndarray | None], made: Sequence[np.ndarray | None]) -> float | None:
    """Of crowds of at least two, all of whose features are known; else None."""
    pairs = [(a, b) for a, b in zip(real, made, strict=True) if a is not None and b is not None]
    if len(pairs) < max(2, len(made)):
        return None
    return frechet_distance([a for a, _ in pairs], [b for _, b in pairs], FEATURES)


def row(
    method: str,
    sampler: str,
    plan: str,
    macs: tuple[int, float],
    pictures: Sequence[DatasetPicture],
    full: Sequence[DatasetPicture],
    distance: float | None,
    higher_is_better: bool,
) -> DatasetRow:
    """`macs` are a picture's, and their share of full; `full` are the full run's pictures."""
    score = scored(pictures)
    return DatasetRow(
        method=method,
        sampler=sampler,
        plan=plan,
        macs_paper=macs[0],
        share=macs[1],
        latency_ms=median(picture.latency_ms for picture in pictures),
        score=score,
        lost=None if method == FULL else lost(score, scored(full), higher_is_better),
        fid=distance,
        clip=_mean([picture.clip for picture in pictures]),
        pictures=len(pictures),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _unless(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def columns(score_name: str) -> tuple[tuple[str, Callable[[DatasetRow], str]], ...]:
    """Of the printed table."""
    return (
        ("method", lambda row: row.title),
        ("sampler", lambda row: row.sampler),
        ("T MACs, paper", lambda row: f"{row.macs_paper / 1e12:.3g}"),
        ("share", lambda row: f"{row.share:.1%}"),
        ("s", lambda row: f"{row.latency_ms / 1e3:.2f}"),
        (score_name, lambda row: _unless(row.score, ".4f" if (row.score or 0) < 1.5 else ".2f")),
        ("lost", lambda row: _unless(row.lost, ".2%")),
        ("FID", lambda row: _unless(row.fid, ".2f")),
        ("CLIP", lambda row: _unless(row.clip, ".2f")),
        ("pictures", lambda row: str(row.pictures)),
    )
