"""Our DeepCache and T-GATE against the code that their authors published, run on the same networks and the same noise.

The packages `DeepCache` and `tgate` are optional: pip install -r tests/peers-requirements.txt

What we found in the released code (read, and run on diffusers 0.42 and torch 2.11):

* DeepCache 0.1.1 (arXiv 2312.00858): the helper knows even steps only, not the uneven ones of the paper's sec. 3.4; it
  counts three decoder layers a block whatever the model has; it looks the step up by its timestep, which Heun repeats;
  under ControlNet it runs the control in full in every step, although skipped steps read only the outermost residuals.
* T-GATE 1.0.0 (arXiv 2404.02747): at the gate it averages both branches' self-attention as it does cross-attention, and
  so do we; after the gate it goes on with the negative prompt, which in SD nobody reads any more, but SDXL reads its
  pooled text in every step: there we go on with the prompt; it replaces the forward of every attention, so that the
  processors of an IP-Adapter are left out; there is no pipeline with ControlNet.
* Both leave their forwards on the modules (T-GATE its kept values too); here they are taken off again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from time import perf_counter
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from hgc.bench.setup import BenchRefused
from hgc.bench.table import text_table
from hgc.cache.anatomy import Anatomy, Macs
from hgc.cache.anatomy.macs import NetworkMacs
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan
from hgc.cache.running.engine import cached
from hgc.cache.schedules import DeepCache, TGate
from hgc.request import Request
from hgc.studio.studio import Studio
from hgc.studio.worker import on_worker

PEERS: Mapping[str, str] = {"DeepCache": "0.1.1", "tgate": "1.0.0"}  # packages, and the versions compared with
INSTALL = "pip install -r tests/peers-requirements.txt"
TEXT_TO_IMAGE = ("prompt_embeds", "negative_prompt_embeds", "num_inference_steps", "guidance_scale", "latents")
DEEPCACHE, TGATE = DeepCache(), TGate(self_every_before=5)
Latents = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class PeerSettings:
    """Both methods' own, T-GATE's with self-attention kept as its authors have it, and the rounds that are timed."""

    deepcache: DeepCache = DEEPCACHE
    tgate: TGate = TGATE
    repeats: int = 3

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise BenchRefused(f"repeats {self.repeats}: choose 1 or more")


@dataclass(frozen=True)
class Duel:
    """One method, theirs and ours. `difference` is the largest between both final latents, `largest` their greatest.

    MACs are of the denoiser for one picture, theirs as executed; times are medians of warm calls, taken in turn.
    """

    peer: str
    plan: str
    control: bool
    difference: float
    largest: float
    macs_theirs: Macs
    macs_ours: Macs
    ms_theirs: float
    ms_ours: float

    @property
    def alike(self) -> bool:
        """Equal to the tolerance of float32 sums in another order."""
        return self.difference <= 1e-4 * self.largest


def _giga(macs: Macs) -> str:
    return f"{macs.paper / 1e9:.1f} ({macs.full / 1e9:.1f})"


def _difference(duel: Duel) -> str:
    return f"{duel.difference:.1e} of {duel.largest:.2g}" if duel.difference else "none"


COLUMNS: tuple[tuple[str, Callable[[Duel], str]], ...] = (
    ("plan", lambda duel: duel.plan),
    ("control", lambda duel: "yes" if duel.control else "no"),
    ("largest difference", _difference),
    ("G MACs, theirs", lambda duel: _giga(duel.macs_theirs)),
    ("ours", lambda duel: _giga(duel.macs_ours)),
    ("ms, theirs", lambda duel: f"{duel.ms_theirs:.0f}"),
    ("ours", lambda duel: f"{duel.ms_ours:.0f}"),
)


def text(duels: Sequence[Duel], measured_on: str) -> str:
    """Both sides by side; MACs in giga, paper convention then full."""
    versions = ", ".join(f"{name} {release}" for name, release in PEERS.items())
    return f"{text_table(duels, COLUMNS)}\nMACs of one picture, paper (full); {versions}; {measured_on}"


def data(duels: Sequence[Duel]) -> list[dict[str, Any]]:
    return [asdict(duel) | {"alike": duel.alike} for duel in duels]


def check_installed() -> None:
    """Raises BenchRefused when a peer is missing or of another version than the one compared with."""
    for name, release in PEERS.items():
        try:
            installed = version(name)
        except PackageNotFoundError as error:
            raise BenchRefused(f"{name} is not installed: {INSTALL}") from error
        if installed != release:
            raise BenchRefused(f"{name} {installed} is installed, the comparison is with {release}: {INSTALL}")


@on_worker
def fought(studio: Studio, request: Request, settings: PeerSettings) -> list[Duel]:
    """The duels on a loaded model. Raises BenchRefused when a peer is missing, PlanRefused for wrong settings."""
    return list(duels(studio.loaded.pipeline(request.control, request.sampler), studio.call(request), settings))


def duels(pipe: Any, call: Mapping[str, Any], settings: PeerSettings) -> Iterator[Duel]:
    """DeepCache and T-GATE without ControlNet, then DeepCache on the Stable Diffusion ControlNet pipeline `pipe`.

    `call` holds the arguments of that pipeline's call: latents, prompt embeddings, the control `image`, steps, guidance
    on. Raises BenchRefused when a peer is missing, PlanRefused for settings out of range.
    """
    check_installed()
    bare, plain = without_control(pipe), {name: call[name] for name in TEXT_TO_IMAGE}
    steps = call["num_inference_steps"]
    for network, arguments in ((bare, plain), (pipe, call)):
        anatomy = _anatomy(network, arguments)
        plan = settings.deepcache.plan(anatomy, steps)
        theirs = released_deepcache(network, arguments, settings.deepcache)
        yield _duel("DeepCache", network, arguments, plan, theirs, settings.repeats)
        if network is bare:
            plan = settings.tgate.plan(anatomy, steps)
            theirs = released_tgate(network, arguments, settings.tgate)
            yield _duel("T-GATE", network, arguments, plan, theirs, settings.repeats)


def without_control(pipe: Any) -> StableDiffusionPipeline:
    """The text-to-image pipeline over the same networks."""
    parts = {name: part for name, part in pipe.components.items() if name != "controlnet"}
    # The constructor rewrites the settings of a scheduler that lacks the original's offset: it reads another.
    parts["scheduler"] = DDIMScheduler(steps_offset=1, clip_sample=False)
    bare = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    bare.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    bare.set_progress_bar_config(disable=True)
    return bare


def _anatomy(pipe: Any, call: Mapping[str, Any]) -> Anatomy:
    height, width = call["latents"].shape[-2:]
    return measure(Networks.of(pipe), (height, width), call["prompt_embeds"].shape[1], model="the peers' model")


def released_deepcache(pipe: Any, call: Mapping[str, Any], settings: DeepCache) -> Latents:
    helper = import_module("DeepCache").DeepCacheSDHelper(pipe=pipe)
    helper.set_params(cache_interval=settings.interval, cache_branch_id=settings.branch)

    def run() -> torch.Tensor:
        helper.enable()
        try:
            return _latents(pipe, call)
        finally:
            helper.disable()

    return run


def released_tgate(pipe: Any, call: Mapping[str, Any], settings: TGate) -> Latents:
    gated = import_module("tgate").TgateSDLoader(pipe).tgate

    def run() -> torch.Tensor:
        return _latents(
            gated,
            call,
            gate_step=settings.gate_step,
            sp_interval=settings.self_every_before,
            fi_interval=settings.self_every_after,
            warm_up=settings.warm,
        )

    return run


def _latents(pipe: Any, call: Mapping[str, Any], **more: Any) -> torch.Tensor:
    latents: torch.Tensor = pipe(**{**call, **more, "output_type": "latent"}).images
    return latents


def _duel(peer: str, pipe: Any, call: Mapping[str, Any], plan: Plan, theirs: Latents, repeats: int) -> Duel:
    networks = Networks.of(pipe)

    def ours() -> torch.Tensor:
        with cached(pipe, plan) as run:
            latents = _latents(pipe, call)
        spent.append(run.trace.macs)
        return latents

    spent: list[Macs] = []
    with as_found(networks), NetworkMacs(networks.all) as counted:
        reference = theirs()
    difference = float((ours() - reference).abs().max())
    rounds = [(_theirs_ms(networks, theirs), _ms(ours)) for _ in range(repeats)]
    return Duel(
        peer=peer,
        plan=plan.name,
        control=bool(networks.controls),
        difference=difference,
        largest=float(reference.abs().max()),
        macs_theirs=counted.total,
        macs_ours=spent[0],
        ms_theirs=median(theirs_ms for theirs_ms, _ in rounds),
        ms_ours=median(ours_ms for _, ours_ms in rounds),
    )


@contextmanager
def as_found(networks: Networks) -> Iterator[None]:
    """Takes off the networks' modules whatever the block leaves on them."""
    before = {module: set(vars(module)) for net in networks.all for module in net.modules()}
    try:
        yield
    finally:
        for module, names in before.items():
            for name in set(vars(module)) - names:
                del vars(module)[name]


def _theirs_ms(networks: Networks, theirs: Latents) -> float:
    with as_found(networks):
        return _ms(theirs)


def _ms(run: Latents) -> float:
    begun = perf_counter()
    run().cpu()  # waits for the device
    return (perf_counter() - begun) * 1e3
