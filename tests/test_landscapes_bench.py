"""The benchmark of the embedded model: every part runs, a stop costs nothing, scores are what they are said to be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTokenizer
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench import card, drawings
from hgc.bench.album import Album, digest, read_png, write_png
from hgc.bench.landscapes import Bench
from hgc.bench.scores import Eyes, colour_distance, edge_scores, variety
from hgc.bench.setup import PARTS, BenchRefused, Setup
from hgc.landscapes import examples
from hgc.landscapes.artist import Artist
from hgc.landscapes.examples import gallery, trials
from hgc.landscapes.eyes import MOOD, MOOD_SIDE, DepthReader, Reader, Segmenter
from hgc.landscapes.hand.drawing import Drawing
from hgc.landscapes.labels import CLASSES, colour_map, label
from hgc.landscapes.relief import depth_map
from hgc.landscapes.scene import depth_of, paint
from hgc.landscapes.tokenizer import build_tokenizer, read_prompt
from hgc.landscapes.weather import WEATHERS
from hgc.training.autoencoder import build_autoencoder
from hgc.training.compute import Compute
from hgc.training.dataset import EVALUATION_SEEDS
from hgc.training.denoiser import Denoiser
from hgc.training.export import export
from hgc.training.loss_chart import HEIGHT, LINE, WIDTH, LossCurve, draw_losses
from hgc.training.sheet import MOST_BYTES, draw_sheet, hang, places
from hgc.training.train import tiny_recipe

FOLDER = Path(__file__).parents[1] / "assets" / "models" / "landscapes"
COMMAND = ["bench", "landscapes", "--scenes", "2", "--hands", "2", "--steps", "2", "--band-scenes", "1", "--json"]


def untrained() -> tuple[Denoiser, AutoencoderTiny, CLIPTokenizer]:
    torch.manual_seed(0)
    recipe, tokenizer = tiny_recipe(), build_tokenizer()
    return Denoiser(recipe.denoiser.sizes, tokenizer), build_autoencoder(recipe.autoencoder), tokenizer


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of untrained tiny networks."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    export(folder, *untrained())
    Segmenter((8, 8, 8)).save(folder / "segmenter")
    Reader((8, 8)).save(folder / "reader")
    DepthReader((8, 8, 8)).save(folder / "depth_reader")
    return folder


def test_every_part_is_measured_and_says_on_what(weights: Path, tmp_path: Path) -> None:
    places = ["--weights", str(weights), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "figures.json")]
    result = CliRunner().invoke(app, [*COMMAND, *places])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "figures.json").read_text())
    assert found.keys() == {"command", "measured_on", *PARTS}
    assert found["command"].startswith(
        "python -m hgc bench landscapes --scenes 2 --hands 2 --first-seed 0 --steps 2 --batch 4"
    )
    assert found["measured_on"]["weights_digest"] == digest(weights)
    assert found["words_alone"].keys() == found["edges"]["words"].keys()
    assert set(found["segmentation"]["iou"]) <= {"mean", *CLASSES}
    assert found["speed"]["one_image_s"] > 0
    assert found["hand_segmentation"]["iou_real"].keys() <= {"mean", *CLASSES}
    assert found["hand_edges"]["followed_real"] > 0.6
    assert found["weather"]["scenes"] == 2
    assert found["weather"].keys() == {"scenes", *WEATHERS, "ink"}
    assert "| snowfall | " in card.as_markdown(found)
    assert found["depth"].keys() == {"rmse", "rmse_real", "ratio", "words"}
    assert found["hand_depth"]["drawings"] == 2
    assert len(card.goals(found)) == 14
    assert "NOT MET" in card.as_text(found)


def test_weights_without_depth_are_measured_without_it(weights: Path, tmp_path: Path) -> None:
    """Left out unasked, and refused by name."""
    old = tmp_path / "old"
    shutil.copytree(weights, old, ignore=shutil.ignore_patterns("controlnet_depth", "depth_reader"))
    assert Setup().parts(old) == tuple(part for part in PARTS if "depth" not in part)
    assert Setup().parts(weights) == PARTS
    result = CliRunner().invoke(app, [*COMMAND, "--weights", str(old), "--only", "depth"])
    assert result.exit_code == 2
    assert f"--only depth: {old} has no controlnet_depth; train it, or leave this part out" in result.stderr
    report = Bench(Setup(only=("size",)), tmp_path, lambda news: None, old).report()
    assert "size" in report
    assert not [goal for goal in card.goals(report) if "depth" in goal.what]
    with pytest.raises(BenchRefused, match="has no depth reader"):
        Eyes.load(old).depth_error([], [])


class Sure(DepthReader):
    """Reads depth off the red of a picture."""

    def read(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0]


def test_depth_is_told_up_to_scale_and_shift() -> None:
    eyes = Eyes(Segmenter((8, 8, 8)), Reader((8, 8)), Sure((8, 8, 8)))
    grey = depth_map(depth_of(3), (256, 256))
    paler = (40 + 0.5 * grey).astype(np.uint8)
    blank = np.zeros_like(grey)
    assert eyes.depth_error([grey, grey], [grey, blank]) == pytest.approx(0, abs=1e-6)
    assert eyes.depth_error([paler], [grey]) < 0.01
    spread = float((grey[:, :, 0] / 255).std())
    assert eyes.depth_error([255 - grey], [grey]) == pytest.approx(spread)
    assert eyes.depth_error([blank], [grey]) == pytest.approx(spread)
    with pytest.raises(BenchRefused, match="no depth map has any relief"):
        eyes.depth_error([grey], [blank])


def test_a_second_run_draws_nothing_again(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(scenes=3, steps=2, batch=2, band_scenes=1, only=("segmentation", "variety"))
    first = Bench(setup, tmp_path, lambda news: None, weights).report()
    kept = sorted(tmp_path.rglob("*.png"))
    assert len(kept) == 3 + 3  # the scenes, and one of them under three other noises

    def never(*args: object) -> None:
        raise AssertionError("drawn twice")

    monkeypatch.setattr(Artist, "draw", never)
    again = Bench(setup, tmp_path, lambda news: None, weights).report()
    assert again["segmentation"] == first["segmentation"]
    assert again["variety"] == first["variety"]
    kept[0].unlink()
    with pytest.raises(AssertionError, match="drawn twice"):
        Bench(setup, tmp_path, lambda news: None, weights).report()


def test_weather_is_left_out_where_no_reader_reads_it(weights: Path, tmp_path: Path) -> None:
    shutil.copytree(weights, tmp_path / "model")
    Reader((8, 8), MOOD_SIDE, tuple(MOOD)).save(tmp_path / "model" / "reader")
    assert "weather" in Setup().parts(weights)
    assert "weather" not in Setup().parts(tmp_path / "model")
    with pytest.raises(BenchRefused, match=r"--only weather: .* has no reader of weather; train it"):
        Setup(only=("weather",)).parts(tmp_path / "model")


def test_the_null_band_holds_what_was_measured(weights: Path, tmp_path: Path) -> None:
    setup = Setup(scenes=2, steps=2, band_scenes=2, more_steps=(3,), null=True, only=("edges",))
    band = Bench(setup, tmp_path, lambda news: None, weights).report()["null_band"]["edges"]
    assert list(band["rows"]) == ["as measured", "noise 1", "noise 2", "noise 3", "3 steps"]
    assert band["score_lowest"] <= band["rows"]["as measured"]["score"] <= band["score_highest"]
    assert band["rows"]["3 steps"]["psnr_db_to_measured"] > band["rows"]["noise 1"]["psnr_db_to_measured"]


def test_noise_belongs_to_the_scene_and_not_to_its_place_in_the_batch(weights: Path, tmp_path: Path) -> None:
    alone = Setup(scenes=1, first_seed=1, steps=2, only=("segmentation",))
    together = Setup(scenes=2, first_seed=0, steps=2, only=("segmentation",))
    for name, setup in (("alone", alone), ("together", together)):
        Bench(setup, tmp_path / name, lambda news: None, weights).report()
    made = [read_png(next((tmp_path / name).rglob("1-*.png"))).astype(int) for name in ("alone", "together")]
    assert np.abs(made[0] - made[1]).max() <= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "taste"], "--only taste: no such part; parts are size, speed"),
        (["--scenes", "0"], "--scenes 0: needs at least 1"),
        (["--dtype", "int4"], "unknown dtype 'int4'"),
        (["--weights", "nowhere"], "weights are not complete"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "landscapes", "--work", str(tmp_path), *options])
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_perfect_pictures_get_perfect_scores() -> None:
    scenes = [paint(seed) for seed in (2000, 2001)]
    pictures = [scene.image for scene in scenes]
    assert edge_scores(pictures, [scene.edges for scene in scenes]) == 1.0
    words = Eyes.load(FOLDER).words(pictures, ["a winter scene at night", "water"])
    assert (words["times_named"], words["seasons_named"]) == (1, 1)
    assert words["both"] == np.mean([scenes[0].time == "night", scenes[0].season == "winter"])
    named = [f"{scene.season} {scene.time}" for scene in scenes]
    assert Eyes.load(FOLDER).words(pictures, named)["both"] == 1.0


def test_a_picture_that_shows_the_lines_follows_them() -> None:
    """The painter's own pictures, however thick the pen; an empty one follows nothing."""
    hand = [Drawing.of(number) for number in range(6)]
    scores = drawings.line_scores([drawing.scene.image for drawing in hand], hand)
    assert scores["f1"] == scores["f1_real"]
    assert scores["followed"] > 0.85
    blank = np.full((256, 256, 3), 200, np.uint8)
    assert drawings.line_scores([blank] * len(hand), hand)["f1"] == 0


