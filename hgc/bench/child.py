"""A Python program that ends with whoever started it, however that one ends.

Its standard input is a pipe that the starter alone holds. It closes when the starter ends, killed or not, and the
program ends then; run as `python -m hgc.bench.child program.py …`, this file sees to that inside the program.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def child(
    program: Path, *, cwd: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """The program under way, what it prints in `stdout`; it ends with the block. Finds `hgc` from any folder."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "hgc.bench.child", str(program), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


class _Ended(BaseException):
    """SIGTERM came; no `except` of a command that is tried out takes it for that command's end."""


@contextmanager
def unwound_by_sigterm() -> Iterator[None]:
    """SIGTERM ends this program only after what is within the block was left, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(_number: int, _frame: object) -> None:
        raise _Ended

    before = signal.signal(signal.SIGTERM, told)
    try:
        yield
    except _Ended:
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_with_the_starter() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_starter, name="end with the starter", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
