"""How much the figures move when nothing changes but the noise or the number of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from hgc.bench.scores import Eyes, edge_scores
from hgc.bench.setup import OTHER_NOISES, Run
from hgc.landscapes.artist import Picture
from hgc.landscapes.scene import Scene
from hgc.metrics import psnr, ssim


def null_band(
    base: Run, more_steps: Sequence[int], scenes: Sequence[Scene], eyes: Eyes, drawn: Callable[[Run], list[Picture]]
) -> dict[str, Any]:
    """The same figures under other noise and under more steps; a difference inside the band means nothing.

    `score` is mIoU under a label map and F1 under edges; PSNR and SSIM compare with the pictures of `base`.
    """
    measured = drawn(base)
    rows = {"as measured": _row(base.control, measured, scenes, eyes)}
    others = {f"noise {noise}": Run(base.control, base.steps, noise) for noise in OTHER_NOISES}
    scores = [rows["as measured"]["score"]]
    for name, run in others.items():
        rows[name] = _row(run.control, drawn(run), scenes, eyes, measured)
        scores.append(rows[name]["score"])
    for steps in more_steps:
        rows[f"{steps} steps"] = _row(base.control, drawn(Run(base.control, steps)), scenes, eyes, measured)
    return {"scenes": len(scenes), "score_lowest": min(scores), "score_highest": max(scores), "rows": rows}


def _row(
    control: str,
    made: Sequence[Picture],
    scenes: Sequence[Scene],
    eyes: Eyes,
    measured: Sequence[Picture] | None = None,
) -> dict[str, Any]:
    if control == "segmentation":
        score = eyes.segmentation(made, [scene.labels for scene in scenes])["mean"]
    else:
        score = edge_scores(made, [scene.edges for scene in scenes])
    row = {"score": score, "words": eyes.words(made, [scene.caption for scene in scenes])["both"]}
    if measured is None:
        return row
    pairs = list(zip(made, measured, strict=True))
    return row | {
        "psnr_db_to_measured": fmean(psnr(a, b) for a, b in pairs),
        "ssim_to_measured": fmean(ssim(a, b) for a, b in pairs),
    }
