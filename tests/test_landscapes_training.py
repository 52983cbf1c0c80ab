"""Tiny trainings, end to end: what comes out loads in diffusers, a stop changes nothing, a damaged state is refused."""

import json
import math
import shutil
import time
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.landscapes import tokenizer
from hgc.landscapes.caption import vocabulary
from hgc.landscapes.eyes import MOOD, MOOD_SIDE, DepthReader, Reader
from hgc.landscapes.labels import CLASSES
from hgc.landscapes.relief import near_of_map
from hgc.landscapes.scene import depth_of
from hgc.landscapes.tokenizer import build_tokenizer
from hgc.training import dataset, eyes, optim
from hgc.training.autoencoder import build_autoencoder
from hgc.training.batch import Prompts, Shares, draw_batch
from hgc.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from hgc.training.compute import Compute
from hgc.training.dataset import READER_SEEDS, paint_words
from hgc.training.denoiser import NETS
from hgc.training.export import weight_bytes
from hgc.training.eyes import ReaderPlan, train_reader
from hgc.training.lessons import Lesson, lesson
from hgc.training.obedience import Obedience, ObedienceReader, obedience_loss
from hgc.training.optim import orthogonalized
from hgc.training.pace import Budget, Pace, warm_constant_decay
from hgc.training.published import published_stages, take_up
from hgc.training.train import TrainingRecipe, longer, tiny_recipe, train

CPU = Compute("cpu", bf16=False)
ROOT = Path(__file__).parents[1]
SHARDS = ("unet", *NETS.values(), "vae", "text_encoder", "segmenter", "depth_reader")


def _weights(out: Path) -> dict[str, torch.Tensor]:
    weights = {}
    for part in SHARDS:
        for file in sorted((out / part).glob("*.safetensors")):
            weights.update({f"{part}.{name}": tensor for name, tensor in load_file(file).items()})
    return weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    train(root / "out", root / "work", tiny=True, compute=CPU)
    return root


@pytest.mark.parametrize("control", NETS.values())
def test_the_folder_is_a_diffusers_pipeline(trained: Path, control: str) -> None:
    net = ControlNetModel.from_pretrained(trained / "out" / control)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(trained / "out", controlnet=net)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        "a lake at night", image=torch.rand(1, 3, 256, 256), num_inference_steps=2, output_type="np",
        generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip
    assert images.shape == (1, 256, 256, 3)
    assert np.isfinite(images).all()


def test_the_record_says_how_the_weights_came_to_be(trained: Path) -> None:
    record = json.loads((trained / "out" / "training.json").read_text())
    assert record["command"] == "python -m hgc train"
    assert record["seed"] == 0
    assert {name: stage["steps"] for name, stage in record["stages"].items()} == {
        "autoencoder": 4, "segmenter": 4, "reader": 4, "depth_reader": 4, "obedience": 4, "denoiser": 4,
    }  # fmt: skip
    assert record["weight_bytes"].keys() >= {"unet/diffusion_pytorch_model.safetensors", "segmenter/model.safetensors"}


def test_a_training_goes_on_from_finished_weights(trained: Path, tmp_path: Path) -> None:
    """Unmoved where no step is left to do; with more budget for the denoiser only that moves, and its record grows."""
    train(tmp_path / "same", tmp_path / "idle", compute=CPU, recipe=tiny_recipe(), start_from=trained / "out")
    finished, same = _weights(trained / "out"), _weights(tmp_path / "same")
    assert all(torch.equal(finished[name], same[name]) for name in finished)

    longer = replace(tiny_recipe(), denoiser_budget=Budget(6))
    train(tmp_path / "more", tmp_path / "work", compute=CPU, recipe=longer, start_from=trained / "out")
    more = _weights(tmp_path / "more")
    moved = {name.partition(".")[0] for name in finished if not torch.equal(finished[name], more[name])}
    assert moved == {"unet", *NETS.values(), "text_encoder"}
    assert load_checkpoint(tmp_path / "work" / "denoiser.ckpt")["step"] == 6


