"""Everything that is made from the embedded model's weights, in order, and what of it belongs to the weights at hand.

python -m hgc remake --list        # every step, its command, and whether it is up to date
python -m hgc remake               # a night on two cores; stopped, it goes on where it was
python -m hgc remake --at-once 2   # steps that do not need each other side by side, each on half of the cores
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from threading import Event, Lock

from hgc.bench.album import Tell, digest
from hgc.bench.setup import CONTROLS, BenchRefused
from hgc.bench.tables import DOCUMENTS
from hgc.models.presets import presets
from hgc.whole import write_whole

SOLVERS = ("dpmpp", "unipc")
SHARES = ("0.2", "0.368", "0.5")
BUDGETS = " ".join(f"--budget {share}" for share in SHARES)
DUEL = "--method optimised --method fewer_steps"
HGC = "--method hgc --method fewer_steps"
PLAIN = "--no-drawings --long 0 --alone 0"
HGC_SCENES = {"segmentation": 16, "edges": 8}
OTHERS = (
    "--method optimised --method deepcache --method tgate --method encoder_propagation --method guidance_reuse "
    "--method step_skip --method fewer_steps"
)
RIVALS = (
    "--method optimised --method hgc --method spectrum --method taylorseer --method easycache --method magcache "
    "--method deepcache --method step_skip --method fewer_steps"
)
CARRIED = ("steps 10", "steps 30", "steps 50", "guidance 1", "guidance 4", "guidance 7.5")
MODEL = "assets/models/landscapes"


@dataclass(frozen=True)
class RemakeStep:
    """A call of `python -m hgc` and the files it makes, relative to the project's folder.

    It may read what steps of an earlier `turn` made, and nothing of its own turn.
    """

    name: str
    words: str
    makes: tuple[str, ...]
    turn: int = 0

    @property
    def command(self) -> str:
        """To be typed."""
        return f"python -m hgc {self.words}"


def steps(controls: Collection[str] | None = None) -> list[RemakeStep]:
    """All of them, by turns, for weights with these controls; unless told, for the weights at hand."""
    controls = presets()["landscapes"].controls if controls is None else controls
    deep = "depth" in controls
    timed = ([step] for step in _timed())
    made = (_calibrations(deep), _distilled(), _plans(deep), _low_plans(), _figures(deep), *timed, _shown(), _told())
    return [replace(step, turn=turn) for turn, part in enumerate(made) for step in part]


def _measured(deep: bool) -> list[tuple[str, str]]:
    """The controls and samplers that have calibrations and plans of their own; depth under other samplers, carried."""
    drawn = [(control, sampler) for control in CONTROLS for sampler in ("ddim", *SOLVERS)]
    return [*drawn, ("depth", "ddim")] if deep else drawn


def _calibrations(deep: bool) -> Iterator[RemakeStep]:
    for control, sampler in _measured(deep):
        out = f"assets/calibration/landscapes-{control}-{sampler}-20"
        words = f"calibrate --control {control} --sampler {sampler} --scenes 16 --out {out}.json"
        yield RemakeStep(f"calibration {control} {sampler}", words, (f"{out}.json", f"{out}.npz"))


def _distilled() -> Iterator[RemakeStep]:
    for control in CONTROLS:
        measured = f"assets/calibration/landscapes-{control}-ddim-20"
        for share in SHARES:
            out = f"{measured}-at-{share}"
            words = f"distil --calibration {measured}.json --budget {share} --held-out 8 --out {out}.json"
            yield RemakeStep(f"calibration {control} ddim, distilled at {share}", words, (f"{out}.json", f"{out}.npz"))


def _plans(deep: bool) -> Iterator[RemakeStep]:
    for control, sampler in _measured(deep):
        out = f"assets/plans/landscapes-{control}-{sampler}-20"
        words = f"optimize --control {control} --sampler {sampler} --tries 5 --out {out}.json"
        yield RemakeStep(f"plans {control} {sampler}", words, (f"{out}.json", f"{out}.npz"))


def _low_plans() -> Iterator[RemakeStep]:
    """Budgets of a tenth and a seventh, added to what is searched already."""
    out = "assets/plans/landscapes-segmentation-ddim-20"
    words = f"optimize --control segmentation --tries 130 --budget 0.1 --budget 0.15 --out {out}.json"
    yield RemakeStep("plans segmentation ddim, low", words, (f"{out}.json", f"{out}.npz"))


def _pareto(name: str, control: str, options: str) -> RemakeStep:
    out = f"assets/figures/{name}.json"
    return RemakeStep(f"figures {name}", f"bench pareto --control {control} {BUDGETS} {options} --out {out}", (out,))


def _timed() -> Iterator[RemakeStep]:
    """Figures with times in them: nothing else runs beside these."""
    for control in CONTROLS:
        yield _pareto(f"methods-{control}-ddim", control, f"--no-drawings --long 0 --alone 5 {OTHERS}")
    figures = f"{MODEL}/figures.json"
    measure = f"bench landscapes --band-scenes 4 --drawings runs/drawings.png --out {figures}"
    yield RemakeStep("figures of the model", measure, (figures,))


def _figures(deep: bool) -> Iterator[RemakeStep]:
    for control in CONTROLS:
        yield _pareto(f"block-caching-{control}-ddim", control, f"--scenes 32 {PLAIN} --method block_caching")
        yield _pareto(
            f"hgc-{control}-ddim", control, f"--scenes {HGC_SCENES[control]} --no-drawings --long 0 --alone 0 {HGC}"
        )
        yield _pareto(f"optimised-{control}-ddim", control, f"--long 0 --alone 0 {DUEL}")
        solvers = " ".join(f"--sampler {solver}" for solver in SOLVERS)
        words = f"--scenes 8 {PLAIN} {solvers} {DUEL} --method hgc --method block_caching"
        yield _pareto(f"solvers-{control}", control, words)
    for control in CONTROLS:
        yield _pareto(f"rivals-{control}-ddim", control, f"--scenes 8 {PLAIN} {RIVALS}")
    if deep:
        yield _pareto("optimised-depth-ddim", "depth", f"--scenes 16 {PLAIN} {DUEL}")
    held_out = f"--scenes 0 --long 0 --alone 0 {DUEL} --method hgc"
    yield _pareto("drawings-edges-ddim", "edges", held_out)
    yield _pareto("hgc-parts-segmentation-ddim", "segmentation", f"--scenes 8 {PLAIN} --method hgc --parts")
    few = f"--scenes 8 --no-drawings --alone 0 {DUEL}"
    yield _pareto("optimised-segmentation-bfloat16", "segmentation", f"{few} --long 0 --dtype bfloat16")
    yield _pareto("optimised-segmentation-long", "segmentation", few)
    yield from _bands()


def _bands() -> Iterator[RemakeStep]:
    """The null band, the least budgets, and what plans of 20 steps and guidance 2 give elsewhere."""

    def pareto(name: str, options: str) -> RemakeStep:
        out = f"assets/figures/{name}.json"
        return RemakeStep(
            f"figures {name}", f"bench pareto --control segmentation {PLAIN} {options} --out {out}", (out,)
        )

    for control in CONTROLS:
        out = f"assets/figures/null-{control}-ddim.json"
        null = f"{PLAIN} --scenes 8 --null 8 --null-steps 50 --null-steps 200 --method fewer_steps --budget 0.368"
        yield RemakeStep(f"figures null-{control}-ddim", f"bench pareto --control {control} {null} --out {out}", (out,))
        out = f"assets/figures/low-{control}-ddim.json"
        low = f"{PLAIN} --scenes 8 --budget 0.1 --budget 0.15 {DUEL} --method hgc"
        yield RemakeStep(f"figures low-{control}-ddim", f"bench pareto --control {control} {low} --out {out}", (out,))
    out, near = "assets/figures/ladder-edges.json", f"{PLAIN} --scenes 8 --sampler ddim --sampler unipc"
    words = f"bench pareto --control edges {near} --budget 0.45 --budget 0.5 --method optimised --out {out}"
    yield RemakeStep("figures ladder-edges", words, (out,))
    for setting in CARRIED:
        name = f"carried-{setting.replace(' ', '-')}"
        yield pareto(name, f"--scenes 4 --{setting} --budget 0.2 --budget 0.368 {DUEL}")


def _shown() -> Iterator[RemakeStep]:
    yield RemakeStep("wall", "wall --out assets/readme/wall.png", ("assets/readme/wall.png",))
    yield RemakeStep("recording", "record", ("assets/recorded/opening.zip",))


def _told() -> Iterator[RemakeStep]:
    """What shows all that was made."""
    yield RemakeStep("model card", "bench card", (f"{MODEL}/README.md",))
    yield RemakeStep("tables", "bench tables", DOCUMENTS)
    yield RemakeStep("film", "bench film --out assets/readme/studio.webp", ("assets/readme/studio.webp",))


@dataclass(frozen=True)
class Remake:
    """The steps in a project's folder; `made.json` in its assets names the weights and the command of each."""

    root: Path
    steps: Sequence[RemakeStep]
    run: Callable[[RemakeStep, Path, int], int]  # the last is how many run side by side
    at_once: int = 1
    _writing: Lock = field(default_factory=Lock)

    @property
    def weights(self) -> str:
        """The digest of the weights at hand."""
        return digest(self.root / MODEL)

    @property
    def _record(self) -> Path:
        return self.root / "assets" / "made.json"

    def stale(self) -> list[RemakeStep]:
        """The steps to do: made from other weights, by another command, or with a file missing; in order."""
        made, weights = self._made(), self.weights
        return [
            step
            for step in self.steps
            if made.get(step.name) != {"weights": weights, "command": step.command}
            or not all((self.root / file).exists() for file in step.makes)
        ]

    def go(self, tell: Tell) -> None:
        """Do what is to do, noting each step as it is done; `at_once` of a turn side by side.

        Raises BenchRefused where one fails, when those beside it are done.
        """
        waiting = self.stale()
        numbered = {step.name: f"{number} of {len(waiting)}" for number, step in enumerate(waiting, start=1)}

        broken = Event()

        def make(step: RemakeStep, beside: int) -> None:
            if broken.is_set():
                return
            tell(f"{numbered[step.name]}: {step.name}: {step.command}")
            try:
                self._make(step, beside)
            except BaseException:
                broken.set()
                raise

        for _, together in groupby(waiting, key=lambda step: step.turn):
            turn = list(together)
            beside = min(self.at_once, len(turn))
            with ThreadPoolExecutor(beside) as pool:
                try:
                    for done in [pool.submit(make, step, beside) for step in turn]:
                        done.result()
                except BaseException:
                    broken.set()
                    raise

    def _make(self, step: RemakeStep, beside: int) -> None:
        status = self.run(step, self.root, beside)
        absent = [file for file in step.makes if not (self.root / file).exists()]
        if status or absent:
            fault = f"ended with status {status}" if status else f"made no {absent[0]}"
            raise BenchRefused(f"{step.name}: `{step.command}` {fault}; mend it, then remake goes on there")
        with self._writing:
            made = self._made() | {step.name: {"weights": self.weights, "command": step.command}}
            write_whole(self._record, (json.dumps(made, indent=1) + "\n").encode())

    def _made(self) -> dict[str, dict[str, str]]:
        if not self._record.exists():
            return {}
        made: dict[str, dict[str, str]] = json.loads(self._record.read_text(encoding="utf-8"))
        return made


def as_process(step: RemakeStep, root: Path, beside: int) -> int:
    """Run a step by itself, in the project's folder, on its part of the cores; its exit status."""
    threads = {} if beside == 1 else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // beside))}
    environment = os.environ | threads
    command = [sys.executable, "-m", "hgc", *shlex.split(step.words)]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode
