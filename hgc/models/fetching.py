"""Models from the Hugging Face Hub into its cache here: what would be fetched, and fetching it once somebody says so.

A transfer that was stopped or broke off goes on where it was: huggingface_hub 2 throws away what a file had, so parts
are kept here, beside the cache's blobs, and put in their place when they are whole and their digest is right.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.file_download import http_get, repo_folder_name

from hgc.models import hub
from hgc.models.presets import presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered

SMALL = (".json", ".txt")  # configurations and tokenizers
PART = ".part"
SPARE_BYTES = 50_000_000  # of the disk, that stay free
SHA256_HEX = 64


class FetchStopped(ModelUnavailable):
    """A transfer that somebody stopped."""


@dataclass(frozen=True)
class Offer:
    """An offer to fetch from one repository: its files with their bytes, and how many of these are here."""

    repo: str
    licence: str
    files: Mapping[str, int]
    here_bytes: int

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())

    @property
    def left_bytes(self) -> int:
        return self.size_bytes - self.here_bytes

    def __str__(self) -> str:
        there = "all here" if not self.left_bytes else f"{self.left_bytes / 1e6:,.1f} MB to fetch"
        size = f"{self.size_bytes / 1e6:,.1f} MB in {len(self.files)} files"
        return f"{self.repo}: {size}, {there}, licence {self.licence}"


@dataclass(frozen=True)
class FetchProgress:
    """Where a transfer is, over all that it fetches."""

    file: str
    done_bytes: int
    size_bytes: int
    bytes_per_s: float

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at this speed."""
        return (self.size_bytes - self.done_bytes) / self.bytes_per_s if self.bytes_per_s else None


Tell = Callable[[FetchProgress], None]
Stopped = Callable[[], bool]


def sources_of(what: str, controls: Sequence[str] = ()) -> tuple[str, ...]:
    """The ids that a model's name stands for, with those of its LoRAs and of the named controls. An id is its own.

    Raises ModelUnavailable for an unknown name or control.
    """
    known = {**presets(), **remembered()}
    if what not in known:
        if "/" not in what:
            raise ModelUnavailable(f"unknown model '{what[:80]}'; known are {', '.join(known)}, and ids of the Hub")
        return (what,)
    preset = known[what]
    if preset.name == "landscapes":
        raise ModelUnavailable(f"{preset.title} is part of this program; there is nothing to fetch")
    if strange := [name for name in controls if name not in preset.controls]:
        raise ModelUnavailable(f"{preset.title} has no control '{strange[0]}'; it has {', '.join(preset.controls)}")
    wanted = (preset.source, *(source for source, _ in preset.loras), *(preset.controls[name] for name in controls))
    ids = tuple(dict.fromkeys(source for source in wanted if not Path(source).is_absolute()))
    if not ids:
        raise ModelUnavailable(f"{preset.title} is a file or folder on this machine; name a --control to fetch for it")
    return ids


