"""Fetching from a hub on the loopback interface: nothing unasked, progress, Stop, resume, and all that can go wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import loopback
import pytest
import smallhub
from huggingface_hub import constants
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.models import fetching, hub
from hgc.models.fetching import FetchProgress, FetchStopped, fetch, offer, sources_of
from hgc.models.loading import load
from hgc.models.refusals import ModelUnavailable

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def served(small_hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback.Hub]:
    """The small hub's files at a server, and a cache with nothing in it."""
    with loopback.serving(smallhub.listing(small_hub)) as server:
        loopback.pointed_at(server, tmp_path / "cache", monkeypatch)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
        monkeypatch.chdir(tmp_path)
        yield server


def refused(source: str) -> str:
    with pytest.raises(ModelUnavailable) as error:
        fetch([offer(source)])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_model_that_is_not_here_is_refused_with_size_and_command_and_nothing_is_fetched(served: loopback.Hub) -> None:
    with pytest.raises(ModelUnavailable, match=r"about 2\.1 GB, licence .*`hgc models fetch sd15`"):
        load("sd15", device="cpu")
    assert not served.sent


def test_what_is_offered_is_what_is_fetched_and_what_runs(served: loopback.Hub) -> None:
    sources = sources_of("sd15", ["edges"])
    offers = [offer(source) for source in sources]
    assert [entry.repo for entry in offers] == [smallhub.SD15, smallhub.CANNY]
    assert all(entry.left_bytes == entry.size_bytes > 0 and entry.licence == "openrail++" for entry in offers)
    assert not served.sent  # asking is not fetching
    seen: list[FetchProgress] = []
    fetch(offers, tell=seen.append)
    done = [at.done_bytes for at in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1].size_bytes == sum(entry.size_bytes for entry in offers) == sum(served.sent.values())
    assert seen[-1].bytes_per_s > 0
    assert seen[-1].eta_s == 0
    assert list(load("sd15", device="cpu").controls) == ["edges"]
    assert not any(entry.left_bytes for entry in map(offer, sources))


def test_a_stopped_transfer_goes_on_where_it_was(served: loopback.Hub) -> None:
    seen: list[FetchProgress] = []
    entry = offer(smallhub.SD15)
    with pytest.raises(FetchStopped, match="fetch again to go on"):
        fetch([entry], tell=seen.append, stopped=lambda: sum(at.file == UNET for at in seen) > 3)
    assert hub.model_folder(smallhub.SD15) is None
    had = next((Path(constants.HF_HUB_CACHE)).rglob("*.part")).stat().st_size
    assert had > 0
    served.sent.clear()
    fetch([offer(smallhub.SD15)])
    assert served.sent[UNET] == entry.files[UNET] - had
    assert hub.model_folder(smallhub.SD15) is not None
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.part"))


def test_a_transfer_that_breaks_off_is_taken_up_again(served: loopback.Hub) -> None:
    served.broken.add(UNET)
    fetch([offer(smallhub.SD15)])
    # No more is sent twice than the last piece, which had not been written yet.
    assert 0 <= served.sent[UNET] - offer(smallhub.SD15).files[UNET] < constants.DOWNLOAD_CHUNK_SIZE
    assert load("sd15", device="cpu").preset.name == "sd15"


def test_bytes_that_are_not_the_hubs_are_thrown_away(served: loopback.Hub) -> None:
    served.spoilt.add(UNET)
    assert "arrived broken" in refused(smallhub.SD15)
    served.spoilt.clear()
    fetch([offer(smallhub.SD15)])
    load("sd15", device="cpu")


def test_what_goes_wrong_is_said_in_one_sentence(served: loopback.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"huggingface.co/{loopback.GATED}, log in" in refused(loopback.GATED)
    assert "no repository some/where" in refused("some/where")
    assert "give its file as" in refused(smallhub.LIGHTNING)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    assert "the disk is too full" in refused(smallhub.SD15)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in refused(smallhub.SD15)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(smallhub.SD15)
    assert not served.sent


def test_a_full_disk_half_way_keeps_what_is_there(served: loopback.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "http_get", full)
        assert "the disk became full" in refused(smallhub.SD15)
    fetch([offer(smallhub.SD15)])


def test_a_single_file_needs_only_the_familys_configurations(served: loopback.Hub, small_hub: Path) -> None:
    few = offer(smallhub.SD15, configs=True)
    assert few.size_bytes < 20_000
    fetch([few])
    assert hub.model_folder(smallhub.SD15) is None
    assert load(str(small_hub / "files" / "my_model.safetensors"), device="cpu").preset.family == "sd15"


def test_the_shell_asks_before_it_fetches_and_remembers(served: loopback.Hub, small_hub: Path) -> None:
    def run(*words: str, answer: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(app, ["models", *words], input=answer)
        return done.exit_code, done.output

    assert "to fetch, 2.1 GB" in run("list")[1]
    code, said = run("fetch", "sd15", "--control", "edges", answer="n\n")
    assert code == 1
    assert "licence openrail++" in said
    assert not served.sent
    code, said = run("fetch", "sd15", "--control", "edges", answer="y\n")
    assert code == 0
    assert "MB/s" in said
    assert "all is here" in said
    assert "all here" in run("fetch", "sd15")[1]
    assert "here, 1 of 14 controls" in run("list")[1]
    file = str(small_hub / "files" / "my_model.safetensors")
    lora = str(small_hub / "files" / "lora_kohya.safetensors")
    assert run("add", file, "--name", "mine", "--lora", f"{lora}=0.6")[0] == 0
    assert "mine" in run("list")[1]
    assert load("mine", device="cpu").preset.loras == ((lora, 0.6),)
    assert run("remove", "mine")[0] == 0
    assert run("remove", "mine")[0] == 2
    assert run("fetch", "landscapes")[0] == run("fetch", "sd15", "--control", "smell")[0] == 2
