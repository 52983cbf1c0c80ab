"""How many threads compute a picture on a CPU that others use as well.

OpenMP's threads wait for each other after every loop, of which a denoising step has hundreds. Where a thread has no
core of its own, the others wait awake for it, each time as long as the system lets another program run. Sleeping
instead of waiting awake makes every loop slower on an idle machine. So there are as many threads as there are free
cores.

Four steps of the embedded model on two cores under Linux 6.18, one and two threads in turn beside so many busy programs
(seconds, medians of three or four pairs):

| beside | one thread | two threads |
|---|---|---|
| none | 1.01 | 0.66 |
| 1 / 2 / 4 / 8 loops in Python | 1.01 / 1.57 / 2.7 / 5.1 | 2.0 / 2.5 / 6.1 / 30 |
| 1 / 2 / 4 that multiply matrices on two threads each | 1.5 / 2.7 / 5.4 | 2.8 / 25 / 34 |
"""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep

import torch

READS, APART_S = 2, 0.005
IDLE = 5  # the scheduling policy of programs that take only what nobody else wants
_PROGRAMS = Path("/proc")  # of this machine or container; /proc/loadavg counts those of other containers too
_MOST = torch.get_num_threads()  # one for each core, or what the environment says


def threads_beside(others: float, most: int) -> int:
    """Of at most so many threads those that have a core to themselves, and one at least."""
    return max(1, min(most, most - round(others)))


def runnable_elsewhere() -> float:
    """How many threads of other programs want a core at this moment; 0 where nobody says.

    One that gives way to this program counts as much as it takes: Linux gives a thread a fifth less for each step of
    niceness, and next to nothing to the policy for idle times (sched(7)).
    """
    nice = os.nice(0)
    counts = []
    for _ in range(READS):
        counts.append(sum(_wants(stat, nice) for stat in _PROGRAMS.glob("[0-9]*/task/[0-9]*/stat")))
        sleep(APART_S)
    return sum(counts) / len(counts)


def _wants(stat: Path, nice: int) -> float:
    """By the fields of proc_pid_stat(5): state, niceness and policy follow the name in brackets."""
    if stat.parts[-4] == str(os.getpid()):
        return 0.0
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it has ended
    if fields[0] != "R" or int(fields[38]) == IDLE:
        return 0.0
    return min(1.0, 0.8 ** (int(fields[16]) - nice))


def take_free_cores() -> int:
    """Sets the number of threads that this thread computes with, for as long as nobody sets another; returns it."""
    if _MOST > 1 and os.environ.get("OMP_NUM_THREADS") is None:
        torch.set_num_threads(threads_beside(runnable_elsewhere(), _MOST))
    return torch.get_num_threads()
