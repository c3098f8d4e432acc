"""Runs of a loss that are far from its other runs, as where it now and then fails: t intervals hold less often then."""

from collections.abc import Mapping

import numpy as np

FEWEST = 5
"""Of fewer runs none can be told to be far from the others."""
LEAST_SPREAD = 0.002
"""Runs never spread by less than this share of their median: of a coarse metric many are the same."""


def far_runs(values: Mapping[str, Mapping[int, float]]) -> dict[str, list[int]]:
    r"""Return the seeds of the runs that are far from the other runs of their loss, by loss; only losses that have any.

    A run is far where it is more than :math:`4 + 20/n` robust standard deviations from the median of the n runs of the
    loss. One is 1.4826 times the median distance from the median (Hampel 1974): that of the loss, or the median of that
    of all losses where it is larger, as few runs can be alike by chance. Of normal values such a run is found among 5
    runs of a loss in less than 1 in 100 cases, among 10 in 1 of 400.

    Parameters
    ----------
    values : mapping
        A metric by loss and seed.

    References
    ----------
    Hampel, "The influence curve and its role in robust estimation", 1974.

    Examples
    --------
    >>> same = {"mse": {s: 0.9 + 0.01 * (s % 3) for s in range(6)}}
    >>> far_runs(same | {"mae": {0: 0.91, 1: 0.90, 2: 0.92, 3: 0.10, 4: 0.91, 5: 0.90}})
    {'mae': [3]}

    """
    finite = {label: {s: v for s, v in runs.items() if np.isfinite(v)} for label, runs in values.items()}
    rows = {label: np.array(list(runs.values())) for label, runs in finite.items() if len(runs) >= FEWEST}
    away = {label: np.abs(row - np.median(row)) for label, row in rows.items()}
    spreads = {label: 1.4826 * float(np.median(each)) for label, each in away.items()}
    usual = float(np.median(list(spreads.values()))) if spreads else 0.0
    found = {}
    for label, each in away.items():
        spread = max(spreads[label], usual, LEAST_SPREAD * abs(float(np.median(rows[label]))))
        far = each > (4 + 20 / len(each)) * spread
        if far.any():
            found[label] = [seed for seed, is_far in zip(finite[label], far.tolist(), strict=True) if is_far]
    return found