def test_finished_controls_count_as_much_as_the_recipe_says(trained: Path, tmp_path: Path) -> None:
    """What goes on from them is trained as if each counted once."""
    finished, work = _weights(trained / "out"), load_checkpoint(trained / "work" / "denoiser.ckpt")
    take_up(trained / "out", tmp_path, tiny_recipe())
    again = load_checkpoint(tmp_path / "denoiser.ckpt")["model"]
    for control, strength in tiny_recipe().strengths.items():
        for layer in ("controlnet_mid_block.weight", "controlnet_down_blocks.0.bias", "conv_in.weight"):
            name = f"{NETS[control]}.{layer}"
            told = strength if layer.startswith("controlnet_") else 1.0
            trained_so = work["average"][f"module.{name}"]
            assert torch.allclose(finished[name].float(), told * trained_so, rtol=2e-3, atol=1e-5), name
            assert torch.allclose(again[name], trained_so, rtol=2e-3, atol=1e-5), name
    assert len({*tiny_recipe().strengths.values()}) > 1


def test_words_move_by_their_text_and_new_ones_begin_small(trained: Path, tmp_path: Path) -> None:
    """As if the finished model had never heard of fog, and of ink as the end of pink only."""
    unheard = {"fog", "foggy", "ink"}
    out = tmp_path / "out"
    shutil.copytree(trained / "out", out)
    earlier = tuple(word for word in vocabulary() if word not in unheard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "vocabulary", lambda: earlier)
        known = build_tokenizer()
    known.save_pretrained(out / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(out / "text_encoder")
    encoder.resize_token_embeddings(len(known), mean_resizing=False)
    learned = torch.arange(len(known), dtype=torch.float32)[:, None].expand(-1, 16) / 1024 + 1
    encoder.get_input_embeddings().weight.data.copy_(learned)
    encoder.save_pretrained(out / "text_encoder")
    take_up(out, tmp_path, replace(tiny_recipe(), denoiser_budget=Budget(6)))
    now, model = build_tokenizer(), load_checkpoint(tmp_path / "denoiser.ckpt")["model"]
    rows = next(weight for name, weight in model.items() if name.endswith("token_embedding.weight"))
    assert len(rows) == len(now) != len(known)
    places = known.get_vocab()
    for piece, number in now.get_vocab().items():
        if piece.removesuffix("</w>") in unheard and piece.endswith("</w>"):
            assert 0.005 < float(rows[number].std()) < 0.05, piece
        elif piece in places:
            assert torch.equal(rows[number], learned[places[piece]]), piece
        else:
            assert not rows[number].any(), piece


def test_a_reader_of_fewer_words_starts_anew(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "out", tmp_path / "out")
    Reader((8, 8), MOOD_SIDE, tuple(MOOD)).save(tmp_path / "out" / "reader")
    take_up(tmp_path / "out", tmp_path, tiny_recipe())
    assert not (tmp_path / "reader.ckpt").exists()
    assert (tmp_path / "segmenter.ckpt").exists()


def test_weights_from_before_there_was_depth_are_gone_on_from(trained: Path, tmp_path: Path) -> None:
    """The label maps' ControlNet is the depth net's beginning; the depth reader is trained from nothing."""
    old = tmp_path / "old"
    shutil.copytree(trained / "out", old, ignore=shutil.ignore_patterns("controlnet_depth", "depth_reader"))
    record = json.loads((old / "training.json").read_text())
    del record["stages"]["depth_reader"]
    (old / "training.json").write_text(json.dumps(record))
    assert longer(tiny_recipe(), old, {"depth_reader": 2}).depth_reader_budget.seconds == 120
    with pytest.raises(CheckpointError, match="has no depth control: give --more denoiser=MINUTES"):
        train(tmp_path / "new", tmp_path / "work", compute=CPU, recipe=tiny_recipe(), start_from=old)
    assert not (tmp_path / "new").exists()
    recipe = replace(tiny_recipe(), denoiser_budget=Budget(6))
    take_up(old, tmp_path / "begun", recipe)
    begun = load_checkpoint(tmp_path / "begun" / "denoiser.ckpt")["model"]
    assert _alike(begun, "controlnet_depth", "controlnet")
    assert not _alike(begun, "controlnet_edges", "controlnet")
    train(tmp_path / "new", tmp_path / "work", compute=CPU, recipe=recipe, start_from=old)
    trained = load_checkpoint(tmp_path / "work" / "denoiser.ckpt")["model"]
    assert not _alike(trained, "controlnet_depth", "controlnet"), "it has learned by itself since"
    assert load_checkpoint(tmp_path / "work" / "depth_reader.ckpt")["step"] == 4


def test_a_checkpoint_of_another_recipe_is_told(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "work", tmp_path / "work")
    state = load_checkpoint(tmp_path / "work" / "reader.ckpt")
    state["model"] = {name: weight for name, weight in state["model"].items() if "weather" not in name}
    save_checkpoint(tmp_path / "work" / "reader.ckpt", state)
    with pytest.raises(CheckpointError, match=r"reader\.ckpt is of another recipe; delete it"):
        train(tmp_path / "out", tmp_path / "work", compute=CPU, recipe=tiny_recipe())


def _alike(weights: dict[str, torch.Tensor], one: str, other: str) -> bool:
    names = [name.removeprefix(f"{one}.") for name in weights if name.startswith(f"{one}.")]
    return all(torch.equal(weights[f"{one}.{name}"], weights[f"{other}.{name}"]) for name in names)


def test_a_batch_holds_samples_of_every_control(tmp_path: Path) -> None:
    """Maps in the denoiser's order; rare things weigh more under maps and edges, and no more under depth."""
    torch.manual_seed(0)
    model = build_autoencoder(tiny_recipe().autoencoder)
    shelf = dataset.fill_dataset(tmp_path, model, 0, 4, CPU)
    prompts = Prompts(torch.zeros(4, 5, dtype=torch.long), torch.ones(5, dtype=torch.long), 0.5)
    batch = draw_batch(shelf, prompts, Shares(3, 2, 4, 1), 16, torch.Generator().manual_seed(0))
    assert [tuple(control.shape) for control in batch.controls] == [(n, 3, 128, 128) for n in (3, 2, 4)]
    assert all(control.min() >= 0 and control.max() <= 1 for control in batch.controls)
    assert len(batch.labels) == 5  # under label maps and edges
    assert batch.emphasis[:5].max() > 1
    assert (batch.emphasis[5:] == 1).all()
    assert torch.equal(batch.controls[2][:, 0], batch.controls[2][:, 2])
    assert np.abs(shelf.nearness(2) - depth_of(2)).max() < 1 / 255
    assert np.abs(shelf.nearness(1) - near_of_map(lesson(1).labels)).max() < 1 / 255
    with pytest.raises(ValueError, match="every control needs a sample"):
        Shares(depth=0)


def test_a_depth_reader_reads_every_pixel() -> None:
    reader = DepthReader((8, 8, 8))
    near = reader.read(torch.rand(2, 3, 64, 32))
    assert near.shape == (2, 64, 32)
    assert 0 < near.min() < near.max() < 1
    with pytest.raises(ValueError, match=r"depth reader: images \(1, 3, 30, 64\).* 4$"):
        reader.read(torch.rand(1, 3, 30, 64))


def test_going_on_needs_a_finished_model(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["train", "--tiny", "--out", str(tmp_path / "out"), "--work", str(tmp_path), "--start-from", str(tmp_path)]
    )
    assert result.exit_code == 2
    assert "has no training.json; give the folder of a finished training" in result.stderr


def test_obedience_counts_what_the_reader_reads() -> None:
    """No loss for scores sure of the truth, that of guessing for none; a rare class counts by its weight."""
    labels = torch.randint(len(CLASSES), (2, 8, 8), generator=torch.Generator().manual_seed(0))
    even = torch.ones(len(CLASSES))
    sure = 50.0 * F.one_hot(labels, len(CLASSES)).permute(0, 3, 1, 2).float()
    assert obedience_loss(sure, labels, even).max() < 1e-6
    guessed = obedience_loss(torch.zeros_like(sure), labels, even)
    torch.testing.assert_close(guessed, torch.full((2,), math.log(len(CLASSES))))
    halves = torch.zeros(1, 2, 2, dtype=torch.int64)
    halves[:, 0] = 1
    wrong_on_one = 50.0 * F.one_hot(torch.zeros_like(halves), len(CLASSES)).permute(0, 3, 1, 2).float()
    heavy = even.clone()
    heavy[1] = 3.0
    assert float(obedience_loss(wrong_on_one, halves, heavy) / obedience_loss(wrong_on_one, halves, even)) == (
        pytest.approx(1.5)
    )


def test_what_noise_hides_is_not_asked_for() -> None:
    reader = ObedienceReader(channels=4, width=8, layers=2).requires_grad_(False)
    obedience = Obedience(reader, torch.ones(len(CLASSES)), share=0.5)
    promised, labels = torch.randn(2, 4, 2, 2), torch.zeros(2, 16, 16, dtype=torch.uint8)
    whole = obedience.loss(promised, labels, torch.ones(2))
    assert float(whole) > 0
    torch.testing.assert_close(obedience.loss(promised, labels, torch.full((2,), 0.25)), 0.25 * whole)
    assert float(obedience.loss(promised, labels, torch.zeros(2))) == 0


@pytest.mark.long
def test_a_training_survives_being_killed_in_every_stage(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL as soon as a stage has something on disk, twice, then a last run to the end."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["hgc.training.train"])
    work, out = tmp_path / "work", tmp_path / "out"

    def started() -> BaseProcess:
        training = processes.Process(target=train, args=(out, work), kwargs={"tiny": True, "compute": CPU})
        training.start()
        return training

    for file in ("autoencoder.ckpt", "denoiser.ckpt"):
        training = started()
        while training.is_alive() and not (work / file).exists():
            time.sleep(0.002)
        training.kill()
        training.join()
        assert training.exitcode == -SIGKILL, file
    assert load_checkpoint(work / "denoiser.ckpt")["step"] == 2
    last = started()
    last.join()
    assert last.exitcode == 0
    straight, resumed = _weights(trained / "out"), _weights(out)
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    losses = [load_checkpoint(root / "denoiser.ckpt")["losses"] for root in (trained / "work", work)]
    assert losses[0] == losses[1]


def test_a_stopped_dataset_is_filled_from_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = build_autoencoder(tiny_recipe().autoencoder)
    monkeypatch.setattr(dataset, "CHUNK", 1)
    straight = dataset.fill_dataset(tmp_path / "straight", model, 0, 3, CPU)
    seen: list[int] = []

    def painted(seed: int) -> Lesson:
        seen.append(seed)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return lesson(seed)

    monkeypatch.setattr(dataset, "lesson", painted)
    with pytest.raises(KeyboardInterrupt):
        dataset.fill_dataset(tmp_path / "resumed", model, 0, 3, CPU)
    resumed = dataset.fill_dataset(tmp_path / "resumed", model, 0, 3, CPU)
    assert seen == [0, 1, 2, 2]
    assert resumed.captions == straight.captions
    assert np.array_equal(resumed.latents, straight.latents)
    assert np.array_equal(resumed.labels, straight.labels)
    assert np.array_equal(resumed.edge_map(2), straight.edge_map(2))
    assert np.array_equal(resumed.near, straight.near)


@pytest.mark.parametrize("size", [0, 40, 4000])
def test_a_cut_off_dataset_is_told_in_a_sentence(tmp_path: Path, size: int) -> None:
    torch.manual_seed(0)
    model = build_autoencoder(tiny_recipe().autoencoder)
    dataset.fill_dataset(tmp_path, model, 0, 2, CPU)
    whole = (tmp_path / "labels.npy").read_bytes()
    (tmp_path / "labels.npy").write_bytes(whole[:size])
    with pytest.raises(
        CheckpointError, match=rf"^labels.npy is cut off or no array \({size} bytes\); delete the folder"
    ):
        dataset.fill_dataset(tmp_path, model, 0, 2, CPU)
    (tmp_path / "labels.npy").unlink()
    with pytest.raises(CheckpointError, match=r"labels\.npy"):
        dataset.fill_dataset(tmp_path, model, 0, 2, CPU)


def test_a_stopped_reader_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, asked = ReaderPlan(channels=(8, 8), batch=2, save_every=2), []

    def painted() -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(1)
        return paint_words(READER_SEEDS, 4, 32)

    def trained_in(work: Path) -> list[torch.Tensor]:
        return list(train_reader(painted, plan, Budget(4), CPU, work, 0).parameters())

    straight = trained_in(tmp_path / "straight")
    real, seen = eyes.drawn_words, []

    def killed(*args: object) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(1)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(eyes, "drawn_words", killed)
    with pytest.raises(KeyboardInterrupt):
        trained_in(tmp_path / "resumed")
    assert load_checkpoint(tmp_path / "resumed" / "reader.ckpt")["step"] == 2
    monkeypatch.undo()
    resumed, painted_so_far = trained_in(tmp_path / "resumed"), len(asked)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))
    trained_in(tmp_path / "resumed")
    assert len(asked) == painted_so_far  # a finished stage paints nothing


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "denoiser.ckpt"
    save_checkpoint(path, {"model": {"weight": torch.ones(8)}, "step": 3})
    assert load_checkpoint(path)["step"] == 3
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match=r"denoiser\.ckpt"):
        load_checkpoint(path)
    path.write_bytes(whole[:20])
    with pytest.raises(CheckpointError, match="20 bytes"):
        load_checkpoint(path)
    assert list(tmp_path.iterdir()) == [path], "nothing half written beside it"


