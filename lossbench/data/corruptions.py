"""Corruptions of training data: class imbalance, contaminated regression. Pure functions of NumPy arrays.

Every function reads from its arguments and writes to a copy, so that a corrupted value is never corrupted again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.errors import ConfigError
from lossbench.ranges import takes

Array = NDArray[Any]
Rng = np.random.Generator


def part_of(count: int, fraction: float) -> int:
    """Return fraction * count rounded down, where rounding errors of floats don't count: 0.29 of 100 is 29.

    Examples
    --------
    >>> part_of(100, 0.29), int(100 * 0.29)
    (29, 28)

    """
    return int(count * fraction + 1e-9)


def imbalanced_counts(kind: str, factor: float, n_max: int, num_classes: int) -> list[int]:
    """Return how many samples each class keeps; class 0 is the head.

    Formula: exp: n_k = floor(n_max * factor^(-k / (K - 1))). step: n_max for the first K // 2 classes and
    floor(n_max / factor) for the others. none: n_max for all.

    Parameters
    ----------
    kind : str
        "none", "exp" or "step".
    factor : float
        Head count over tail count, at least 1.
    n_max : int
        Samples of the head.
    num_classes : int
        K, at least 2.

    Returns
    -------
    list of int
        K counts, all above 0.

    Raises
    ------
    ConfigError
        If the tail would be empty, or the kind is unknown.

    References
    ----------
    Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples" (exp); Buda et al. 2018 and Cao et al.
    2019 (step).

    Examples
    --------
    >>> imbalanced_counts("exp", 100, n_max=5000, num_classes=10)
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]

    """
    steps = np.arange(num_classes)
    exponents = {
        "none": np.zeros(num_classes),
        "exp": steps / max(1, num_classes - 1),
        "step": (steps >= num_classes // 2).astype(float),
    }
    if kind not in exponents:
        raise ConfigError(f"data.imbalance.kind={kind} is not known. Allowed: {', '.join(sorted(exponents))}.")
    counts = [part_of(n_max, (1 / factor) ** exponent) for exponent in exponents[kind]]
    if min(counts) < 1:
        raise ConfigError(
            f"data.imbalance.factor={factor:g} leaves a class without samples, as the largest has {n_max}. "
            f"Use a factor of at most {n_max}."
        )
    return counts


def choose_per_class(labels: Array, counts: list[int], rng: Rng) -> Array:
    """Choose so many samples of each class at random, and return their positions in ascending order.

    Raises
    ------
    ConfigError
        If a class has fewer samples than it should keep.

    """
    chosen = []
    for label, count in enumerate(counts):
        members = np.flatnonzero(labels == label)
        if len(members) < count:
            raise ConfigError(
                f"The imbalance asks for {count} samples of class {label}, which has {len(members)}. "
                f"Lower data.imbalance.max_count."
            )
        chosen.append(rng.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))


def stratified_subset(labels: Array, size: int, rng: Rng) -> Array:
    """Choose exactly `size` samples in the proportions of the classes, and return their positions in ascending order.

    Each class gets its share by largest remainder, and at least one sample if there are as many samples as classes.

    Parameters
    ----------
    labels : array of int, shape (N,)
        Classes; all alike (regression) is a plain random choice.
    size : int
        How many to choose; all, if there are not more.
    rng : numpy.random.Generator
        Draws which ones.

    Examples
    --------
    >>> chosen = stratified_subset(np.array([0] * 90 + [1] * 10), 50, np.random.default_rng(0))
    >>> (chosen < 90).sum(), len(chosen)
    (np.int64(45), 50)

    """
    if size >= len(labels):
        return np.arange(len(labels))
    available = np.bincount(labels)
    share = size * available / len(labels)
    counts = np.floor(share + 1e-9).astype(int)
    by_remainder = np.argsort(counts - share, kind="stable")
    counts[by_remainder[: size - counts.sum()]] += 1
    if size >= np.count_nonzero(available):
        for label in np.flatnonzero((counts == 0) & (available > 0)):
            counts[counts.argmax()] -= 1
            counts[label] = 1
    return choose_per_class(labels, counts.tolist(), rng)


@takes(
    kind="one of: heavy_tail, heteroscedastic, leverage, none, vertical",
    fraction="number [0, 1]",
    scale="number [0, inf)",
    shift="one of: one_sided, symmetric",
    df="number (0, inf)",
)
def contaminate(
    kind: str,
    inputs: Array,
    target: Array,
    rng: Rng,
    *,
    fraction: float,
    scale: float,
    shift: str = "one_sided",
    df: float = 3.0,
) -> tuple[Array, Array, Array]:
    """Contaminate floor(fraction * N) samples of a regression problem, chosen at random.

    Parameters
    ----------
    kind : str
        "vertical": the target is shifted by `scale` standard deviations of the target. "leverage": every input feature
        is shifted by `scale` of its standard deviations, up or down at random, and the target stays. "heavy_tail":
        Student-t noise times `scale` standard deviations is added to the target. "heteroscedastic": Gaussian noise is
        added whose standard deviation grows with the rank of the target, from 0 at the smallest to `scale` standard
        deviations at the largest.
    inputs : array, shape (N, ...)
        Inputs.
    target : array, shape (N,)
        Targets before contamination; standard deviations and ranks are theirs.
    rng : numpy.random.Generator
        Draws the samples and their noise.
    fraction : float
        In [0, 1].
    scale : float
        Size of the contamination.
    shift : str
        For "vertical": "one_sided" (up) or "symmetric" (up or down at random).
    df : float
        Degrees of freedom, for "heavy_tail".

    Returns
    -------
    inputs, target : array
        Copies, contaminated.
    mask : array of bool, shape (N,)
        The contaminated samples.

    Examples
    --------
    >>> x, y = np.zeros((10, 1)), np.arange(10.0)
    >>> _, shifted, mask = contaminate("vertical", x, y, np.random.default_rng(0), fraction=0.2, scale=5)
    >>> int(mask.sum()), np.round((shifted - y)[mask] / y.std(), 6).tolist()
    (2, [5.0, 5.0])

    """
    n = len(target)
    mask = np.zeros(n, dtype=bool)
    mask[rng.permutation(n)[: part_of(n, fraction)]] = True
    unit = scale * target.std()
    if kind == "leverage":
        signs = rng.choice([-1.0, 1.0], size=inputs.shape)
        moved = inputs + scale * inputs.std(axis=0) * signs
        far = np.where(mask.reshape(-1, *[1] * (inputs.ndim - 1)), moved, inputs)
        return far.astype(inputs.dtype), target.copy(), mask
    if kind == "vertical":
        if shift not in ("one_sided", "symmetric"):
            raise ConfigError(f"data.contamination.shift={shift} is not known. Allowed: one_sided, symmetric.")
        signs = rng.choice([-1.0, 1.0], size=n)
        noise = unit * (np.ones(n) if shift == "one_sided" else signs)
    elif kind == "heavy_tail":
        noise = unit * rng.standard_t(df, size=n)
    elif kind == "heteroscedastic":
        rank = target.argsort(kind="stable").argsort(kind="stable") / max(1, n - 1)
        noise = unit * rank * rng.standard_normal(n)
    else:
        allowed = "heavy_tail, heteroscedastic, leverage, none, vertical"
        raise ConfigError(f"data.contamination.kind={kind} is not known. Allowed: {allowed}.")
    return inputs.copy(), np.where(mask, target + noise, target).astype(target.dtype), mask
