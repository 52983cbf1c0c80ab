"""From nothing to weights: tokenizer, autoencoder, what reads pictures, encoded scenes, denoiser, export.

python -m hgc train                      # nearly five hours on two busy cores
python -m hgc train --tiny               # seconds, no quality: a test of every stage
"""

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from diffusers import AutoencoderTiny
from torch import Tensor
from transformers import CLIPTokenizer

from hgc.landscapes.tiles import save_small
from hgc.landscapes.tokenizer import build_tokenizer
from hgc.training.autoencoder import AutoencoderPlan, train_autoencoder
from hgc.training.batch import Shares
from hgc.training.company import Company, check_company, company_of
from hgc.training.compute import Compute, best_compute
from hgc.training.dataset import (
    DEPTH_READER_SEEDS,
    READER_SEEDS,
    SEGMENTER_SEEDS,
    TRAINING_SEEDS,
    Dataset,
    fill_dataset,
    paint_depths,
    paint_pictures,
    paint_words,
    settle_scale,
    with_reconstructions,
)
from hgc.training.denoiser import Denoiser, DenoiserPlan
from hgc.training.diffusion import DiffusionPlan, train_denoiser
from hgc.training.export import export, write_record
from hgc.training.eyes import (
    DepthReaderPlan,
    ReaderPlan,
    SegmenterPlan,
    train_depth_reader,
    train_reader,
    train_segmenter,
)
from hgc.training.loss_chart import draw_losses
from hgc.training.obedience import ObedienceReader, ObedienceReaderPlan, train_obedience_reader
from hgc.training.pace import Budget
from hgc.training.published import published_stages, take_up
from hgc.training.sheet import draw_sheet

log = logging.getLogger(__name__)

NO_STEP_LIMIT = 10_000_000
NOT_BEGUN = {"seconds": 0}


def minutes(count: float) -> Budget:
    """A stage that ends by the clock."""
    return Budget(NO_STEP_LIMIT, 60 * count)


@dataclass(frozen=True)
class TrainingRecipe:
    """Everything a training depends on but the seed. Budgets are per stage; pictures are painted, never stored."""

    autoencoder: AutoencoderPlan = field(default_factory=AutoencoderPlan)
    segmenter: SegmenterPlan = field(default_factory=SegmenterPlan)
    reader: ReaderPlan = field(default_factory=ReaderPlan)
    depth_reader: DepthReaderPlan = field(default_factory=DepthReaderPlan)
    obedience: ObedienceReaderPlan = field(default_factory=ObedienceReaderPlan)
    denoiser: DiffusionPlan = field(default_factory=DiffusionPlan)
    autoencoder_budget: Budget = field(default_factory=lambda: minutes(56))
    segmenter_budget: Budget = field(default_factory=lambda: minutes(43.5))
    reader_budget: Budget = field(default_factory=lambda: Budget(6000))
    depth_reader_budget: Budget = field(default_factory=lambda: minutes(10))
    obedience_budget: Budget = field(default_factory=lambda: Budget(800))
    denoiser_budget: Budget = field(default_factory=lambda: minutes(183))
    autoencoder_scenes: int = 1500
    segmenter_scenes: int = 1500
    reader_scenes: int = 4000
    depth_reader_scenes: int = 1000
    scale_scenes: int = 48
    scenes: int = 8192
    sheet_every: int = 1000
    processes: int = 1  # that train the denoiser side by side
    # The factor on each ControlNet's output in finished weights; in training it is 1.
    strengths: dict[str, float] = field(default_factory=lambda: {"segmentation": 1.6, "edges": 2.5, "depth": 1.0})


def longer(recipe: TrainingRecipe, weights: Path, extra_minutes: dict[str, float]) -> TrainingRecipe:
    """The recipe with budgets by which finished stages go on for so many more minutes than their record says.

    A stage that is not in the record has those minutes; so has a new reader, and what its record says beside.
    """
    stages = published_stages(weights)
    budgets = {
        f"{name}_budget": Budget(NO_STEP_LIMIT, stages.get(name, NOT_BEGUN)["seconds"] + 60 * extra)
        for name, extra in extra_minutes.items()
    }
    return replace(recipe, **budgets)  # type: ignore[arg-type]


