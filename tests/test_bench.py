"""The benchmarks run and say what they measured on; what they measure is not judged here."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from hgc.__main__ import app


def test_bench_speed_names_everything_it_was_measured_on() -> None:
    result = CliRunner().invoke(app, ["bench", "speed", "--steps", "4", "--plan", "0.6", "--repeats", "1", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"device", "dtype", "steps", "seed", "sampler", "repeats", "plan"} <= found.keys()
    assert min(found["plain_ms"], found["full_ms"], found["cached_ms"]) > 0
    assert found["macs_share_paper"] <= 0.6
    assert found["macs_share_paper"] < found["macs_share_full"]
