"""A bench's server, and the folder it writes in, end with the bench, in whatever way that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hgc.bench.child import ROOT

# A bench over a program that prints its number and waits; the bench waits for more, as for an answer.
BENCH = """
import sys, tempfile
from pathlib import Path
from hgc.bench.child import child, unwound_by_sigterm
with unwound_by_sigterm(), tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
    program = Path(folder) / "program.py"
    program.write_text("import os, time; print(os.getpid()); time.sleep(600)")
    with child(program, cwd=Path(folder), environment={}) as process:
        for line in iter(process.stdout.readline, b""):
            print(line.decode(), flush=True)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Whoever ended and is not yet waited for has a number still.
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked at in /proc")
@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL", "SIGINT"])
def test_a_server_ends_with_its_bench(tmp_path: Path, end: str) -> None:
    command = [sys.executable, "-c", BENCH, str(tmp_path)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # Whoever runs the tests in the background has them ignore Ctrl-C, and their children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as bench:
        assert bench.stdout is not None
        server = int(bench.stdout.readline())
        assert alive(server)
        bench.send_signal(signal.Signals[end])
        status = bench.wait(60)
    assert status == -signal.Signals[end]
    until = time.monotonic() + 60
    while alive(server) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(server)
    if end != "SIGKILL":
        assert list(tmp_path.iterdir()) == [], "the folder goes with it"
