"""What a race knows after each look, and which seeds it runs next: from numbers alone, without records or training.

Each pair of losses has a sequence of intervals of its difference (`lossbench.compare.numbers.sequential`) that hold at
all looks together. What is said of K losses is wrong in at most alpha of all races:

- A loss is called worse, which says that it is not the best one (with a margin: not within the margin of it), when one
  side of its interval to another standing loss shows it at the level alpha / (K (s - 1)), where s losses stand, which
  have not been called worse yet. This is a closed test (Marcus, Peritz and Gabriel 1976). "All of these m losses are
  best" is refused when one of them is shown to be worse than another of them at alpha / (K (m - 1)), or than one of the
  others at alpha / (K m): of the first comparisons there are m (m - 1), of the second m (K - m), so that it is wrongly
  refused with a chance of at most alpha m / K + alpha (K - m) / K = alpha. Who is called worse by the rule above is
  shown to be worse at the level of each group of standing losses that it is in (m is at most s, and at most s - 1 if
  the other one is not in the group); each other group was refused when the first of it was called worse. So a loss that
  is best is called worse only if the group of all that are best is refused, which is wrong in at most alpha. It is not
  enough to correct over the K - 1 comparisons of one best loss: where several are the best, each may be dropped.
- A loss is called equivalent when its interval to the best mean lies within the margin, each side at the level
  alpha / number of pairs (Bonferroni): of a pair that is not equivalent only one side can err. As in the report of a
  sweep, wrong "worse" and wrong "equivalent" are two families, with alpha for each.

A larger level has narrower intervals at every look, so that what is shown at one level is shown at each larger one. Of
a side nothing is used but that it rarely errs; nothing depends on how the pairs depend on each other.

The intervals are made for the looks of the plan that a race began with. A race that is over can be given more seeds:
what is left of alpha then is small, but the plan and what was decided by it stay (`Rules.planned`).

The state is computed anew from the first seed on each time. A race that was stopped goes on with the same decisions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import comb, inf, isfinite, nan
from typing import Literal

import numpy as np

from lossbench.compare.numbers.sequential import Floats, chance_to_decide, confidence_sequence, critical_t
from lossbench.errors import ConfigError
from lossbench.ranges import takes

Values = Mapping[str, Mapping[int, float]]
"""The metric of each loss by seed; NaN is a run that ended without a number."""
Fate = Literal["worse", "equivalent", "diverged"]
RESOLUTION = 4 * float(np.finfo(np.float32).eps)
"""A difference below this share of the values is rounding, and counts as none."""


@takes(
    first="int [2, inf)",
    step="int [1, inf)",
    max_seeds="int [2, inf)",
    margin="number (0, inf) or null",
    alpha="number (0, 1)",
    futility="number [0, 1)",
)
@dataclass(frozen=True)
class Rules:
    """How a race is run; `conf/race/default.yaml` holds the same names but the last two.

    Parameters
    ----------
    first : int
        Seeds of each loss before the first look.
    step : int
        Seeds between two looks.
    max_seeds : int
        The budget: no loss gets more.
    margin : float, optional
        A loss is dropped if it is worse by more than this, or equivalent: its difference is smaller. None: a loss is
        dropped if it is worse.
    alpha : float
        Chance that in a race any loss is wrongly called worse, and that any is wrongly called equivalent.
    futility : float
        The race gives up where no open loss has a larger chance to be decided within the budget, by what was seen so
        far. 0: never.
    higher_is_better : bool
        Direction of the metric.
    planned : int, optional
        `max_seeds` with which the race began: all looks but those after it share nearly all of alpha. None: it begins.

    """

    first: int = 3
    step: int = 1
    max_seeds: int = 50
    margin: float | None = None
    alpha: float = 0.05
    futility: float = 0.05
    higher_is_better: bool = True
    planned: int | None = None

    def __post_init__(self) -> None:
        """Check what the keys together allow."""
        if self.first > self.max_seeds:
            raise ConfigError(f"race.first={self.first} is above race.max_seeds={self.max_seeds}. Give fewer, or more.")

    @property
    def plan(self) -> list[int]:
        """After how many seeds the race planned to look when it began."""
        last = self.planned or self.max_seeds
        return [*range(self.first, last, self.step), last]

    def look_after(self, n: int) -> int:
        """Return after how many seeds the look is that follows the one after n."""
        return min(next((look for look in self.plan if look > n), n + self.step), self.max_seeds)


@dataclass(frozen=True)
class Decision:
    """Why a loss left the race.

    Parameters
    ----------
    loss, fate, than : str
        "focal" is "worse" than "ldam", or "equivalent" to it; a "diverged" one has no number, and `than` is "".
    n : int
        Over how many seeds.
    low, high : float
        By how much `loss` is better than `than`: the interval that decided; negative where it is worse.

    """

    loss: str
    fate: Fate
    than: str
    n: int
    low: float = -inf
    high: float = inf


@dataclass(frozen=True)
class Look:
    """What was known after n seeds.

    Parameters
    ----------
    n : int
        Seeds of each loss that is in.
    best : str
        The loss with the best mean of those that are in.
    running : tuple of str
        The losses that are in after the look.
    against_best : dict
        By loss that was in before the look, by how much it is better than `best`: the interval.
    left : tuple of Decision
        Who left at this look.
    back : tuple of str
        Who had been equivalent to another best, and is not to this one.

    """

    n: int
    best: str
    running: tuple[str, ...]
    against_best: dict[str, tuple[float, float]]
    left: tuple[Decision, ...] = ()
    back: tuple[str, ...] = ()


@dataclass
class Race:
    """Where a race is.

    Parameters
    ----------
    looks : list of Look
        All looks so far.
    out : dict
        Who has left, and why.
    running : list of str
        Who is in.
    ran : dict
        How many seeds each loss has had.
    missing : dict
        The seeds of each loss that are to be run before the next look; empty when the race is over.
    gave_up : bool
        Whether it is over since what is left of the budget would hardly decide anything.

    """

    looks: list[Look] = field(default_factory=list)
    out: dict[str, Decision] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    ran: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[int]] = field(default_factory=dict)
    gave_up: bool = False

    @property
    def best(self) -> str:
        """The loss with the best mean at the last look; "" before the first one."""
        return self.looks[-1].best if self.looks else ""

    @property
    def undecided(self) -> list[str]:
        """Who is in and not shown to be worse than the best: empty if the best is known."""
        if not self.looks:
            return list(self.running)
        return [label for label in self.running if label != self.best and not self._is_worse(label)]

    @property
    def is_known(self) -> bool:
        """Whether each other loss is worse than the best, equivalent to it, or without a number."""
        return bool(self.looks) and bool(self.running) and not self.undecided

    @property
    def runs(self) -> int:
        """How many runs the race took."""
        return sum(self.ran.values())

    def _is_worse(self, label: str) -> bool:
        return self.looks[-1].against_best.get(label, (-inf, inf))[1] < 0


def race(values: Values, seeds: Sequence[int], rules: Rules) -> Race:
    """Run through a race as far as its values go.

    Parameters
    ----------
    values : mapping
        By loss and seed. What a loss has beyond the seeds that the race gives it is not looked at.
    seeds : sequence of int
        In the order in which they are given out; at least `rules.max_seeds`.
    rules : Rules
        How it is run.

    Examples
    --------
    >>> values = {"good": {0: 0.9, 1: 0.8, 2: 0.85, 3: 0.9, 4: 0.9}, "bad": {0: 0.5, 1: 0.4, 2: 0.46, 3: 0.5, 4: 0.49}}
    >>> found = race(values, range(5), Rules(max_seeds=5))
    >>> found.is_known, found.best, found.out["bad"].fate, found.out["bad"].n
    (True, 'good', 'worse', 3)
    >>> race({"good": {0: 0.9}, "bad": {}}, range(5), Rules(max_seeds=5)).missing
    {'good': [1, 2], 'bad': [0, 1, 2]}

    """
    found = Race(running=list(values), ran=dict.fromkeys(values, 0))
    pairs = _Pairs(values, seeds[: rules.max_seeds], rules)
    n = rules.first
    while True:
        lacking = {label: [seed for seed in seeds[:n] if seed not in values[label]] for label in found.running}
        found.missing.update({label: left for label, left in lacking.items() if left})
        if found.missing:
            return found
        found.ran.update(dict.fromkeys(found.running, n))
        _look(found, pairs, n)
        if found.is_known or not found.running or n >= rules.max_seeds:
            return found
        found.gave_up = _is_hopeless(found, pairs, n)
        if found.gave_up:
            return found
        n = rules.look_after(n)


class _Pairs:
    """The intervals of all pairs, each computed when it is first asked for."""

    def __init__(self, values: Values, seeds: Sequence[int], rules: Rules) -> None:
        sign = 1.0 if rules.higher_is_better else -1.0
        self.scores = {label: sign * np.array([found.get(s, nan) for s in seeds]) for label, found in values.items()}
        self.rules = rules
        self._known: dict[tuple[str, str, float], tuple[Floats, Floats]] = {}

    def to_drop(self, label: str, other: str, n: int, standing: int) -> tuple[float, float]:
        """Return by how much a loss is better than another one, at the level at which one of `standing` is dropped."""
        return self._interval(label, other, n, self._level_to_drop(standing))

    def to_equate(self, label: str, other: str, n: int) -> tuple[float, float]:
        """Return by how much a loss is better than another one, at the level at which they are called equivalent."""
        return self._interval(label, other, n, self._level_to_equate)

    def chance(self, label: str, other: str, n: int, standing: int) -> float:
        """Return the chance that the last look of the budget decides a pair, by what is known after n seeds."""
        margin, last = self.rules.margin, self.rules.max_seeds
        beyond = self._critical[self._level_to_drop(standing)][last - 1]
        within = np.inf if margin is None else self._critical[self._level_to_equate][last - 1]
        return chance_to_decide(self._differences(label, other)[:n], last, beyond, within, margin or 0.0)

    def _level_to_drop(self, standing: int) -> float:
        return self.rules.alpha / (len(self.scores) * max(1, standing - 1))

    @property
    def _level_to_equate(self) -> float:
        return self.rules.alpha / max(1, comb(len(self.scores), 2))

    @cached_property
    def _critical(self) -> dict[float, Floats]:
        """The critical t by level; after the plan for any looks, since nobody knows yet how far one will go on."""
        levels = [self._level_to_drop(standing) for standing in range(1, len(self.scores) + 1)]
        levels += [] if self.rules.margin is None else [self._level_to_equate]
        plan = self.rules.plan
        looks = [*plan, *range(plan[-1] + 1, self.rules.max_seeds + 1)]
        return dict(zip(levels, critical_t(levels, looks, plan[-1]), strict=True))

    def _interval(self, label: str, other: str, n: int, level: float) -> tuple[float, float]:
        """Return the interval after n seeds: what all intervals up to there have in common."""
        if (label, other, level) not in self._known:
            low, high = confidence_sequence(self._differences(label, other), self._critical[level], level)
            low, high = np.fmax.accumulate(low), np.fmin.accumulate(high)
            self._known[label, other, level], self._known[other, label, level] = (low, high), (-high, -low)
        low, high = self._known[label, other, level]
        return float(low[n - 1]), float(high[n - 1])

    def _differences(self, label: str, other: str) -> Floats:
        first, second = self.scores[label], self.scores[other]
        rounding = RESOLUTION * np.maximum(np.abs(first), np.abs(second))
        differences = first - second
        return np.where(np.abs(differences) <= rounding, 0.0, differences)

    def mean(self, label: str, n: int) -> float:
        """Return the mean over the first n seeds."""
        return float(self.scores[label][:n].mean())


def _look(found: Race, pairs: _Pairs, n: int) -> None:
    """Look at all losses that are in; those that are decided leave, and who must be looked at again comes back."""
    margin = pairs.rules.margin
    left = [Decision(label, "diverged", "", n) for label in found.running if not isfinite(pairs.mean(label, n))]
    _leave(found, left)
    if not found.running:
        found.looks.append(Look(n, "", (), {}, tuple(left)))
        return
    best = max(found.running, key=lambda label: pairs.mean(label, n))
    others = [label for label in found.running if label != best]
    left += _called_worse(found, pairs, n, best)
    if margin is not None:
        equal = [
            Decision(label, "equivalent", best, n, *interval)
            for label in found.running
            if label != best and _lies_within(interval := pairs.to_equate(label, best, n), margin)
        ]
        _leave(found, equal)
        left += equal
    back = list(_come_back(found, pairs, best))
    against = {label: pairs.to_drop(label, best, n, _standing(found)) for label in others}
    found.looks.append(Look(n, best, tuple(found.running), against, tuple(left), tuple(back)))


def _called_worse(found: Race, pairs: _Pairs, n: int, best: str) -> list[Decision]:
    """Call losses worse as long as there are any: each one makes it easier to call the next."""
    called: list[Decision] = []
    while True:
        count, fresh = _standing(found), list[Decision]()
        for label in found.running:
            rivals = {other: pairs.to_drop(label, other, n, count) for other in found.running if other != label}
            for rival in sorted(rivals, key=lambda other: (other != best, rivals[other][1])):
                if rivals[rival][1] < -(pairs.rules.margin or 0) and label != best:
                    fresh.append(Decision(label, "worse", rival, n, *rivals[rival]))
                    break
        if not fresh:
            return called
        _leave(found, fresh)
        called += fresh


def _standing(found: Race) -> int:
    """Count the losses that have not been called worse, wherever they are."""
    return sum(decision.fate != "worse" for decision in found.out.values()) + len(found.running)


def _is_hopeless(found: Race, pairs: _Pairs, n: int) -> bool:
    """Tell whether no open loss has much of a chance to be decided, so that the race won't know the best one."""
    standing = _standing(found)
    return all(pairs.chance(label, found.best, n, standing) < pairs.rules.futility for label in found.undecided)


def _leave(found: Race, left: Iterable[Decision]) -> None:
    for decision in left:
        found.out[decision.loss] = decision
        found.running.remove(decision.loss)


def _come_back(found: Race, pairs: _Pairs, best: str) -> Iterable[str]:
    """Bring back who is equivalent to a loss that is the best no more, unless to the new one as well, or worse than it.

    What is equivalent to a loss that is worse than another by more than the margin is worse than that one, too.
    """
    for decision in list(found.out.values()):
        if decision.fate != "equivalent" or decision.than == best or _is_worse(found, decision.than):
            continue
        interval = pairs.to_equate(decision.loss, best, decision.n)
        if _lies_within(interval, pairs.rules.margin or 0):
            found.out[decision.loss] = Decision(decision.loss, "equivalent", best, decision.n, *interval)
        else:
            del found.out[decision.loss]
            found.running.append(decision.loss)
            yield decision.loss


def _is_worse(found: Race, label: str) -> bool:
    return label in found.out and found.out[label].fate == "worse"


def _lies_within(interval: tuple[float, float], margin: float) -> bool:
    return -margin < interval[0] and interval[1] < margin
