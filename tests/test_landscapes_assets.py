"""The weights in the repository: small enough, whole, and as good as they are said to be."""

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from transformers import CLIPTextModel, CLIPTokenizer

from hgc.landscapes.artist import Artist, as_images
from hgc.landscapes.caption import (
    ADJECTIVES,
    INK_ENDS,
    INK_LEADS,
    STYLE_WORDS,
    WEATHER_PHRASES,
    WEATHER_WORDS,
    vocabulary,
)
from hgc.landscapes.eyes import MOOD, MOOD_SIDE, Reader, Segmenter, class_iou
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.landscapes.style import STYLES
from hgc.landscapes.tokenizer import WORD_END, build_tokenizer, known_words, read_prompt
from hgc.landscapes.weather import WEATHERS
from hgc.metrics import psnr
from hgc.training.export import weight_bytes

FOLDER = Path(__file__).parents[1] / "assets" / "models" / "landscapes"
FRESH = range(2000, 2040)  # training starts at 500,000


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionControlNetPipeline:
    loaded = StableDiffusionControlNetPipeline.from_pretrained(FOLDER)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_all_weights_stay_below_52_megabytes_and_each_file_below_ten() -> None:
    sizes = weight_bytes(FOLDER)
    assert sum(sizes.values()) < 52_000_000
    assert max(sizes.values()) < 10_000_000


def test_the_pipeline_is_diffusers_own(pipeline: StableDiffusionControlNetPipeline) -> None:
    assert type(pipeline.controlnet) is ControlNetModel
    assert type(pipeline.text_encoder) is CLIPTextModel
    assert type(pipeline.tokenizer) is CLIPTokenizer
    assert list(pipeline.unet.config.down_block_types) == ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]


def test_the_tokenizer_knows_all_words_but_those_it_was_not_trained_on(
    pipeline: StableDiffusionControlNetPipeline,
) -> None:
    """A word of weather or ink that these weights never saw is told as unknown, instead of drawn from its letters."""
    shipped, now, known = pipeline.tokenizer, build_tokenizer(), known_words(pipeline.tokenizer)
    worded = (WEATHER_PHRASES, WEATHER_WORDS, ADJECTIVES, STYLE_WORDS)
    phrases = [*INK_LEADS, *INK_ENDS, *(phrase for words in worded for group in words.values() for phrase in group)]
    unknown = set(vocabulary()) - known
    assert {"fog", "rain", "snowfall", "ink"} <= unknown <= {word for phrase in phrases for word in phrase.split()}
    assert "it" in known, "a piece of other words, which these weights read whole and never saw alone"
    for word in known:
        assert shipped.tokenize(word) == now.tokenize(word) == [word + WORD_END]
    assert read_prompt(shipped, "winter, " + ", ".join(sorted(unknown))).unknown == tuple(sorted(unknown))
    assert read_prompt(now, "winter in fog, drawn in ink").unknown == ()


def test_the_segmenter_reads_fresh_renders() -> None:
    scenes = [paint(seed) for seed in FRESH]
    segmenter = Segmenter.load(FOLDER / "segmenter")
    made = segmenter.segment(as_images([scene.image for scene in scenes]))
    shares = class_iou(made, torch.from_numpy(np.stack([scene.labels for scene in scenes])).long())
    assert fmean(shares.values()) >= 0.95
    with pytest.raises(ValueError, match=r"\(1, 3, 250, 256\).*\[B, 3, H, W\].* 16"):
        segmenter.segment(torch.zeros(1, 3, 250, 256))


def test_the_reader_tells_time_and_season_of_fresh_renders() -> None:
    scenes = [paint(seed) for seed in range(2000, 2100)]
    read = Reader.load(FOLDER / "reader").read(as_images([scene.image for scene in scenes]))
    times = [seen.time == scene.time for seen, scene in zip(read, scenes, strict=True)]
    seasons = [seen.season == scene.season for seen, scene in zip(read, scenes, strict=True)]
    assert fmean(times + seasons) >= 0.99
    assert (FOLDER / "reader" / "model.safetensors").stat().st_size < 300_000


def test_a_reader_of_another_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"reader.*model\.safetensors"):
        Reader.load(tmp_path)
    Reader().save(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "seasons": ["wet", "dry"]}))
    with pytest.raises(ValueError, match=r"\['wet', 'dry'\].*\['spring'"):
        Reader.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**settings, "weathers": ["hail"]}))
    with pytest.raises(ValueError, match=r"\['hail'\].*\['clear'"):
        Reader.load(tmp_path)


def test_a_reader_reads_what_its_folder_says(tmp_path: Path) -> None:
    """One from before there was weather says nothing about it."""
    Reader((8, 8), MOOD_SIDE, tuple(MOOD)).save(tmp_path / "old")
    Reader((8, 8)).save(tmp_path / "new")
    old, new = Reader.load(tmp_path / "old"), Reader.load(tmp_path / "new")
    picture = as_images([paint(2000).image])
    assert (old.side, new.side) == (64, 128)
    assert (old.read(picture)[0].weather, old.read(picture)[0].style) == (None, None)
    assert new.read(picture)[0].weather in WEATHERS
    assert new.read(picture)[0].style in STYLES


def test_a_picture_survives_the_autoencoder() -> None:
    pictures = [paint(seed).image for seed in FRESH[:6]]
    rebuilt = Artist.load().rebuild(pictures)
    assert fmean(psnr(made, wanted) for made, wanted in zip(rebuilt, pictures, strict=True)) >= 29.0


def test_the_map_is_followed(pipeline: StableDiffusionControlNetPipeline) -> None:
    scene = paint(2001, "day", "summer")
    image = pipeline(
        scene.caption, image=as_images([colour_map(scene.labels)]), num_inference_steps=8, guidance_scale=4.0,
        generator=torch.Generator().manual_seed(0), output_type="pt",
    ).images  # fmt: skip
    made = Segmenter.load(FOLDER / "segmenter").segment(image.float())
    agreement = float((made == torch.from_numpy(scene.labels).long()).float().mean())
    assert agreement >= 0.8
