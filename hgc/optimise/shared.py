"""Searched plans shared through the Hub: sent to a repository of models or data sets, and brought from one.

A repository holds them in `plans/`: a JSON file for each subject, that names model family, control, sampler, steps,
guidance and the digest of what was measured, and the error table beside it. What comes from elsewhere is checked in
full before a byte of it is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import numpy as np
from huggingface_hub import CommitOperationAdd, HfApi, constants, get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.file_download import http_get

from hgc import json_text, limits
from hgc.optimise.predict import ErrorTable
from hgc.optimise.shelf import Shelf
from hgc.refused import NO_ZIP, Refused
from hgc.whole import write_whole

FOLDER = "plans"
DATASETS = "datasets/"
MESSAGE = "Plans of HGC Studio"


class SharingRefused(Refused, RuntimeError):
    """Plans that cannot be sent or brought; one sentence with the remedy."""


@dataclass(frozen=True)
class SharedPlace:
    """A repository of the Hub's: `someone/name` of models, `datasets/someone/name` of data sets."""

    repo: str
    kind: str

    @classmethod
    def named(cls, text: str) -> SharedPlace:
        """Raises SharingRefused."""
        kind = "dataset" if text.startswith(DATASETS) else "model"
        repo = text.removeprefix(DATASETS)
        if repo.count("/") != 1 or not all(repo.split("/")) or len(repo) > limits.NAME_CHARS * 2:
            raise SharingRefused(
                f"{text[:80]!r} is not a repository; write it as someone/name, or datasets/someone/name"
            )
        return cls(repo, kind)

    def __str__(self) -> str:
        return self.repo if self.kind == "model" else f"{DATASETS}{self.repo}"


def push(place: SharedPlace, files: Sequence[Path]) -> tuple[str, ...]:
    """Sends shelves, each with the table beside it; their names. Raises SharingRefused, CalibrationRefused."""
    if not files:
        raise SharingRefused("there are no plans to send; make some with: python -m hgc optimize")
    if get_token() is None:
        raise SharingRefused(f"nobody is logged in who could write to {place}; log in with `hf auth login`")
    for path in files:
        check(Shelf.read(path), path.name)
    parts = [part for path in files for part in (path, path.with_suffix(".npz"))]
    sent = [CommitOperationAdd(f"{FOLDER}/{part.name}", BytesIO(part.read_bytes())) for part in parts]
    with _told(place):
        HfApi(endpoint=constants.ENDPOINT).create_commit(
            place.repo, sent, commit_message=MESSAGE, repo_type=place.kind, num_threads=1
        )
    return tuple(path.stem for path in files)


def pull(place: SharedPlace, folder: Path) -> tuple[Shelf, ...]:
    """Brings all shelves of a repository into a folder, once each is known to be one. Raises SharingRefused."""
    names = offered(place)
    if not names:
        raise SharingRefused(f"{place} holds no plans; they would lie in {FOLDER}/ there")
    shelves = []
    for name in names:
        data = _bytes(place, f"{FOLDER}/{name}.json", limits.PLAN_BYTES)
        table = _bytes(place, f"{FOLDER}/{name}.npz", limits.TABLE_BYTES)
        shelf = read(data, table, f"{place}, {name}")
        # Under a name of our own: theirs decides nothing here.
        path = folder / f"{shelf.table.subject.name}.json"
        write_whole(path.with_suffix(".npz"), table)
        write_whole(path, data)
        shelves.append(shelf)
    return tuple(shelves)


def offered(place: SharedPlace) -> tuple[str, ...]:
    """The names of a repository's shelves. Raises SharingRefused."""
    with _told(place):
        info = HfApi(endpoint=constants.ENDPOINT).repo_info(place.repo, repo_type=place.kind)
    files = {file.rfilename for file in info.siblings or ()}
    plans = [name for name in files if name.startswith(f"{FOLDER}/") and name.endswith(".json")]
    whole = [name for name in plans if name.count("/") == 1 and f"{name.removesuffix('.json')}.npz" in files]
    return tuple(sorted(name.removeprefix(f"{FOLDER}/").removesuffix(".json") for name in whole))[: limits.SHELVES]


def read(data: bytes, table: bytes, where: str) -> Shelf:
    """A shelf from the bytes of its two files. Raises SharingRefused for what is malformed or hostile."""
    try:
        json_text.parsed(data.decode())
        with ZipFile(BytesIO(table)) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > limits.TABLE_UNPACKED_BYTES:
            raise ValueError(f"its table unpacks to {unpacked / 2**20:.0f} MB")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "plans.json"
            path.write_bytes(data)
            path.with_suffix(".npz").write_bytes(table)
            shelf = Shelf.read(path)
        check(shelf, where)
    except SharingRefused:
        raise
    except (Refused, TypeError, KeyError, MemoryError, *NO_ZIP) as error:
        reason = " ".join(str(error).split())[:160]
        raise SharingRefused(f"{where}: these are not plans of HGC Studio ({reason}); nothing was kept") from error
    return shelf