def test_train_refuses_a_truncated_checkpoint_in_one_line(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "autoencoder.ckpt"
    path.write_bytes((trained / "work" / "autoencoder.ckpt").read_bytes()[:-100])
    before = path.read_bytes()
    result = CliRunner().invoke(app, ["train", "--tiny", "--out", str(tmp_path / "out"), "--work", str(tmp_path)])
    assert result.exit_code == 2
    assert "autoencoder.ckpt" in result.stderr
    assert "truncated or damaged; delete it to start its stage again" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert path.read_bytes() == before


def test_pace_counts_time_over_resumptions() -> None:
    assert Pace(Budget(10), step=5).progress == 0.5
    assert Pace(Budget(1000, seconds=100.0), step=5, spent_s=100.0).finished()
    with pytest.raises(ValueError, match="0 steps"):
        Budget(0)


def test_rate_warms_up_holds_and_ends_at_zero() -> None:
    assert warm_constant_decay(0, 0.0, 10, 0.7) == pytest.approx(0.1)
    assert warm_constant_decay(50, 0.7, 10, 0.7) == 1.0
    assert warm_constant_decay(99, 1.0, 10, 0.7) == pytest.approx(0.0)


@pytest.mark.parametrize("own", [True, False])
def test_orthogonalized_brings_every_direction_near_one_length(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 only where the device multiplies in it: to emulate it took twenty times as long as float32."""
    monkeypatch.setattr(optim, "multiplies_bfloat16", lambda device: own)
    matrices = torch.randn(3, 12, 40, generator=torch.Generator().manual_seed(0))
    made = orthogonalized(matrices)
    assert made.dtype == (torch.bfloat16 if own else torch.float32)
    lengths = torch.linalg.svdvals(made.float())
    assert lengths.min() > 0.5
    assert lengths.max() < 1.5


def test_weights_under_training_are_gone_on_from(tmp_path: Path) -> None:
    """Half-way weights lie beside the shipped ones: whole, with every control, in this world's words."""
    half_way = ROOT / "assets" / "training" / "landscapes"
    take_up(half_way, tmp_path, TrainingRecipe())
    state = load_checkpoint(tmp_path / "denoiser.ckpt")
    assert state["step"] > published_stages(ROOT / "assets" / "models" / "landscapes")["denoiser"]["steps"]
    assert {name.split(".")[0] for name in state["model"]} == {"text_encoder", "unet", *NETS.values()}
    assert CLIPTokenizer.from_pretrained(half_way / "tokenizer").get_vocab() == build_tokenizer().get_vocab()
    assert sum(weight_bytes(half_way).values()) < 62e6
