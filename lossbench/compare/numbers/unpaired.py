"""Two losses that were run with different seeds: what can be said without pairs."""

from math import nan

import numpy as np
import scipy
from numpy.typing import ArrayLike

from lossbench.compare.numbers.statistics import NO_TEST, PairedDifference, check_fraction, finite, kind_of


def unpaired_difference(
    values: ArrayLike, baseline: ArrayLike, *, higher_is_better: bool, confidence: float = 0.95, among: int = 1
) -> PairedDifference:
    """Compare a loss with a baseline whose runs have other seeds, on one data set: Welch's t and Mann-Whitney's test.

    What a seed does to both losses alike stays in the difference as noise, so that this sees less than
    `paired_difference` with the same number of runs.

    Parameters
    ----------
    values, baseline : array_like, shape (n,) and (m,)
        One number per run.
    higher_is_better : bool
        Direction of the metric; it decides `improvement` and nothing else.
    confidence : float
        In (0, 1).
    among : int
        As in `mean_interval`.

    Returns
    -------
    PairedDifference
        `n` is the smaller number of runs, `mean` the difference of the means, `p_t` that of Welch's test, `p_wilcoxon`
        that of Mann-Whitney's, `effect_size` Cohen's d with the mean of both variances, `improvement` the share of all
        n m pairs. Without two runs of each, or without any spread, bounds, `p_t` and `effect_size` are NaN, and
        of the latter a note says so.

    Raises
    ------
    ValueError
        As in `mean_interval`.

    References
    ----------
    Welch, "The generalization of Student's problem when several different population variances are involved", 1947.
    Mann and Whitney, "On a test of whether one of two random variables is stochastically larger", 1947.

    Examples
    --------
    >>> result = unpaired_difference([3.0, 4.0, 5.0], [1.0, 2.0], higher_is_better=True)
    >>> result.mean, result.improvement, result.p_wilcoxon
    (2.5, 1.0, 0.2)

    """
    first, second = finite(values, "values"), finite(baseline, "baseline")
    check_fraction(confidence, "confidence")
    better = np.sign(first[:, None] - second) * (1 if higher_is_better else -1)
    low = high = p_t = effect = nan
    kind, several = kind_of("Welch t", confidence, among), min(len(first), len(second)) > 1
    note = NO_TEST if several and np.ptp(first) + np.ptp(second) == 0 else ""
    if several and not note:
        test = scipy.stats.ttest_ind(first, second, equal_var=False)
        low, high = test.confidence_interval(1 - (1 - confidence) / among)
        p_t = float(test.pvalue)
        effect = float((first.mean() - second.mean()) / np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2))
    return PairedDifference(
        n=min(len(first), len(second)),
        mean=float(first.mean() - second.mean()),
        low=float(low),
        high=float(high),
        p_t=p_t,
        p_wilcoxon=float(scipy.stats.mannwhitneyu(first, second).pvalue),
        effect_size=effect,
        improvement=float((better + 1).mean() / 2),
        kind=kind,
        note=note,
    )