def test_variety_looks_at_each_region_alone() -> None:
    labels = np.full((64, 64), label("sky"), np.uint8)
    labels[32:] = label("grass")
    first = np.full((64, 64, 3), 90, np.uint8)
    second = first.copy()
    second[40:] = 200
    found = variety([[first, second]], [labels])
    assert found["sky"]["visible"] == 0.0
    assert 0.7 < found["ground"]["visible"] < 0.9
    assert colour_distance(first, second)[63, 0] == pytest.approx(100 * (0.8031 - 0.3843), abs=2)


def test_an_interrupted_album_goes_on_where_it_was(tmp_path: Path) -> None:
    made: list[int] = []

    def make(numbers: object) -> list[np.ndarray]:
        made.extend(numbers)  # type: ignore[call-overload]
        if len(made) == 4:
            raise KeyboardInterrupt
        return [np.full((8, 8, 3), number, np.uint8) for number in numbers]  # type: ignore[attr-defined]

    album, asked = Album(tmp_path, 2, lambda news: None), [(str(i), i) for i in range(5)]
    with pytest.raises(KeyboardInterrupt):
        album.pictures("all", asked, make)
    pictures = album.pictures("all", asked, make)
    assert made == [0, 1, 2, 3, 2, 3, 4]
    assert [int(picture[0, 0, 0]) for picture in pictures] == [0, 1, 2, 3, 4]
    (tmp_path / "all" / "3.png").write_bytes(b"half a picture")
    with pytest.raises(ValueError, match=r"3\.png"):
        album.pictures("all", asked, make)


