"""Equal in practice: whether two losses are shown to differ by less than a margin that would matter.

The rule, here and nowhere else: a pair is "equivalent" if its difference is shown to lie within the margin, even where
it also differs measurably, as a difference can be there and too small to matter. If it isn't equivalent, it is "better"
or "worse" where the difference is shown not to be 0, and otherwise "open". Both are adjusted over the same comparisons
(`lossbench.compare.numbers.pairs`).
"""

from math import nan
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.statistics import all_alike, finite, paired_steps, smallest_p

Outcome = Literal["better", "worse", "equivalent", "open"]


def p_equivalence(values: ArrayLike, baseline: ArrayLike, margin: float, *, paired: bool = True) -> float:
    r"""Give the p-value of two one-sided t tests (TOST): the smaller, the surer is the difference within the margin.

    With the mean difference :math:`\bar d` and its standard error :math:`s` the larger of both p-values, against "at
    least margin" and against "at most -margin", is

    .. math:: p = P(T_\nu > (margin - |\bar d|) / s)

    So p is below alpha exactly if the Student-t interval of confidence 1 - 2 alpha lies strictly within (-margin,
    margin). Pairs have :math:`\nu = n - 1`, other runs Welch's. If all paired differences are the same, their spread
    can't be believed and there is no t test: p is that of the signs alone, 1 / 2^n within the margin and 1 outside, so
    that equal runs of few seeds stay open.

    Parameters
    ----------
    values, baseline : array_like, shape (n,)
        Position i of both is the same seed; without pairs the lengths may differ.
    margin : float
        Above 0, in the unit of the values.
    paired : bool
        Whether the runs are pairs.

    Returns
    -------
    float
        Not corrected for other comparisons. NaN for fewer than 2 runs, and without pairs where no run has spread.

    Raises
    ------
    ValueError
        If the margin isn't above 0, a value isn't finite, or there are other numbers of paired runs.

    References
    ----------
    Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing the equivalence
    of average bioavailability", 1987. Lakens, "Equivalence tests", 2017.

    Examples
    --------
    >>> first, second = [0.80, 0.82, 0.84, 0.81], [0.801, 0.819, 0.842, 0.809]
    >>> round(p_equivalence(first, second, 0.01), 4), round(p_equivalence(first, second, 0.001), 4)
    (0.0005, 0.1955)

    """
    if not margin > 0:
        raise ValueError(f"margin={margin} is not allowed; give a number above 0")
    if not paired:
        return _of_other_runs(finite(values, "values"), finite(baseline, "baseline"), margin)
    differences, steps = paired_steps(values, baseline)
    n = len(differences)
    if n < 2:
        return nan
    if all_alike(steps):
        return smallest_p(n) / 2 if np.abs(differences).max() < margin else 1.0
    return _p(margin, differences.mean(), differences.var(ddof=1) / n, n - 1)


def _of_other_runs(first: NDArray[np.float64], second: NDArray[np.float64], margin: float) -> float:
    if min(len(first), len(second)) < 2 or np.ptp(first) + np.ptp(second) == 0:
        return nan
    one, other = first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)
    degrees = (one + other) ** 2 / (one**2 / (len(first) - 1) + other**2 / (len(second) - 1))
    return _p(margin, first.mean() - second.mean(), one + other, degrees)


def _p(margin: float, mean: float, variance: float, degrees: float) -> float:
    return float(scipy.stats.t.sf((margin - abs(mean)) / np.sqrt(variance), degrees))


def outcome(
    difference: float, p_difference: float, p_equivalent: float, *, higher_is_better: bool, alpha: float
) -> Outcome:
    """Say what a pair is, by the rule at the head of this file; p-values adjusted alike, NaN shows nothing.

    Examples
    --------
    >>> outcome(0.005, 0.01, 0.02, higher_is_better=True, alpha=0.05)
    'equivalent'
    >>> outcome(0.02, 0.01, 0.9, higher_is_better=False, alpha=0.05)
    'worse'

    """
    if p_equivalent < alpha:
        return "equivalent"
    if p_difference <= alpha:
        return "better" if (difference > 0) == higher_is_better else "worse"
    return "open"
