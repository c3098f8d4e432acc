"""The losses of one data set ranked under each seed, and the mean of these ranks: a description, not a test."""

from dataclasses import dataclass

import numpy as np

from lossbench.compare.numbers.analysis import Analysis


@dataclass(frozen=True)
class SeedRanks:
    """Mean ranks of losses on a metric.

    Parameters
    ----------
    ranks : dict of str to float
        By label, those that were ranked, in the order of the comparison; 1 is best.
    n : int
        Over so many seeds.

    """

    ranks: dict[str, float]
    n: int


def seed_ranks(analysis: Analysis, metric: str) -> SeedRanks | None:
    r"""Rank the losses under each seed, and average.

    Formula: :math:`\bar r_j = \frac 1 n \sum_s r_{sj}`, with :math:`r_{sj}` the rank of loss j among all under seed s,
    1 for the best; ties share their mean rank. Under one seed all losses have the same split, start and batches, so
    that a rank is of a fair heat. Ranked are the losses that have a value under every seed that any has one of; seeds
    of one data set are no independent data sets, so there is no Friedman test of these ranks.

    Parameters
    ----------
    analysis : Analysis
        The numbers of a comparison.
    metric : str
        Of `analysis.columns`.

    Returns
    -------
    SeedRanks or None
        None where neither way is better, or there are fewer than two such losses or seeds.

    References
    ----------
    Friedman, "The use of ranks to avoid the assumption of normality implicit in the analysis of variance", 1937.

    """
    task = analysis.comparison.task
    values = {label: analysis.values(label, metric) for label in analysis.order}
    seeds = sorted({seed for found in values.values() for seed in found})
    labels = [label for label, found in values.items() if len(found) == len(seeds)]
    if len(seeds) < 2 or len(labels) < 2 or task.direction(metric) == "neither":
        return None
    table = np.array([[values[label][seed] for label in labels] for seed in seeds])
    from scipy.stats import rankdata

    each = rankdata(-table if task.higher_is_better(metric) else table, axis=1)
    return SeedRanks(dict(zip(labels, each.mean(axis=0).tolist(), strict=True)), len(seeds))