def tiny_recipe() -> TrainingRecipe:
    """Every stage with a handful of steps on a handful of scenes."""
    sizes = DenoiserPlan(
        channels=(16, 16, 16, 16),
        heads=(1, 1, 1, 1),
        text_width=16,
        text_layers=1,
        norm_groups=8,
        condition_channels=(8, 8, 8, 8),
    )
    return TrainingRecipe(
        AutoencoderPlan(channels=8, encoder_blocks=(0, 1, 1, 1), decoder_blocks=(1, 1, 1, 1), batch=2, save_every=2),
        SegmenterPlan(channels=(8, 8, 8), batch=2, crop=64, save_every=2),
        ReaderPlan(batch=2, save_every=2),
        DepthReaderPlan(channels=(8, 8, 8), batch=2, save_every=2),
        ObedienceReaderPlan(width=8, layers=2, batch=2, save_every=2),
        DiffusionPlan(sizes, Shares(1, 1, 1, 1), warmup=2, sides=((0.5, 16),), save_every=2),
        Budget(4),
        Budget(4),
        Budget(4),
        Budget(4),
        Budget(4),
        Budget(4),
        autoencoder_scenes=4,
        segmenter_scenes=4,
        reader_scenes=4,
        depth_reader_scenes=4,
        scale_scenes=4,
        scenes=6,
    )


def train(
    out: Path,
    work: Path,
    *,
    tiny: bool = False,
    seed: int = 0,
    recipe: TrainingRecipe | None = None,
    compute: Compute | None = None,
    command: str = "python -m hgc train",
    start_from: Path | None = None,
) -> None:
    """Train whatever of the stages is not finished in `work`, then write the weights and training.json to `out`.

    Stopping it at any moment loses at most the steps since the last checkpoint; a damaged one raises CheckpointError.
    `start_from` is a folder of finished weights: a stage without a checkpoint goes on from these. Raises NoCompany
    where a recipe of several processes meets an accelerator.
    """
    recipe = recipe or (tiny_recipe() if tiny else TrainingRecipe())
    compute = compute or best_compute()
    check_company(recipe.processes, compute.device)
    work.mkdir(parents=True, exist_ok=True)
    if start_from:
        take_up(start_from, work, recipe)
    at = (compute, work, seed)
    tokenizer = build_tokenizer()
    autoencoder = _autoencoder(recipe, *at)
    settle_scale(autoencoder, TRAINING_SEEDS, recipe.scale_scenes, compute)

    def segmented() -> tuple[Tensor, Tensor]:
        pictures = paint_pictures(SEGMENTER_SEEDS, recipe.segmenter_scenes)
        return with_reconstructions(*pictures, autoencoder, compute)

    def deep() -> tuple[Tensor, Tensor]:
        pictures = paint_depths(DEPTH_READER_SEEDS, recipe.depth_reader_scenes)
        return with_reconstructions(*pictures, autoencoder, compute)

    train_segmenter(segmented, recipe.segmenter, recipe.segmenter_budget, *at).save(out / "segmenter")
    words = partial(paint_words, READER_SEEDS, recipe.reader_scenes, recipe.reader.side)
    train_reader(words, recipe.reader, recipe.reader_budget, *at).save(out / "reader")
    train_depth_reader(deep, recipe.depth_reader, recipe.depth_reader_budget, *at).save(out / "depth_reader")
    taught = _taught(recipe, autoencoder, *at)

    def look(model: Denoiser, step: int) -> None:
        if step % recipe.sheet_every == 0:
            draw_sheet(work / f"sheet-{step:06d}.png", model, autoencoder, tokenizer, compute)

    with company_of(recipe.processes, _train_beside, recipe, *at) as company:
        denoiser = train_denoiser(*taught, recipe.denoiser, recipe.denoiser_budget, *at, look, company)
    export(out, denoiser.cpu(), autoencoder.cpu(), tokenizer, recipe.strengths)
    write_record(out, work, recipe, seed, compute, command)
    save_small(draw_losses(out / "training.json"), out / "losses.png")


def _autoencoder(recipe: TrainingRecipe, compute: Compute, work: Path, seed: int) -> AutoencoderTiny:
    def painted() -> Tensor:
        return paint_pictures(TRAINING_SEEDS, recipe.autoencoder_scenes)[0]

    at = (compute, work, seed)
    return train_autoencoder(painted, recipe.autoencoder, recipe.autoencoder_budget, *at).requires_grad_(False)


def _taught(
    recipe: TrainingRecipe, autoencoder: AutoencoderTiny, compute: Compute, work: Path, seed: int
) -> tuple[Dataset, CLIPTokenizer, ObedienceReader]:
    """What the denoiser learns from: lessons, their words, and who reads its obedience."""
    dataset = fill_dataset(work / "shelf", autoencoder, TRAINING_SEEDS, recipe.scenes, compute)
    judge = train_obedience_reader(dataset, recipe.obedience, recipe.obedience_budget, compute, work, seed)
    return dataset, build_tokenizer(), judge


def _train_beside(company: Company, recipe: TrainingRecipe, compute: Compute, work: Path, seed: int) -> None:
    """The denoiser's training in another process, when all that it learns from is there."""
    at = (compute, work, seed)
    taught = _taught(recipe, _autoencoder(recipe, *at), *at)
    train_denoiser(*taught, recipe.denoiser, recipe.denoiser_budget, *at, company=company)