def offer(source: str, *, configs: bool = False) -> Offer:
    """Asks the Hub what a model, a ControlNet or (`id:file`) a single file is made of; fetches nothing of it.

    With `configs` only what a single file of the family lacks: configurations and tokenizers. Raises ModelUnavailable.
    """
    repo, _, name = source.partition(":")
    with _told(repo):
        info = HfApi(endpoint=constants.ENDPOINT).model_info(repo, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = [name] if name else list(hub.needed(list(sizes)))
    if configs:
        names = [own for own in names if own.endswith(SMALL) and ".safetensors.index" not in own]
    if not names or any(own not in sizes for own in names):
        raise ModelUnavailable(f"{source}: there is no model in diffusers' format; give its file as `{repo}:FILE`")
    if not configs and not any(own.endswith(".safetensors") for own in names):
        raise ModelUnavailable(f"{source} has its weights as pickles only, which are not opened; choose another")
    licence = getattr(info.card_data, "license", None) or "not told"
    here = sum(sizes[own] for own in names if _is_here(repo, own))
    return Offer(repo, str(licence), {own: sizes[own] for own in names}, here)


def fetch(offers: Sequence[Offer], *, tell: Tell = lambda _: None, stopped: Stopped = lambda: False) -> None:
    """Fetches what is not here yet. Raises FetchStopped, and ModelUnavailable where it cannot go on."""
    left = sum(entry.left_bytes for entry in offers)
    folder = hub.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if left + SPARE_BYTES > free:
        raise ModelUnavailable(
            f"the disk is too full: {left / 1e9:.1f} GB are to be fetched, {free / 1e9:.1f} GB are free in {folder}; "
            "make room, or set HF_HOME to another disk"
        )
    bar = _Bar(left, tell, stopped)
    for entry in offers:
        for name in entry.files:
            if not _is_here(entry.repo, name):
                bar.file = name
                with _told(entry.repo):
                    _fetch_file(entry.repo, name, bar)


def _is_here(repo: str, name: str) -> bool:
    return hub.snapshot(repo, name) is not None


class _Bar:
    """Stands in for a bar of tqdm, which http_get moves on."""

    def __init__(self, size_bytes: int, tell: Tell, stopped: Stopped) -> None:
        self._size, self._tell, self._stopped = size_bytes, tell, stopped
        self._done, self._fresh, self._begun = 0, 0, monotonic()
        self.file = ""

    def skip(self, count: int) -> None:
        """Bytes that were there already."""
        self._done += count

    def update(self, count: int) -> None:
        if self._stopped():
            raise FetchStopped("stopped; fetch again to go on where it was")
        self._done, self._fresh = self._done + count, self._fresh + count
        spent = monotonic() - self._begun
        self._tell(FetchProgress(self.file, self._done, self._size, self._fresh / spent if spent else 0.0))


def _fetch_file(repo: str, name: str, bar: _Bar) -> None:
    """One file, from where an earlier transfer of it ended."""
    found = get_hf_file_metadata(hf_hub_url(repo, name))
    if found.etag is None or found.commit_hash is None:
        raise ModelUnavailable(f"the answer for {repo} is not the Hub's; look at HF_ENDPOINT and at proxies")
    root = hub.cache_folder() / repo_folder_name(repo_id=repo, repo_type="model")
    blob = root / "blobs" / found.etag
    part = blob.with_name(blob.name + PART)
    blob.parent.mkdir(parents=True, exist_ok=True)
    if not blob.exists():
        with part.open("ab") as file:
            bar.skip(file.tell())
            settings: Any = {"_tqdm_bar": bar, "expected_size": found.size, "resume_size": file.tell()}
            http_get(found.location, file, **settings)
        if len(found.etag) == SHA256_HEX and _digest(part) != found.etag:
            part.unlink()
            raise ModelUnavailable(f"{repo}: {name} arrived broken, its digest is not the Hub's; fetch it again")
        part.replace(blob)
    place = root / "snapshots" / found.commit_hash / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to(os.path.relpath(blob, place.parent))
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(found.commit_hash)


def _digest(path: Path) -> str:
    found = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Faults on the way, in one sentence with the remedy."""
    try:
        yield
    except ModelUnavailable:
        raise
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{repo} is gated: accept its licence at huggingface.co/{repo}, log in with `hf auth login`, fetch again"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"there is no repository {repo} on the Hub, or it is private; check its id, or log in with `hf auth login`"
        ) from error
    except OfflineModeIsEnabled as error:
        raise ModelUnavailable(f"{repo} cannot be fetched: HF_HUB_OFFLINE is set; unset it") from error
    except HfHubHTTPError as error:
        code = error.response.status_code
        raise ModelUnavailable(f"the Hub answers {code} to what is asked of {repo}; try again later") from error
    except OSError as error:
        if error.errno == ENOSPC:
            raise ModelUnavailable(f"the disk became full while {repo} was fetched; make room and go on") from error
        raise ModelUnavailable(f"the transfer of {repo} broke off ({_short(error)}); fetch again to go on") from error
    except Exception as error:
        if not type(error).__module__.startswith("httpx"):
            raise
        raise ModelUnavailable(
            f"{repo} cannot be reached ({_short(error)}); connect to the internet and fetch again to go on"
        ) from error


def _short(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:120]