def check(shelf: Shelf, where: str) -> None:
    """Raises SharingRefused where a number, a word or a table is none that a search writes."""
    if fault := next(_faults(shelf), None):
        raise SharingRefused(f"{where}: these are not plans of HGC Studio ({fault}); nothing was kept")


def _faults(shelf: Shelf) -> Iterator[str]:
    subject = shelf.table.subject
    if type(subject.steps) is not int or not 1 <= subject.steps <= limits.STEPS:
        yield f"steps {subject.steps!r:.40}, at most {limits.STEPS} are planned"
        return
    if not _number(subject.guidance, 0, limits.GUIDANCE):
        yield f"guidance {subject.guidance!r:.40}"
    if not 1 <= len(shelf.rungs) <= limits.RUNGS:
        yield f"{len(shelf.rungs)} budgets, 1 to {limits.RUNGS} are read"
    for words, most in ((shelf.weights, limits.NAME_CHARS), (shelf.command, limits.TITLE_CHARS)):
        if len(words) > most or not words.isprintable():
            yield "a word in it is too long or not printable"
    for rung in shelf.rungs:
        if rung.course.steps != subject.steps:
            yield f"a plan of {rung.course.steps} steps for {subject.steps}"
        if not (_number(rung.budget, 0, 1) and _number(rung.share, 0, 1)):
            yield f"a budget of {rung.budget!r:.40}"
        beside = (rung.fidelity_db, rung.error_bar_db, rung.fewer_steps_db, rung.tried)
        if not all(_number(value, -1e6, 1e6) for value in beside):
            yield "a figure that is not a number"
    yield from _table_faults(shelf.table)


def _table_faults(table: ErrorTable) -> Iterator[str]:
    steps = table.subject.steps
    shapes = [
        *((rows, (steps, steps)) for rows in table.products.values()),
        *((row, (steps,)) for row in (*table.gains.values(), table.growth)),
    ]
    for array, shape in shapes:
        if array.shape != shape or not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
            yield f"an error table of {array.dtype} {array.shape}, it needs finite numbers {shape}"
    if any(len(name) > limits.NAME_CHARS * 2 or not name.isprintable() for name in (*table.products, *table.gains)):
        yield "a site with a strange name"


def _number(value: object, least: float, most: float) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and math.isfinite(value) and least <= value <= most  # type: ignore[arg-type,operator]


def _bytes(place: SharedPlace, name: str, most: int) -> bytes:
    """A file's bytes. Raises SharingRefused for one that is larger than plans are."""
    with _told(place):
        url = hf_hub_url(place.repo, name, repo_type=place.kind)
        metadata = get_hf_file_metadata(url)
        if metadata.size is None or metadata.size > most:
            raise SharingRefused(f"{place}: {name} has {metadata.size or 0:,} bytes, plans have {most:,} at most")
        file = BytesIO()
        http_get(metadata.location, file, expected_size=metadata.size)
    return file.getvalue()


@contextmanager
def _told(place: SharedPlace) -> Iterator[None]:
    """Faults on the way, in one sentence with the remedy."""
    try:
        yield
    except SharingRefused:
        raise
    except GatedRepoError as error:
        raise SharingRefused(f"{place} is gated: accept its terms on the Hub, log in with `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise SharingRefused(
            f"there is no repository {place} on the Hub, or it is not yours to see; check its id, make it there, or "
            "log in with `hf auth login`"
        ) from error
    except OfflineModeIsEnabled as error:
        raise SharingRefused(f"{place} cannot be reached: HF_HUB_OFFLINE is set; unset it") from error
    except HfHubHTTPError as error:
        code = error.response.status_code
        remedy = (
            "log in with a token that may write there: `hf auth login`" if code in (401, 403) else "try again later"
        )
        raise SharingRefused(f"the Hub answers {code} for {place}; {remedy}") from error
    except (OSError, ValueError) as error:
        raise SharingRefused(f"{place}: the transfer broke off ({_short(error)}); try again") from error
    except Exception as error:
        if not type(error).__module__.startswith("httpx"):
            raise
        raise SharingRefused(f"{place} cannot be reached ({_short(error)}); connect to the internet") from error


def _short(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:120]
