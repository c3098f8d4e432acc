"""What the same answer would have cost without looking: as many seeds for each loss, and tests at the end."""

from collections.abc import Sequence
from math import comb

import numpy as np
import scipy
from numpy.typing import NDArray

from lossbench.compare.numbers.seeds import MOST_SEEDS, seeds_needed
from lossbench.race.decide import Race, Rules, Values

POWER = 0.8
_SPREADS = (np.arange(400) + 0.5) / 400


def fixed_seeds(found: Race, values: Values, seeds: Sequence[int], rules: Rules, power: float = POWER) -> int | None:
    """Estimate how many seeds of every loss a design with a fixed number would have needed for the same decisions.

    It would say the same with the same guarantee: paired t tests at the end, at the levels of `lossbench.race.decide`.
    The number is that at which the hardest decision has a chance of `power`, if the differences to the best that the
    race saw are the true ones. Of a race that ended as soon as it could they are a little too large, so the number is
    rather too small.

    Returns
    -------
    int or None
        None while the best is not known, where there is nothing to decide, or beyond `MOST_SEEDS`.

    """
    count, margin = len(values), rules.margin or 0.0
    if not found.is_known or count < 2:
        return None
    worse: list[NDArray[np.float64]] = []
    needed: list[int | None] = []
    for label in values:
        fate = found.out[label].fate if label in found.out else "worse"
        if label == found.best or fate == "diverged":
            continue
        differences = _behind(label, found, values, seeds, rules)
        if fate == "equivalent":
            needed.append(seeds_to_equate(differences, margin, rules.alpha / comb(count, 2), power))
        else:
            worse.append(differences - (margin if label in found.out else 0.0))
    worse.sort(key=_effect, reverse=True)
    for rank, differences in enumerate(worse):
        level = rules.alpha / (count * (count - rank - 1))
        planned = seeds_needed(differences, power=power, alpha=2 * level)
        needed.append(2 if planned is None else planned.estimate)
    return None if not needed or None in needed else max(each for each in needed if each is not None)


def _behind(label: str, found: Race, values: Values, seeds: Sequence[int], rules: Rules) -> NDArray[np.float64]:
    """Return by how much a loss was behind the best on each seed that it had."""
    sign = 1 if rules.higher_is_better else -1
    had = seeds[: min(found.ran[label], found.ran[found.best])]
    return np.array([sign * (values[found.best][seed] - values[label][seed]) for seed in had])


def _effect(differences: NDArray[np.float64]) -> float:
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean()) / spread if spread else float("inf")


def seeds_to_equate(differences: NDArray[np.float64], margin: float, level: float, power: float) -> int | None:
    r"""Give the number of pairs with which two one-sided t tests would show the difference seen to be within a margin.

    The chance is that of :math:`|\bar d| < margin - t_{level, n-1} s / \sqrt n`, with the mean and the spread of the
    differences at hand for the true ones, averaged over s.

    Returns
    -------
    int or None
        At least 2; None if the mean is not within the margin, or beyond `MOST_SEEDS`.

    Examples
    --------
    >>> seeds_to_equate(np.array([0.0, 1.0, -1.0, 0.5, -0.5]), margin=1.0, level=0.05, power=0.8)
    7

    """
    mean, spread = abs(float(differences.mean())), float(differences.std(ddof=1))
    if mean >= margin:
        return None
    low, high = 2, MOST_SEEDS + 1
    while low < high:
        n = (low + high) // 2
        error = spread / np.sqrt(n)
        seen = error * np.sqrt(scipy.stats.chi2.ppf(_SPREADS, n - 1) / (n - 1))
        room = np.maximum(margin - scipy.stats.t.isf(level, n - 1) * seen, 0.0)
        error = max(error, np.finfo(float).tiny)
        chance = (scipy.stats.norm.cdf((room - mean) / error) - scipy.stats.norm.cdf((-room - mean) / error)).mean()
        low, high = (low, n) if chance >= power else (n + 1, high)
    return low if low <= MOST_SEEDS else None
