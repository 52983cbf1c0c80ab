"""`bench diffusers` on a source tree of one small pipeline: what runs under a plan, and how ends are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench.their_tests import SUITE, Theirs, ends_of, run

TESTS = """
import os
import sys
import unittest
sys.path.insert(0, {tests!r})
import tiny
import torch
from transformers import CLIPTokenizer

class PipelineFastTests(unittest.TestCase):
    def test_picture(self):
        assert tiny.latents(tiny.small_pipeline("sd", "text", 1), steps=3).isfinite().all()
    def test_without_control(self):
        assert tiny.latents(tiny.small_pipeline("sd", "text", 0), steps=3).isfinite().all()
    def test_tokenizer(self):
        tokenizer = CLIPTokenizer.from_pretrained("hf-internal-testing/tiny-random-clip")
        assert tokenizer("a lake", padding="max_length").input_ids[0] == tokenizer.bos_token_id
        assert len(tokenizer("a lake", padding="max_length").input_ids) == 77
    def test_that_a_plan_breaks(self):
        assert "HGC_UNDER_PLAN" not in os.environ
    def test_slow(self):
        assert False
"""


def test_loops_of_a_pipeline_with_control_run_under_a_plan(tmp_path: Path) -> None:
    suite = tmp_path / SUITE
    suite.mkdir(parents=True)
    (suite / "test_small.py").write_text(TESTS.format(tests=str(Path(__file__).parent)))
    ends, told = run(tmp_path, "FastTests and not slow", planned=True)
    assert ends.pop("PipelineFastTests.test_that_a_plan_breaks") == "failed"
    assert list(ends.values()) == ["passed"] * 3
    assert told == {"loops": 1, "steps": 3}


def test_ends_are_read_from_the_report() -> None:
    cases = '<testcase classname="a.B" name="x"/><testcase classname="a.B" name="y"><skipped/></testcase>'
    cases += '<testcase classname="a.B" name="z"><error/></testcase>'
    assert ends_of(f"<testsuites><testsuite>{cases}</testsuite></testsuites>") == {
        "B.x": "passed",
        "B.y": "skipped",
        "B.z": "failed",
    }
    theirs = Theirs({"B.x": "passed", "B.y": "failed"}, {"B.x": "failed", "B.y": "failed"}, 4, 20)
    assert theirs.differing == ["B.x: passed plain, failed under a plan"]
    assert "under a plan  0 passed, 2 failed, 0 skipped" in theirs.text()
    assert Theirs({"B.x": "passed"}, {}, 0, 0).differing == ["B.x: passed plain, missing under a plan"]


@pytest.mark.parametrize("where", [".", "nowhere"])
def test_a_folder_without_their_tests_is_refused(tmp_path: Path, where: str) -> None:
    result = CliRunner().invoke(app, ["bench", "diffusers", str(tmp_path / where)])
    assert result.exit_code == 2
    assert "give a source tree of diffusers" in " ".join(result.output.split())
