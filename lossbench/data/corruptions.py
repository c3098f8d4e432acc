"""Corruptions of training data: class imbalance, label noise, contaminated regression. Pure functions of NumPy arrays.

Every function reads from its arguments and writes to a copy, so that a corrupted value is never corrupted again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.errors import ConfigError

Array = NDArray[Any]
Rng = np.random.Generator

DIGIT_PAIRS = {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}
CIFAR10_PAIRS = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}


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


def symmetric_noise(labels: Array, rate: float, num_classes: int, rng: Rng, family: str = "exact") -> Array:
    """Flip labels to classes drawn uniformly.

    Parameters
    ----------
    labels : array of int, shape (N,)
        Clean classes.
    rate : float
        Nominal rate, in [0, 1].
    num_classes : int
        K.
    rng : numpy.random.Generator
        Draws which labels flip, and to what.
    family : str
        "exact": floor(rate * n_c) labels of each class flip to another class. "iid": each label flips to another class
        with probability `rate`. "uniform": each label is drawn anew from all K classes with probability `rate`, its own
        among them, so that the true rate is rate * (1 - 1 / K).

    Returns
    -------
    array of int, shape (N,)

    References
    ----------
    "exact": Ma et al. 2020. "iid": Patrini et al. 2017. "uniform": Liu et al. 2020 (ELR).

    Examples
    --------
    >>> clean = np.repeat([0, 1], 10)
    >>> int((symmetric_noise(clean, 0.4, 2, np.random.default_rng(0)) != clean).sum())
    8

    """
    flips = _which_flip(labels, rate, rng, "iid" if family == "uniform" else family)
    first = 0 if family == "uniform" else 1
    shift = rng.integers(first, num_classes, size=len(labels))
    return np.where(flips, (labels + shift) % num_classes, labels)


def asymmetric_noise(labels: Array, rate: float, pairs: Mapping[int, int], rng: Rng, family: str = "exact") -> Array:
    """Flip labels of some classes to the one class that each is mistaken for.

    Parameters
    ----------
    labels : array of int, shape (N,)
        Clean classes.
    rate : float
        Rate within each class of `pairs`, in [0, 1].
    pairs : mapping of int to int
        True class -> observed class; see `confused_pairs`.
    rng : numpy.random.Generator
        Draws which labels flip.
    family : str
        "exact": floor(rate * n_c) labels of each class. "iid": each label with probability `rate`.

    Examples
    --------
    >>> clean = np.repeat([3, 5], 10)
    >>> np.bincount(asymmetric_noise(clean, 0.4, {3: 5, 5: 3}, np.random.default_rng(0)))[[3, 5]].tolist()
    [10, 10]

    """
    flips = _which_flip(labels, rate, rng, family)
    mistaken_for = np.arange(max(labels.max(initial=0), *pairs, *pairs.values()) + 1)
    mistaken_for[list(pairs)] = list(pairs.values())
    return np.where(flips, mistaken_for[labels], labels)


def _which_flip(labels: Array, rate: float, rng: Rng, family: str) -> Array:
    if family == "iid":
        return rng.random(len(labels)) < rate
    if family != "exact":
        raise ConfigError(f"data.noise.family={family} is not known. Allowed: exact, iid; symmetric noise: uniform.")
    flips = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        flips[rng.permutation(members)[: part_of(len(members), rate)]] = True
    return flips


def confused_pairs(source: str, num_classes: int) -> dict[int, int]:
    """Return which class each class is mistaken for under asymmetric noise.

    CIFAR-10: truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog. MNIST and digits: 7 -> 1, 2 -> 7,
    5 <-> 6, 3 -> 8. CIFAR-100: the next class in each group of five consecutive fine labels (not the official
    superclasses, which are not consecutive). All others: the next class, in a circle.

    References
    ----------
    Patrini et al. 2017, "Making Deep Neural Networks Robust to Label Noise" (CIFAR-10, MNIST); Ma et al. 2020,
    "Normalized Loss Functions for Deep Learning with Noisy Labels" (CIFAR-100).

    Examples
    --------
    >>> confused_pairs("cifar100", 100)[4], confused_pairs("fashion_mnist", 10)[9]
    (0, 0)

    """
    if source == "cifar10":
        return dict(CIFAR10_PAIRS)
    if source in ("mnist", "digits"):
        return dict(DIGIT_PAIRS)
    group = 5 if source == "cifar100" else num_classes
    return {label: label - label % group + (label + 1) % group for label in range(num_classes)}


def confusion(clean: Array, observed: Array, num_classes: int) -> Array:
    """Count how often each clean class (row) is observed as each class (column).

    Examples
    --------
    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]

    """
    cells = np.bincount(clean * num_classes + observed, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


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
