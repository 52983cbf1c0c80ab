"""Full runs over many scenes, from which change curves and adjustments follow. Stops and resumes.

subject = Subject("landscapes", "segmentation", "ddim", 20, 2.0)
*_, state = measured(scene_by_scene(pipe, scene, subject), subject, weights_of(pipe), scenes=32, state=Path("c.npz"))
calibration_of(state, pipe)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hgc.cache.anatomy import Kind
from hgc.cache.anatomy.networks import Networks
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.cache.schedules import ADDED, LAYERS
from hgc.cache.trace import Trace
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.files import Calibration, of_its_kind, read_arrays, write_arrays
from hgc.calibration.lines import Adjustment, Numbers, Sums
from hgc.calibration.magnitudes import Magnitudes
from hgc.calibration.subject import Subject

OTHERWISE = "delete the file, or give another --out"
PARTS = tuple(part.name for part in fields(Sums))
DIGITS = 6
LIBRARIES = ("torch", "diffusers")
Scene = Callable[[int], Mapping[str, Any]]  # its number to the arguments of the pipeline's call


@dataclass(frozen=True)
class MeasuredScene:
    """Of one scene: every site's changes by step, magnitude ratios by step, and the sums that lines follow from."""

    changes: Mapping[str, Sequence[float]]
    ratios: Sequence[float]
    sums: Mapping[str, Sums]


# Scenes by their numbers, measured in that order.
Each = Callable[[Sequence[int]], Iterator[MeasuredScene]]


@dataclass
class CalibrationState:
    """`changes` is [scenes, sites, steps], `ratios` is [scenes, steps]; `sums` are over all of these scenes.

    `weights` names what they ran on.
    """

    subject: Subject
    weights: str
    longest: int
    sites: list[str]
    changes: Numbers
    ratios: Numbers
    sums: dict[str, Sums]

    @property
    def scenes(self) -> int:
        return len(self.changes)

    @classmethod
    def empty(cls, subject: Subject, weights: str, longest: int) -> CalibrationState:
        return cls(subject, weights, longest, [], np.zeros((0, 0, subject.steps)), np.zeros((0, subject.steps)), {})

    def add(self, scene: MeasuredScene) -> None:
        """One more scene. Raises CalibrationRefused when it has other sites than those before."""
        if not self.scenes:
            self.sites, self.sums = list(scene.changes), dict(scene.sums)
            self.changes, self.ratios = np.array(list(scene.changes.values()))[None], np.array(scene.ratios)[None]
            return
        if self.sites != list(scene.changes) or self.sums.keys() != scene.sums.keys():
            raise CalibrationRefused(
                f"a scene with {len(scene.changes)} sites after scenes with {len(self.sites)}: the model changed "
                "meanwhile; delete the unfinished calibration and start again"
            )
        self.changes = np.concatenate([self.changes, np.array(list(scene.changes.values()))[None]])
        self.ratios = np.concatenate([self.ratios, np.array(scene.ratios)[None]])
        for site, more in scene.sums.items():
            self.sums[site].add(more)

    def write(self, path: Path) -> None:
        """Writes the whole file beside its place and then puts it there, so that no half of one is ever read."""
        header = {
            "subject": asdict(self.subject),
            "weights": self.weights,
            "longest": self.longest,
            "sites": self.sites,
        }
        arrays = {"changes": self.changes, "ratios": self.ratios}
        for site, sums in self.sums.items():
            arrays |= {f"{part} {site}": getattr(sums, part) for part in PARTS}
        write_arrays(path, header, arrays)

    @classmethod
    def read(cls, path: Path, subject: Subject, weights: str, longest: int) -> CalibrationState:
        """The state in that file, or an empty one where there is none. Raises CalibrationRefused."""
        if not path.exists():
            return cls.empty(subject, weights, longest)
        where = f"unfinished calibration {path.name}"
        header, arrays = read_arrays(path, where)
        with of_its_kind(where):
            Subject(**header["subject"]).check(subject, where, OTHERWISE)
            if header["weights"] != weights:
                raise CalibrationRefused(
                    f"{where}: measured on weights {header['weights']}, this model's are {weights}; {OTHERWISE}"
                )
            if header["longest"] != longest:
                raise CalibrationRefused(
                    f"{where}: measures ages to {header['longest']}, asked are {longest}; give --longest "
                    f"{header['longest']} or delete the file"
                )
            summed = [name.partition(" ")[2] for name in arrays if name.startswith(PARTS[0] + " ")]
            sums = {site: Sums(*(arrays[f"{part} {site}"] for part in PARTS)) for site in summed}
            return cls(subject, weights, longest, header["sites"], arrays["changes"], arrays["ratios"], sums)


def measured(
    each: Each, subject: Subject, weights: str, *, scenes: int, state: Path, longest: int = 4
) -> Iterator[CalibrationState]:
    """Has every scene measured and yields what is measured so far, before the first and after each.

    `state` holds it, written whole after every scene; a later call with the same subject and weights goes on from it.
    `longest` is the greatest age an adjustment is measured for. Raises CalibrationRefused when `state` is damaged or of
    something else.
    """
    done = CalibrationState.read(state, subject, weights, longest)
    yield done
    for one in each(range(done.scenes, scenes)):
        done.add(one)
        done.write(state)
        yield done


