"""The rules a plan carries beside its table: how to forecast, when to refresh or to doubt, how to weigh guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from hgc.refused import Refused


class PlanRefused(Refused, ValueError):
    """A plan that cannot be run here. The message names the plan, the place and the remedy."""


class CalibrationRefused(PlanRefused):
    """A calibration that is damaged or of something else; one sentence with the remedy."""


Basis = Literal["repeat", "taylor", "hermite", "chebyshev", "scale_shift", "weighted", "residual"]
POLYNOMIAL = ("taylor", "hermite", "chebyshev")
ORDERS = (1, 2)
LONGEST_WINDOW = 8
HEAVIEST = 100


@dataclass(frozen=True)
class Weighing:
    """The stand-in at step `at`: the values computed at `steps` (oldest first), each times its weight, added up."""

    at: int
    steps: tuple[int, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("steps", "weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON brings lists
        where = f"weights for step {self.at}"
        if len(self.steps) != len(self.weights) or not self.steps:
            raise PlanRefused(f"{where}: {len(self.weights)} for {len(self.steps)} past steps; give one each")
        if list(self.steps) != sorted({*self.steps, self.at})[:-1] or self.steps[0] < 0:
            raise PlanRefused(f"{where}: past steps {list(self.steps)} must rise from 0 and lie before it")
        if strange := [w for w in self.weights if not isinstance(w, int | float) or not abs(w) <= HEAVIEST]:
            raise PlanRefused(f"{where}: {strange[0]!r}; choose numbers from -{HEAVIEST} to {HEAVIEST}")


@dataclass(frozen=True)
class ForecastRule:
    """How a cell marked F goes on from the values computed before.

    * `repeat`: the last value;
    * `taylor`: the polynomial of degree `order` through the last order + 1 values (after TaylorSeer,
      arXiv 2503.06923; see bases.py);
    * `hermite`: its differences on contracted Hermite polynomials, which damp long gaps (HiCache, arXiv 2508.16984);
    * `chebyshev`: the polynomial of degree `order` nearest to the last `window` values by least squares, in Chebyshev's
      basis (Spectrum's fit, without its ridge term);
    * `scale_shift`: the last value times a scale plus a shift for each channel and step, measured in calibration
      (Block Caching, arXiv 2312.03209, sec. 3.3); `fitted` is the digest of these numbers;
    * `weighted`: the last values with weights of their own for every step, fitted by least squares to features of full
      runs (ours, hgc.optimise); `weighings` has an entry for every step and past that occurs;
    * `residual`: the UNet's input plus the last difference between its output and its input (EasyCache, arXiv
      2507.02860; MagCache, arXiv 2506.09045); for whole predictions only.
    """

    basis: Basis = "taylor"
    order: int = 1
    window: int | None = None
    fitted: str | None = None
    weighings: tuple[Weighing, ...] | None = None

    def __post_init__(self) -> None:
        if self.basis not in get_args(Basis):
            raise PlanRefused(f"forecast basis {self.basis!r}; known are {', '.join(get_args(Basis))}")
        if type(self.order) is not int or self.order not in ORDERS:
            raise PlanRefused(f"forecast order {self.order!r} must be a whole number; known are 1 and 2")
        if (self.window is not None) != (self.basis == "chebyshev"):
            needs = "needs a window, e.g. 3" if self.basis == "chebyshev" else "has no window; leave it out"
            raise PlanRefused(f"forecast basis '{self.basis}' with window {self.window!r}: it {needs}")
        if self.window is not None and (type(self.window) is not int or not self.order < self.window <= LONGEST_WINDOW):
            raise PlanRefused(
                f"forecast window {self.window!r} of order {self.order}: choose a whole number from {self.order + 1} "
                f"to {LONGEST_WINDOW}"
            )
        if (self.fitted is not None) != (self.basis == "scale_shift"):
            needs = "needs the digest of an adjustment" if self.fitted is None else "has none; leave `fitted` out"
            raise PlanRefused(f"forecast basis '{self.basis}' with fitted {self.fitted!r}: it {needs}")
        self._check_weighings()

    def _check_weighings(self) -> None:
        if (self.basis == "weighted") != bool(self.weighings):
            needs = "has none; leave `weighings` out" if self.weighings else "needs `weighings`"
            raise PlanRefused(f"forecast basis '{self.basis}': it {needs}")
        if self.weighings is not None:  # JSON brings objects
            made = tuple(entry if isinstance(entry, Weighing) else Weighing(**entry) for entry in self.weighings)
            object.__setattr__(self, "weighings", made)

    def knows(self, at: int, past: Sequence[int]) -> bool:
        """Whether it says how to go on to step `at` from values of the steps `past`."""
        return self.weighings is None or self._entry(at, past) is not None

    def _entry(self, at: int, past: Sequence[int]) -> Weighing | None:
        for entry in self.weighings or ():
            if entry.at == at and entry.steps == tuple(past[-len(entry.steps) :]):
                return entry
        return None

    def weighing(self, at: int, past: Sequence[int]) -> Weighing:
        """The entry for step `at` after values of the steps `past`. Raises PlanRefused where there is none."""
        if (entry := self._entry(at, past)) is not None:
            return entry
        raise PlanRefused(
            f"step {at}: no weights to go on from steps {', '.join(map(str, past)) or 'none'}; the plan was made for "
            "another course, optimise it again"
        )

    @classmethod
    def polynomial(cls, order: int) -> ForecastRule:
        """Order 0 repeats, 1 follows a line, 2 a parabola. Raises PlanRefused for any other."""
        if order not in (0, *ORDERS):
            raise PlanRefused(f"forecast order {order}: choose 0 (repeat), 1 (line) or 2 (parabola)")
        return cls("taylor", order) if order else REPEAT

    @property
    def depth(self) -> int:
        """How many past values it goes on from."""
        if self.window is not None:
            return self.window
        if self.weighings is not None:
            return max(len(entry.steps) for entry in self.weighings)
        return self.order + 1 if self.basis in POLYNOMIAL else 1

    @property
    def least(self) -> int:
        """How many past values there must be: a polynomial of fewer values than it wants has a lower degree."""
        return 1 if self.weighings is not None else min(self.depth, 2)


REPEAT = ForecastRule("repeat")
RESIDUAL = ForecastRule("residual")
LINE = ForecastRule("taylor", 1)


@dataclass(frozen=True)
class Gate:
    """Run-time refresh: an in-between step becomes a full one when the expected change since the last full one
    reaches `threshold` (relative L1), or after `longest` in-between steps in a row.

    The change is expected from the input's motion; with `by` "feature" it is that of a feature that each such step
    computes (the anatomy's `glimpsed`). Then a refreshed step is followed by others for as long as `release` is
    reached, which is no more than `threshold`: a hysteresis. With `per_branch` the unguided branch's row is decided as
    well, by the change of the guidance difference. No more than `most` in-between steps become full ones, where that is
    given.
    """

    threshold: float
    longest: int = 6
    per_branch: bool = False
    most: int | None = None
    by: Literal["feature"] | None = None
    release: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 10:
            raise PlanRefused(f"gate threshold {self.threshold}: choose a relative change between 0 and 10, e.g. 0.15")
        if self.longest < 1:
            raise PlanRefused(f"gate longest {self.longest}: at least 1 in-between step")
        if self.most is not None and (type(self.most) is not int or self.most < 1):
            raise PlanRefused(f"gate most {self.most!r}: at least 1 refreshed step, or leave it out for no bound")
        if self.by not in (None, "feature"):
            raise PlanRefused(f"gate by {self.by!r}: choose 'feature', or leave it out to go by the input's motion")
        if self.release is not None and (self.by is None or not 0 < self.release <= self.threshold):
            needs = f"choose a relative change above 0, at most the threshold {self.threshold}"
            raise PlanRefused(f"gate release {self.release}: {needs if self.by else 'only a gate by feature has one'}")

    @classmethod
    def by_feature(cls, threshold: float, release: float | None = None, most: int | None = None) -> Gate:
        """HGC's; half of the threshold releases where nothing else is said."""
        return cls(threshold, most=most, by="feature", release=threshold / 2 if release is None else release)

    @property
    def low(self) -> float:
        """The change below which a refreshed step is followed by a kept one."""
        return self.threshold if self.release is None else self.release


@dataclass(frozen=True)
class Verification:
    """Run-time check: where a kept site is computed, what the plan would have put there is compared with the value.

    When the relative L1 error passes `threshold`, the next step that would keep the site is computed instead; 0 trusts
    no forecast once it was measured. A weighted forecast has no weights for values that such a step adds, nor always
    for the steps in which it is measured: there it follows a line through the last two values.
    """

    threshold: float

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold < 10:
            raise PlanRefused(
                f"verification threshold {self.threshold!r}: choose a relative error from 0 to below 10, e.g. 0.1"
            )


@dataclass(frozen=True)
class FrequencySplit:
    """Weights by step of a kept guidance difference's low and high frequencies (FasterCache, arXiv 2410.19355, eq. 9).

    `radius` parts them: the distance from the spectrum's centre, as a share of the shorter side.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    radius: float = 0.2

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            weights = tuple(getattr(self, name))
            object.__setattr__(self, name, weights)  # JSON brings lists
            if strange := [w for w in weights if not isinstance(w, int | float) or not 0 <= w <= 10]:
                raise PlanRefused(f"frequency split, {name}: weight {strange[0]!r}; choose numbers from 0 to 10")
        if not 0 < self.radius < 1:
            raise PlanRefused(f"frequency split radius {self.radius}: choose a share between 0 and 1, e.g. 0.2")
