"""Parts of a data set that share no group of samples, such as the visits of one patient."""

import numpy as np

from lossbench.data.corruptions import Array, Rng, part_of
from lossbench.errors import ConfigError


def choose_groups(labels: Array, groups: Array, fraction: float, rng: Rng) -> Array:
    """Choose whole groups that have at most a fraction of the samples together, the smallest one if that is none.

    Of each class a group stays behind.

    Parameters
    ----------
    labels : array of int, shape (N,)
        Classes; all alike where there are none.
    groups : array of int, shape (N,)
        The group of each sample.
    fraction : float
        In (0, 1).
    rng : numpy.random.Generator
        Draws which groups.

    Returns
    -------
    array of int
        The rows chosen, in ascending order.

    Raises
    ------
    ConfigError
        If no group can be spared.

    Examples
    --------
    >>> groups = np.array([7, 7, 7, 8, 8, 9, 9, 9, 9, 9])
    >>> rows = choose_groups(np.zeros(10, int), groups, 0.5, np.random.default_rng(0))
    >>> len(rows) <= 5, set(groups[rows]).isdisjoint(np.delete(groups, rows))
    (True, True)

    """
    _, place = np.unique(groups, return_inverse=True)
    sizes, room = np.bincount(place), part_of(len(groups), fraction)
    held = np.zeros(len(sizes), dtype=bool)
    for group in rng.permutation(len(sizes)):  # in turn: whether one fits depends on those before it
        if sizes[group] <= room:
            held[group], room = True, room - sizes[group]
    if not held.any():
        held[sizes.argmin()] = len(sizes) > 1
    for label in np.unique(labels):
        of_class = np.unique(place[labels == label])
        if held[of_class].all():
            held[of_class[0]] = False
    if not held.any():
        raise ConfigError(
            f"data.group: none of the {len(sizes)} groups can be spared for another part: each has a class of its own, "
            "or there is one only. Leave data.group out, or add groups."
        )
    return np.flatnonzero(held[place])
