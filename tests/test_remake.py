"""What is made from the weights is made again when they change: in order, and from where a stop left it."""

import json
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
import typer

from hgc.__main__ import app
from hgc.bench.remake import MODEL, Remake, RemakeStep, steps
from hgc.bench.setup import BenchRefused
from hgc.calibration.files import read_curves

ASSETS = Path(__file__).parents[1] / "assets"
THREE = [RemakeStep(name, f"make {name}", (f"assets/{name}.json",)) for name in ("plans", "figures", "wall")]


class Maker:
    """Runs steps by writing their files; the one called `broken` fails."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.broken = ""

    def __call__(self, step: RemakeStep, root: Path, beside: int = 1) -> int:
        self.seen.append(step.name)
        if step.name == self.broken:
            return 1
        for file in step.makes:
            (root / file).write_text("made")
        return 0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / MODEL / "unet").mkdir(parents=True)
    (tmp_path / MODEL / "unet" / "a.safetensors").write_bytes(b"1")
    return tmp_path


def test_a_stopped_remake_goes_on_and_new_weights_begin_again(root: Path) -> None:
    maker, news = Maker(), list[str]()
    remake = Remake(root, THREE, maker)
    maker.broken = "figures"
    with pytest.raises(BenchRefused, match=r"`python -m hgc make figures` .*status 1"):
        remake.go(news.append)
    assert maker.seen == ["plans", "figures"]
    assert remake.stale() == THREE[1:]

    maker.broken, maker.seen = "", []
    remake.go(news.append)
    assert maker.seen == ["figures", "wall"]
    assert remake.stale() == []
    assert news[-1] == "2 of 2: wall: python -m hgc make wall"

    (root / "assets" / "wall.json").unlink()
    assert remake.stale() == THREE[2:]
    (root / MODEL / "unet" / "a.safetensors").write_bytes(b"2")
    assert remake.stale() == THREE


def test_steps_of_one_turn_run_side_by_side_and_later_ones_wait(root: Path) -> None:
    both, maker = Barrier(2), Maker()

    def run(step: RemakeStep, root: Path, beside: int) -> int:
        assert beside == 2 - step.turn
        if step.turn == 0:
            both.wait(timeout=10)
        else:
            assert maker.seen[:2] == ["figures", "plans"] or maker.seen[:2] == ["plans", "figures"]
        return maker(step, root)

    remake = Remake(root, [*THREE[:2], replace(THREE[2], turn=1)], run, at_once=2)
    remake.go(lambda news: None)
    assert maker.seen[2:] == ["wall"]
    assert remake.stale() == []


def test_what_runs_beside_a_step_that_fails_is_noted_and_nothing_more_begun(root: Path) -> None:
    both, maker = Barrier(2), Maker()
    maker.broken = "plans"

    def run(step: RemakeStep, root: Path, beside: int) -> int:
        both.wait(timeout=10)
        return maker(step, root)

    remake = Remake(root, [*THREE[:2], replace(THREE[2], turn=1)], run, at_once=2)
    with pytest.raises(BenchRefused, match="plans: "):
        remake.go(lambda news: None)
    assert sorted(maker.seen) == ["figures", "plans"]
    assert [step.name for step in remake.stale()] == ["plans", "wall"]


def test_a_step_that_makes_nothing_is_not_done(root: Path) -> None:
    remake = Remake(root, THREE, lambda step, root, beside: 0)
    with pytest.raises(BenchRefused, match=r"plans: .* made no assets/plans\.json"):
        remake.go(lambda news: None)
    assert remake.stale() == THREE


def test_another_command_makes_a_step_stale(root: Path) -> None:
    Remake(root, THREE, Maker()).go(lambda news: None)
    other = [RemakeStep("plans", "make plans --better", THREE[0].makes), *THREE[1:]]
    assert Remake(root, other, Maker()).stale() == other[:1]


def test_what_is_timed_has_the_machine_to_itself() -> None:
    turns = Counter(step.turn for step in steps())
    timed = [step for step in steps() if "--alone 5" in step.words or step.words.startswith("bench landscapes")]
    assert len(timed) == 3
    assert all(turns[step.turn] == 1 for step in timed)
    others = [step for step in steps() if "bench pareto" in step.words and step not in timed]
    assert all("--alone 0" in step.words for step in others)


def test_weights_with_depth_have_calibrations_plans_and_figures_of_it_too() -> None:
    drawn, deep = steps(("segmentation", "edges")), steps(("segmentation", "edges", "depth"))
    more = [step for step in deep if step.name not in {other.name for other in drawn}]
    made = ["calibration depth ddim", "plans depth ddim", "figures optimised-depth-ddim"]
    assert [step.name for step in more] == made
    assert all("--control depth" in step.words for step in more)
    assert len(deep) == len(drawn) + len(more)


def test_every_command_is_one_that_the_shell_takes() -> None:
    group = typer.main.get_command(app)
    for step in steps(("segmentation", "edges", "depth")):
        words, command = shlex.split(step.words), group
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(step.name, words)


def test_the_assets_are_all_there_and_known_by_their_weights() -> None:
    made = json.loads((ASSETS / "made.json").read_text())
    assert made.keys() == {step.name for step in steps()}
    assert all((ASSETS.parent / file).exists() for step in steps() for file in step.makes)
    files = {file for step in steps() for file in step.makes}
    for folder in ("calibration", "plans", "figures", "recorded"):
        assert {f"assets/{folder}/{path.name}" for path in (ASSETS / folder).iterdir()} <= files
    assert Remake(ASSETS.parent, steps(), Maker()).stale() == []


def test_calibrations_are_of_as_many_scenes_as_their_commands_say() -> None:
    made = json.loads((ASSETS / "made.json").read_text())
    calibrated = {step: made[step.name]["command"] for step in steps() if step.words.startswith("calibrate ")}
    assert len(calibrated) == 6
    for step, command in calibrated.items():
        curves = read_curves(ASSETS.parent / step.makes[0])
        assert f" --scenes {curves.scenes} " in command
        assert f" --control {curves.subject.control} --sampler {curves.subject.sampler} " in command
