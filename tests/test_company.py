"""Processes that train one model: they end with the same weights, and none waits for one that is gone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hgc.training.checkpoint import load_checkpoint
from hgc.training.company import EVERY, Company, NoCompany, company_of
from hgc.training.compute import Compute
from hgc.training.pace import Budget, Pace
from hgc.training.train import tiny_recipe, train

CPU = Compute("cpu", bf16=False)


def meet(company: Company, out: Path) -> torch.Tensor:
    """Two steps of one weight, by the number of the process, with the mean taken after the last."""
    pace, weight = Pace(Budget(2)), torch.tensor([10.0 * company.number])
    over = False
    while not over:
        weight += 1
        pace.step += 1
        if company.meets(pace):
            company.average([weight])
        over = company.over(pace)
    torch.save(weight, out / f"{company.number}.pt")
    return weight


def leave(_company: Company, _out: Path) -> None:
    """A process whose training fails where the first waits for it."""
    raise SystemExit(3)


def test_all_take_the_mean_of_their_weights_where_they_meet(tmp_path: Path) -> None:
    """Also after a company one of which went, and took the others with it."""
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError), company_of(2, leave, tmp_path) as company:
        meet(company, tmp_path)
    assert torch.get_num_threads() == threads
    with company_of(2, meet, tmp_path) as company:
        assert meet(company, tmp_path) == 7  # of 2 and 12
    assert torch.load(tmp_path / "1.pt") == 7
    assert torch.get_num_threads() == threads
    with company_of(1, meet, tmp_path) as company:
        assert meet(company, tmp_path) == 2


def test_processes_that_would_share_an_accelerator_are_refused(tmp_path: Path) -> None:
    recipe, gpu = replace(tiny_recipe(), processes=2), Compute("cuda", bf16=True)
    with pytest.raises(NoCompany, match="--processes 2: processes side by side are for CPUs; on cuda leave it out"):
        train(tmp_path / "out", tmp_path / "work", recipe=recipe, compute=gpu)
    assert not list(tmp_path.iterdir())


def test_they_meet_every_so_often_and_draw_apart() -> None:
    pace, first, second = Pace(Budget(100)), Company(0, 2), Company(1, 2)
    met = []
    for pace.step in range(1, 101):
        if first.meets(pace):
            met.append(pace.step)
        assert not Company().meets(pace)
    assert met == [*range(EVERY, 100, EVERY), 100]
    draws = [torch.rand(3, generator=company.generator(0, 2, 5)).tolist() for company in (first, second, Company())]
    assert draws[0] == draws[2] != draws[1]


@pytest.mark.long
def test_two_processes_train_a_denoiser_the_same_way_twice(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), processes=2)
    for name in ("one", "two"):
        train(tmp_path / name, tmp_path / f"work-{name}", recipe=recipe, compute=CPU)
    train(tmp_path / "alone", tmp_path / "work-alone", recipe=tiny_recipe(), compute=CPU)
    one, two, alone = (load_checkpoint(tmp_path / f"work-{name}" / "denoiser.ckpt") for name in ("one", "two", "alone"))
    assert one["step"] == two["step"] == alone["step"] == 4
    assert all(torch.equal(weight, two["average"][name]) for name, weight in one["average"].items())
    assert any(not torch.equal(weight, alone["average"][name]) for name, weight in one["average"].items())
    assert all(weight.isfinite().all() for weight in one["average"].values())