def test_drawings_are_many_small_and_in_the_models_words() -> None:
    tokenizer, drawn = build_tokenizer(), examples.drawings()
    assert len(trials()) >= 20
    assert len({example.file for example in drawn}) == len(drawn)
    assert {example.path.name for example in drawn} == {path.name for path in gallery()[0].path.parent.glob("*.png")}
    for example in drawn:
        assert example.path.stat().st_size < 50_000
        assert not read_prompt(tokenizer, example.prompt).unknown, example.title


def test_drawings_come_out_beside_their_pictures(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = tuple(example for example in trials() if example.file in ("bay.png", "spiral.png", "blank-sheet.png"))
    monkeypatch.setattr(drawings.examples, "drawings", lambda: (*gallery()[:1], *some))
    sheet = tmp_path / "sheet.png"
    options = ["--steps", "1", "--only", "size", "--weights", str(weights), "--work", str(tmp_path / "work")]
    result = CliRunner().invoke(app, ["bench", "landscapes", "--drawings", str(sheet), "--json", *options])
    assert result.exit_code == 0, result.output
    scores = {row["file"]: row for row in json.loads(result.stdout)["drawings"]}
    assert len(scores) == 4
    assert {"right", "miou", "words"} <= scores["bay.png"].keys()
    assert "followed" in scores["spiral.png"]
    means = json.loads(result.stdout)["drawings_mean"]
    assert means["edges"]["f1"] == scores["spiral.png"]["f1"]
    assert means["segmentation"]["miou"] == pytest.approx(np.mean([s["miou"] for s in scores.values() if "miou" in s]))
    assert "followed" not in scores["blank-sheet.png"]  # there is nothing to follow
    assert read_png(sheet).shape[1] > 4 * 2 * drawings.SIDE


def test_the_wall_is_always_the_same_and_small_enough(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = places()
    assert len(hung) == 24
    assert [place.control for place in hung].count("edges") == 8
    assert [place.sitting for place in hung if "winter" in place.sitting.prompt]
    grain = np.random.default_rng(0).integers(0, 60, (256, 256, 3), np.uint8)
    monkeypatch.setattr(Artist, "draw", lambda self, control, sittings, steps: [s.map // 2 + grain for s in sittings])
    size = hang(Artist.load(weights), tmp_path / "wall.png", 1, lambda news: None)
    assert (tmp_path / "wall.png").stat().st_size == size <= MOST_BYTES
    height, width, _ = read_png(tmp_path / "wall.png").shape
    assert 1.45 < width / height < 1.55


def test_the_sheet_of_a_training_shows_scenes_maps_and_three_ways_to_draw(tmp_path: Path) -> None:
    draw_sheet(tmp_path / "sheet.png", *untrained(), Compute("cpu", bf16=False), steps=1)
    sheet = read_png(tmp_path / "sheet.png")
    assert sheet.shape == (6 * 256, 4 * 256, 3)
    scene = paint(EVALUATION_SEEDS + 900)
    assert np.array_equal(sheet[:256, :256], scene.image)
    assert np.array_equal(sheet[256:512, :256], colour_map(scene.labels))
    assert not np.array_equal(sheet[512:768, :256], sheet[768:1024, :256])


def test_losses_are_drawn_as_they_fell(tmp_path: Path) -> None:
    fallen = [[20 * n, 2.0 * 0.97**n] for n in range(1, 120)]
    stages = {"denoiser": {"seconds": 60.0, "losses": fallen}, "reader": {"seconds": 1.0, "losses": []}}
    (tmp_path / "training.json").write_text(json.dumps({"stages": stages}))
    chart = np.array(draw_losses(tmp_path / "training.json"), int)
    assert chart.shape == (HEIGHT, 2 * WIDTH, 3)
    rows, columns = np.nonzero(np.abs(chart - LINE).sum(axis=2) < 60)
    assert columns.max() < WIDTH  # the second stage has no curve
    thirds = [rows[np.abs(columns - x) < 3].mean() for x in np.linspace(columns.min() + 9, columns.max() - 9, 3)]
    assert thirds[0] < thirds[1] < thirds[2]
    assert thirds[1] == pytest.approx((thirds[0] + thirds[2]) / 2, abs=3)  # straight: the axis is logarithmic
    with pytest.raises(ValueError, match=r"reader: a loss of 0\.0"):
        LossCurve("reader", [1, 2], [0.5, 0.0])


def test_the_card_says_what_was_measured_on_these_weights() -> None:
    report = card.read_report(FOLDER / "figures.json")
    assert report["measured_on"]["weights_digest"] == digest(FOLDER)
    text = (FOLDER / "README.md").read_text()
    assert f"{card.BEGIN}\n{card.as_markdown(report)}\n{card.END}" in text


def test_a_card_without_its_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Landscapes\n")
    with pytest.raises(BenchRefused, match=r"README\.md.*<!-- figures"):
        card.fill(tmp_path / "README.md", {})
    with pytest.raises(BenchRefused, match=r"measure"):
        card.read_report(tmp_path / "figures.json")


def test_the_digest_is_that_of_the_networks_that_draw(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "reader").mkdir()
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"1")
    first = digest(tmp_path)
    (tmp_path / "reader" / "a.safetensors").write_bytes(b"1")
    write_png(tmp_path / "unet" / "picture.png", np.zeros((4, 4, 3), np.uint8))
    assert digest(tmp_path) == first
    assert digest(tmp_path, "float32") != first
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"2")
    assert digest(tmp_path) != first
