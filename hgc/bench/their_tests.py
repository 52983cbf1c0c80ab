"""diffusers' own tests of ControlNet pipelines, as they are and under a plan that computes everything.

    git clone --depth 1 --branch v0.40.0 https://github.com/huggingface/diffusers
    pip install -r tests/requirements.txt parameterized requests-mock
    python -m hgc bench diffusers diffusers

Nothing is fetched while they run; those that need what is not here fail in both runs alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from hgc.bench.setup import BenchRefused
from hgc.bench.under_plan import REPORT

SUITE, CHOSEN = "tests/pipelines/controlnet", "FastTests"
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Theirs:
    """The end of every test, passed, failed or skipped, plain and under a plan, and the loops that ran under one."""

    plain: Mapping[str, str]
    planned: Mapping[str, str]
    loops: int
    steps: int

    @property
    def differing(self) -> list[str]:
        """Tests that end otherwise under a plan."""
        names = sorted({*self.plain, *self.planned})
        ends = [(self.plain.get(name, "missing"), self.planned.get(name, "missing")) for name in names]
        return [f"{name}: {a} plain, {b} under a plan" for name, (a, b) in zip(names, ends, strict=True) if a != b]

    def text(self) -> str:
        """The counts in a few lines, and every test that differs."""
        lines = [
            f"{title:13} {_counted(ends)}" for title, ends in (("plain", self.plain), ("under a plan", self.planned))
        ]
        summary = f"{self.loops} loops, {self.steps} steps ran under a plan; {len(self.differing)} tests end otherwise"
        return "\n".join([*lines, summary, *self.differing])


def run_both(source: Path, chosen: str = CHOSEN) -> Theirs:
    """Runs them twice from a source tree of diffusers. Raises BenchRefused where there are none."""
    plain, _ = run(source, chosen, planned=False)
    planned, counts = run(source, chosen, planned=True)
    return Theirs(plain, planned, counts["loops"], counts["steps"])


def run(source: Path, chosen: str, *, planned: bool) -> tuple[dict[str, str], dict[str, int]]:
    """The end of every test, and how many loops and steps ran under a plan. Raises BenchRefused."""
    if not (source / SUITE).is_dir():
        raise BenchRefused(f"{source} has no {SUITE}: give a source tree of diffusers, with its tests")
    with tempfile.TemporaryDirectory(prefix="hgc-bench-") as folder:
        ends, loops = Path(folder) / "ends.xml", Path(folder) / "loops.json"
        own = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "HF_HUB_OFFLINE": "1"}
        own |= {REPORT: str(loops)} if planned else {}
        options = ["-q", "-p", "no:cacheprovider", "-p", "hgc.bench.under_plan", "-c", os.devnull, "--rootdir", "."]
        command = [sys.executable, "-m", "pytest", SUITE, "-k", chosen, *options, f"--junitxml={ends}"]
        done = subprocess.run(
            command, cwd=source, env={**os.environ, **own}, capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1) or not ends.is_file():
            said = " ".join((done.stdout + done.stderr)[-400:].split())
            raise BenchRefused(f"diffusers' tests did not run: {said}")
        return ends_of(ends.read_text("utf-8")), json.loads(loops.read_text("utf-8")) if planned else {}


def ends_of(junit: str) -> dict[str, str]:
    """The end of every test of pytest's report."""
    ends = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        wrong = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        ends[name] = "failed" if wrong else "skipped" if skipped else "passed"
    return ends


def _counted(ends: Mapping[str, str]) -> str:
    counts = Counter(ends.values())
    return ", ".join(f"{counts[end]} {end}" for end in ("passed", "failed", "skipped"))
