"""How much memory a picture takes: as measured without weights, as a real forward allocates, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import layouts
import pytest
import smallhub
import tiny
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache.anatomy.twin import twin
from hgc.models import memory
from hgc.models.loading import load
from hgc.models.memory import Fused, Memory, PeakBytes, memory_of
from hgc.models.named import preset_of

CPU = torch.device("cpu")


@pytest.mark.parametrize("shapes", tiny.SMALL.values(), ids=tiny.SMALL)
def test_what_is_measured_without_weights_is_what_a_forward_allocates(shapes: Mapping[str, Any]) -> None:
    unet = tiny.unet(**shapes)
    peaks = []
    for net, device in ((unet, "cpu"), (twin(unet), "meta")):
        added = {
            "text_embeds": torch.zeros(1, tiny.POOLED_WIDTH, device=device),
            "time_ids": torch.zeros(1, 6, device=device),
        }
        text = torch.zeros(1, 16, unet.config.cross_attention_dim, device=device)
        sample, time = torch.zeros(1, 4, 32, 32, device=device), torch.zeros((), device=device)
        with torch.no_grad(), Fused(), PeakBytes() as on_its_way:
            net(sample, time, text, added_cond_kwargs=added)
        peaks.append(on_its_way.peak)
        with torch.no_grad(), PeakBytes() as plainly:
            net(sample, time, text, added_cond_kwargs=added)
        assert plainly.peak == on_its_way.peak or device == "meta"  # the CPU's own kernel makes no map either
    assert peaks[0] == peaks[1] > sample.nbytes


@pytest.mark.usefixtures("on_small_hub")
def test_weights_are_those_of_all_parts_and_half_precision_halves_everything() -> None:
    loaded = load("sdxl", device="cpu")
    parts = [loaded.components[name] for name in ("unet", "vae", "text_encoder", "text_encoder_2")]
    numbers = sum(p.numel() for net in (*parts, loaded.controls["edges"]) for p in net.parameters())
    whole = memory_of(loaded.preset, 128, "edges", CPU, torch.float32)
    half = memory_of(loaded.preset, 128, "edges", CPU, torch.float16)
    assert whole.weights_bytes == 4 * numbers == 2 * half.weights_bytes
    assert whole.denoiser_bytes == pytest.approx(2 * half.denoiser_bytes, abs=2)
    assert memory_of(loaded.preset, 256, "edges", CPU, torch.float32).decoder_bytes > 3 * whole.decoder_bytes
    assert whole.free_bytes is None or whole.free_bytes > 1e6


def test_a_model_for_inpainting_decodes_what_any_other_does(on_small_hub: Path) -> None:
    """Its UNet reads nine channels, its VAE four."""
    pipe = smallhub.pipeline("sd")
    pipe.unet = tiny.unet(**{**tiny.SMALL["sd"], "in_channels": 9})
    save_file(layouts.checkpoint(pipe, "sd"), "paints.safetensors")
    plain, paints = (
        memory_of(preset_of(str(file)), 128, None, CPU, torch.float32)
        for file in (on_small_hub / "my_model.safetensors", Path("paints.safetensors"))
    )
    assert paints.decoder_bytes == plain.decoder_bytes
    assert paints.weights_bytes > plain.weights_bytes


def test_what_would_help_is_said_where_it_does_not_fit() -> None:
    weights = (1_000_000_000, 5_500_000_000, 500_000_000)
    big = Memory(*weights, 1_000_000_000, 6_000_000_000, 9_000_000_000, half=False)
    assert not big.fits
    said = " ".join(big.advice())
    assert "about 13.0 GB, free are 9.0 GB" in said
    assert "half precision it takes about 6.5 GB" in said
    assert "in tiles it takes about 8.0 GB" in said
    assert "in turns" not in said
    assert replace(big, tiled=True).advice() == ()
    apart = replace(big, apart=True)
    assert "in turns it takes about 6.5 GB there and 7.0 GB of main memory: load(..., offload=True)" in " ".join(
        apart.advice()
    )
    assert replace(apart, offloaded=True).total_bytes == 6_500_000_000
    assert replace(apart, offloaded=True).advice() == ()
    assert replace(big, free_bytes=None).fits


@pytest.mark.usefixtures("on_small_hub")
def test_the_shell_tells_it_and_a_tiled_model_decodes_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    done = CliRunner().invoke(
        app, ["models", "memory", "sd15", "--control", "edges", "--size", "128", "--device", "cpu"]
    )
    assert done.exit_code == 0
    assert "together" in done.stdout
    assert "--dtype float16" in done.stdout
    assert CliRunner().invoke(app, ["models", "memory", "sd15", "--control", "depth"]).exit_code == 2
    loaded = load("sd15", device="cpu", tiled=True)
    assert loaded.components["vae"].use_tiling
    latents = torch.zeros(1, 4, 16, 16)
    assert loaded.components["vae"].decode(latents).sample.shape == (1, 3, 128, 128)
    assert preset_of("sd15") == loaded.preset
