"""Processes that train one model side by side, each on batches of its own; their weights are averaged now and then.

Local SGD (Stich 2018, arXiv 1805.09767). On two cores two processes of a thread each took a denoiser's sixteen samples
in 1.9 s, where one of two threads took 2.5 s (24² latents, bfloat16): small layers leave a second thread idle.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hgc.refused import Refused
from hgc.training.compute import generator
from hgc.training.pace import Pace

HERE = "127.0.0.1"
EVERY = 16  # steps between two averages: the slower one is waited for, and both averages of 28 M weights take 0.5 s
STAGES_APART = 1000  # keeps the random draws of two processes apart
GLANCE_S = 0.1


class NoCompany(Refused, ValueError):
    """Processes asked for where they would not help: on an accelerator, which all of them would share."""


def check_company(count: int, device: str) -> None:
    """Raises NoCompany where several processes are to train on anything but a CPU."""
    if count > 1 and device != "cpu":
        raise NoCompany(f"--processes {count}: processes side by side are for CPUs; on {device} leave it out")


@dataclass(frozen=True)
class Company:
    """One of `count` processes that train a model. Number 0 keeps the checkpoints and says when training is over."""

    number: int = 0
    count: int = 1

    def generator(self, seed: int, stage: int, step: int) -> torch.Generator:
        """The randomness of a step in this process: the same after a resume, another in every process."""
        return generator(seed, stage + STAGES_APART * self.number, step)

    def meets(self, pace: Pace) -> bool:
        """Whether all meet after this step."""
        return self.count > 1 and (pace.step % EVERY == 0 or pace.step >= pace.budget.steps)

    def average(self, weights: Sequence[Tensor]) -> None:
        """Every process' weights become the mean of all."""
        flat = torch.cat([weight.detach().reshape(-1) for weight in weights])
        dist.all_reduce(flat)
        parts = (flat / self.count).split([weight.numel() for weight in weights])
        with torch.no_grad():
            for weight, mean in zip(weights, parts, strict=True):
                weight.copy_(mean.view_as(weight))

    def over(self, pace: Pace) -> bool:
        """Whether the training is over, which number 0 says where all meet."""
        if self.count == 1:
            return pace.finished()
        if not self.meets(pace):
            return False
        told = torch.tensor([float(pace.finished())])
        dist.broadcast(told, 0)
        return bool(told)


@contextmanager
def company_of(count: int, other: Callable[..., None], *args: Any) -> Iterator[Company]:
    """This process as number 0; the others call `other(company, *args)`, each on its part of the cores.

    Raises RuntimeError where one of them ends before the training has begun.
    """
    if count == 1:
        yield Company()
        return
    threads = torch.get_num_threads()
    store = dist.TCPStore(HERE, 0, count, is_master=True, wait_for_workers=False)
    spawned = multiprocessing.get_context("spawn")
    places = (store.port, count, max(1, threads // count))
    others = [spawned.Process(target=_join, args=(n, *places, other, args), daemon=True) for n in range(1, count)]
    for process in others:
        process.start()
    torch.set_num_threads(places[-1])
    try:
        for number, process in enumerate(others, start=1):
            while not store.check([str(number)]):
                if not process.is_alive():
                    raise RuntimeError(f"process {number} of the training ended before it began; it says why above")
                time.sleep(GLANCE_S)
        dist.init_process_group("gloo", store=store, rank=0, world_size=count)
        yield Company(0, count)
        for process in others:
            process.join()
    finally:
        torch.set_num_threads(threads)
        if dist.is_initialized():
            dist.destroy_process_group()
        for process in others:
            process.terminate()
            process.join()


def _join(number: int, port: int, count: int, threads: int, other: Callable[..., None], args: tuple[Any, ...]) -> None:
    """What a process beside the first does."""
    torch.set_num_threads(threads)
    store = dist.TCPStore(HERE, port, count, is_master=False)
    store.set(str(number), "here")
    dist.init_process_group("gloo", store=store, rank=number, world_size=count)
    other(Company(number, count), *args)
    dist.destroy_process_group()
