"""What stands in for a value that is not computed, against closed forms; and the store it comes from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgc.cache.bases import lagrange, weights
from hgc.cache.forecast import by_frequency, combined, forecast_from, per_channel, relative_l1
from hgc.cache.rules import LINE, REPEAT, ForecastRule, PlanRefused
from hgc.cache.running.store import NeededValues, Store, StoredValue

POLYNOMIALS = [
    LINE,
    ForecastRule("taylor", 2),
    ForecastRule("chebyshev", 1, window=2),
    ForecastRule("chebyshev", 1, window=5),
    ForecastRule("chebyshev", 2, window=4),
]
ALL = [
    *POLYNOMIALS,
    REPEAT,
    ForecastRule("hermite", 1),
    ForecastRule("hermite", 2),
    ForecastRule("scale_shift", fitted="0" * 12),
]
past_steps = st.lists(st.integers(0, 40), min_size=5, max_size=6, unique=True).map(sorted)


def numbers(values: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]


@pytest.mark.parametrize("forecast", POLYNOMIALS, ids=str)
@given(past_steps, st.integers(1, 12))
def test_a_polynomial_of_its_order_is_foretold_exactly(forecast: ForecastRule, steps: list[int], ahead: int) -> None:
    coefficients = [0.05, -1.2, 0.3][-forecast.order - 1 :]
    at = steps[-1] + ahead
    found = forecast_from(forecast, steps, numbers([float(np.polyval(coefficients, step)) for step in steps]), at)
    assert float(found) == pytest.approx(np.polyval(coefficients, at), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("forecast", ALL, ids=str)
@given(past_steps, st.integers(1, 12))
def test_what_stands_still_is_foretold_to_stand_still(forecast: ForecastRule, steps: list[int], ahead: int) -> None:
    assert sum(weights(forecast, steps, steps[-1] + ahead)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_hermite_is_hicaches_formula_on_a_parabola(ahead: int) -> None:
    """Unit gaps: first difference 2 a t + b - a, second 2 a; H_1 = 2 y, H_2 = 4 y^2 - 2, at y = x / 2, contracted."""
    a, b, c, t = 0.3, -2.0, 1.0, 7
    values = numbers([a * s * s + b * s + c for s in (t - 2, t - 1, t)])
    first, second, y = 2 * a * t + b - a, 2 * a, ahead / 2
    wanted = float(values[-1]) + first * 0.5 * (2 * y) + second / 2 * 0.25 * (4 * y * y - 2)
    assert float(forecast_from(ForecastRule("hermite", 2), [t - 2, t - 1, t], values, t + ahead)) == pytest.approx(
        wanted
    )
    line = float(values[-1]) + first * 0.5 * ahead
    assert float(forecast_from(ForecastRule("hermite", 1), [t - 1, t], values[1:], t + ahead)) == pytest.approx(line)


def test_chebyshev_over_a_longer_window_is_least_squares() -> None:
    steps, at = [0, 1, 3, 4, 8], 10
    noisy = [0.0, 1.3, 2.5, 4.4, 7.9]
    found = forecast_from(ForecastRule("chebyshev", 1, window=5), steps, numbers(noisy), at)
    assert float(found) == pytest.approx(np.polyval(np.polyfit(steps, noisy, 1), at))


@pytest.mark.parametrize(
    "forecast", [LINE, ForecastRule("hermite", 2), ForecastRule("chebyshev", 2, window=3)], ids=str
)
def test_a_polynomial_never_goes_on_from_one_value(forecast: ForecastRule) -> None:
    with pytest.raises(PlanRefused, match="1 past values, needs 2"):
        weights(forecast, [3], 5)


@given(past_steps, st.integers(0, 60))
def test_lagrange_passes_through_its_values(steps: list[int], at: int) -> None:
    own = lagrange(steps, steps[2])
    assert own == pytest.approx([0, 0, 1, *[0] * (len(steps) - 3)], abs=1e-9)


def test_one_value_is_handed_on_as_it_is() -> None:
    value = torch.randn(3)
    assert forecast_from(REPEAT, [2, 4], [torch.zeros(3), value], 9) is value
    assert combined([value], [1.0]) is value


def test_frequencies_are_weighed_apart() -> None:
    """A constant is the lowest frequency, a chessboard the highest."""
    flat, board = torch.full((1, 2, 16, 16), 3.0), torch.ones(1, 2, 16, 16)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = -1
    torch.testing.assert_close(by_frequency(flat + board, 1.5, 0.5, 0.2), 1.5 * flat + 0.5 * board)
    wave = torch.cos(torch.arange(16) * 2 * torch.pi * 3 / 16).expand(1, 2, 16, 16)
    torch.testing.assert_close(by_frequency(wave, 2.0, 1.0, 0.2), 2 * wave)  # 3 whole bins are inside 0.2 x 16
    torch.testing.assert_close(by_frequency(wave, 2.0, 1.0, 0.18), wave)
    assert torch.equal(by_frequency(wave, 1.0, 1.0, 0.2), wave)


def test_numbers_per_channel_meet_pictures_and_tokens() -> None:
    scale = torch.arange(3.0)
    assert torch.equal((torch.ones(2, 3, 4, 4) * per_channel(scale, torch.ones(2, 3, 4, 4)))[0, :, 0, 0], scale)
    assert torch.equal((torch.ones(2, 5, 3) * per_channel(scale, torch.ones(2, 5, 3)))[0, 0], scale)


def test_relative_l1_is_the_papers() -> None:
    old, new = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([1.5, -2.0, 2.0])
    assert float(relative_l1(new, old)) == pytest.approx(1.5 / 6)


def test_a_value_of_both_branches_serves_one_and_two_half_values_make_a_whole() -> None:
    store, shape = Store(), (2, 3)
    first, second = torch.arange(6.0).reshape(2, 3), torch.full((1, 3), 9.0)
    store.keep(("a", 0), first, 0, 2, depth=1)
    assert torch.equal(store.read(("a", 0), NeededValues(1, 1, (1, 3))), first[1:])
    store.keep(("a", 0), second, 1, 1, depth=1)
    assert torch.equal(store.read(("a", 0), NeededValues(2, 2, shape)), torch.cat([first[:1], second]))
    assert torch.equal(store.read(("a", 0), NeededValues(2, 1, (1, 3))), second)


def test_the_store_lets_go_of_what_no_branch_needs() -> None:
    store, value = Store(), torch.zeros(2, 4)
    for step in range(5):
        store.keep(("a", 0), value, step, 2, depth=1)
    assert store.peak_bytes == value.numel() * 4
    store.keep(("b", 0), value, 0, 2, depth=1)
    assert store.peak_bytes == 2 * value.numel() * 4


def test_a_value_that_no_longer_fits_names_site_step_and_both_shapes() -> None:
    store = Store()
    store.keep(("mid", 0), torch.zeros(2, 8), 3, 2, depth=1)
    with pytest.raises(PlanRefused, match=r"'mid', step 5.*\(2, 8\).*\(2, 4\)"):
        store.read(("mid", 0), NeededValues(5, 2, (2, 4)))
    with pytest.raises(PlanRefused, match="'top', step 5"):
        store.read(("top", 0), NeededValues(5, 2, (2, 4)))


def test_one_branch_may_go_on_with_the_mean_of_both() -> None:
    store = Store()
    store.keep(("a", 0), torch.tensor([[1.0], [3.0]]), 0, 2, depth=1)
    assert store.read(("a", 0), NeededValues(1, 1, (1, 1), alone=StoredValue.average)).item() == 2
    store.keep(("a", 0), torch.tensor([[5.0]]), 1, 1, depth=1)
    assert store.read(("a", 0), NeededValues(2, 1, (1, 1), alone=StoredValue.average)).item() == 5


def test_an_adjustment_is_told_when_each_branchs_value_was_computed() -> None:
    store = Store()
    store.keep(("a", 0), torch.tensor([[1.0], [2.0]]), 0, 2, depth=1)
    store.keep(("a", 0), torch.tensor([[3.0]]), 4, 1, depth=1)
    wanted = NeededValues(5, 2, (2, 1), adjust=lambda value, since: value * 10 + since)
    assert store.read(("a", 0), wanted).flatten().tolist() == [10, 34]