def scene_by_scene(
    pipe: Any, scene: Scene, subject: Subject, longest: int = 4, kinds: Collection[Kind] = frozenset({*LAYERS, *ADDED})
) -> Each:
    """Runs scenes in full, one after the other, and measures them."""

    def each(numbers: Sequence[int]) -> Iterator[MeasuredScene]:
        for number in numbers:
            witness = Witness(subject.steps, longest, kinds)
            whole = Plan(Origin("full"), subject.steps, subject.model)
            with Magnitudes(Networks.of(pipe).unet) as seen, cached(pipe, whole, observe=True, witness=witness) as run:
                pipe(**{**scene(number), "num_inference_steps": subject.steps, "output_type": "latent"})
            yield MeasuredScene(changes_of(run.trace), seen.ratios, witness.sums)

    return each


def calibration_of(done: CalibrationState, pipe: Any) -> Calibration:
    """The calibration of this pipeline, over one scene or more."""
    adjustment = adjustment_of(done)
    return Calibration(curves_of(done, adjustment, versions(pipe)), adjustment)


class Witness:
    """Sees every computed value of a full run and keeps the last few of each site, to sum products of pairs."""

    def __init__(self, steps: int, longest: int, kinds: Collection[Kind]) -> None:
        self._steps, self._longest, self._kinds = steps, longest, kinds
        self._past: dict[str, deque[torch.Tensor]] = {}
        self.sums: dict[str, Sums] = {}

    def __call__(self, kind: Kind, site: str, step: int, value: torch.Tensor) -> None:
        """Takes in a site's output, [B, C, h, w] or with channels last."""
        if kind not in self._kinds:
            return
        rows = (value.transpose(0, 1) if value.ndim == 4 else value.movedim(-1, 0)).flatten(1).double()  # [C, samples]
        past = self._past.setdefault(site, deque(maxlen=self._longest))
        if site not in self.sums:
            self.sums[site] = Sums.empty(self._steps, self._longest, len(rows))
            self.sums[site].samples += rows.shape[1]
        sums = self.sums[site]
        sums.first[step] = rows.sum(1).cpu().numpy()
        sums.second[step] = (rows * rows).sum(1).cpu().numpy()
        for age, earlier in enumerate(past, 1):
            sums.cross[step, age - 1] = (rows * earlier.double()).sum(1).cpu().numpy()
        past.appendleft(rows.float())  # a copy, whatever the pipeline does to the value, at half the memory


def changes_of(trace: Trace) -> dict[str, list[float]]:
    """Every computed site's relative change by step, from an observed full run; the first step's is 0."""
    moving = {s.name: trace.cells[s.name] for s in trace.sites if any(c.drift is not None for c in trace.cells[s.name])}
    return {name: [cell.drift or 0.0 for cell in row] for name, row in moving.items()}


def adjustment_of(done: CalibrationState) -> Adjustment:
    """The lines of all sums, in half precision: what they adjust is no finer."""
    lines = {site: sums.line() for site, sums in done.sums.items()}
    scale = {site: line[0].astype(np.float16) for site, line in lines.items()}
    return Adjustment(done.subject, scale, {site: line[1].astype(np.float16) for site, line in lines.items()})


def curves_of(done: CalibrationState, adjustment: Adjustment, made_with: Mapping[str, str]) -> ChangeCurves:
    mean, spread = done.changes.mean(0), done.changes.std(0)  # [sites, steps]

    def rows(numbers: np.ndarray) -> dict[str, tuple[float, ...]]:
        return {site: tuple(round(float(number), DIGITS) for number in numbers[i]) for i, site in enumerate(done.sites)}

    ratios = tuple(round(float(ratio), DIGITS) for ratio in done.ratios.mean(0))
    return ChangeCurves(
        done.subject,
        done.scenes,
        rows(mean),
        rows(spread),
        adjustment.digest,
        made_with,
        ratios=ratios,
        ratio_scenes=len(done.ratios),
    )


def versions(pipe: Any) -> dict[str, str]:
    """The libraries' versions, and a digest of the networks' weights."""
    return {name: version(name) for name in LIBRARIES} | {"weights": weights_of(pipe)}


def weights_of(pipe: Any) -> str:
    """Twelve hex digits that name the weights of the UNet and the ControlNets; training again changes them.

    So do LoRAs over them, each with its weight.
    """
    networks, digest = Networks.of(pipe), sha256()
    for net in (networks.unet, *networks.controls.values()):
        for parameter in net.parameters():
            # In numpy's order of its own: torch would reorder with all threads, in whatever thread this is asked.
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
        for name, part in net.named_modules():
            if "scaling" in vars(part):  # a layer of PEFT's
                digest.update(f"{name} {part.scaling} {part.active_adapters} {part.disable_adapters}".encode())
    return digest.hexdigest()[:12]
