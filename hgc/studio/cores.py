"""How many threads compute a picture on a CPU that others use as well.

OpenMP's threads wait for each other after every loop, of which a denoising step has hundreds. Where a thread has no
core of its own, the others wait awake for it, each time as long as the system lets another program run: beside some
twenty runnable threads on two cores, a step of the embedded model took 52 to 60 s on two threads, nine tenths of it
waiting, and 6 to 10 s on one (two runs each; seconds of processor time a step: 6.4 and 0.6). Sleeping instead of
waiting awake makes every loop slower on an idle machine. So there are as many threads as there are free cores.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep

import torch

READS, APART_S = 4, 0.005
_RUNNABLE = Path("/proc/loadavg")  # its fourth field: threads that run or could, and all there are
_MOST = torch.get_num_threads()  # one for each core, or what the environment says


def threads_beside(others: float, most: int) -> int:
    """Of at most so many threads those that have a core to themselves, and one at least."""
    return max(1, min(most, most - round(others)))


def runnable_elsewhere() -> float:
    """How many threads of all programs want a core at this moment, besides the one that asks; 0 where nobody says."""
    if not _RUNNABLE.exists():
        return 0.0
    counts = []
    for _ in range(READS):
        counts.append(int(_RUNNABLE.read_text().split()[3].partition("/")[0]) - 1)
        sleep(APART_S)
    return sum(counts) / len(counts)


def take_free_cores() -> int:
    """Sets the number of threads that this thread computes with, for as long as nobody sets another; returns it."""
    if _MOST > 1 and os.environ.get("OMP_NUM_THREADS") is None:
        torch.set_num_threads(threads_beside(runnable_elsewhere(), _MOST))
    return torch.get_num_threads()
