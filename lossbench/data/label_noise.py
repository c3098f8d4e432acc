"""Label noise: wrong labels in the training set. Pure functions of NumPy arrays; a flipped label never flips again."""

from collections.abc import Callable, Mapping

import numpy as np

from lossbench.data.corruptions import Array, Rng, part_of
from lossbench.errors import ConfigError
from lossbench.ranges import takes

DIGIT_PAIRS = {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}
CIFAR10_PAIRS = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
RATE_DEVIATION = 0.1
"""By how much the flip rates of samples differ under `instance_noise`."""


@takes(
    kind="one of: asymmetric, boundary, instance, missing, none, pair, symmetric",
    rate="number [0, 1]",
    family="one of: exact, iid, uniform",
)
def noisy_labels(
    kind: str,
    labels: Array,
    rng: Rng,
    *,
    inputs_of: Callable[[Array], Array],
    source: str,
    num_classes: int,
    rate: float,
    family: str = "exact",
) -> Array:
    """Return labels with noise of a kind.

    Parameters
    ----------
    kind : str
        "symmetric", "asymmetric", "pair" or "instance"; see the functions of these names.
    labels : array of int, shape (N,)
        Clean classes.
    rng : numpy.random.Generator
        Draws the noise.
    inputs_of : callable
        Returns the inputs of some rows as "instance" looks at them, flattened, on the scale that a network sees.
    source : str
        Name of the source, whose `confused_pairs` "asymmetric" uses.
    num_classes : int
        K.
    rate : float
        Nominal rate, in [0, 1].
    family : str
        "exact", "iid", or for symmetric noise "uniform"; not used by "instance".

    Returns
    -------
    array of int, shape (N,)

    Raises
    ------
    ConfigError
        If kind or family is unknown.

    """
    if kind == "symmetric":
        return symmetric_noise(labels, rate, num_classes, rng, family)
    if kind == "asymmetric":
        return asymmetric_noise(labels, rate, confused_pairs(source, num_classes), rng, family)
    if kind == "pair":
        return asymmetric_noise(labels, rate, next_class(num_classes), rng, family)
    if kind == "instance":
        return instance_noise(labels, rate, inputs_of, num_classes, rng)
    raise ConfigError(f"data.noise.kind={kind} is not known. Allowed: asymmetric, instance, none, pair, symmetric.")


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


def instance_noise(
    labels: Array, rate: float, inputs_of: Callable[[Array], Array], num_classes: int, rng: Rng
) -> Array:
    """Flip labels with a probability of each sample's own, to classes that depend on what the sample looks like.

    Formula: sample i flips with probability q_i, from a normal distribution of mean `rate` and deviation 0.1 cut to
    [0, 1]; then to class c != y_i with probability softmax_c(x_i W_y), W_y a matrix of
    standard normal numbers for each true class y, its own class left out.

    The cut moves the mean of q_i: up near rate 0, down near rate 1. A rate of 0 flips nothing. With many inputs the
    softmax is close to a maximum, so that alike samples of a class are mistaken for the same other one.

    Parameters
    ----------
    labels : array of int, shape (N,)
        Clean classes.
    rate : float
        In [0, 1].
    inputs_of : callable
        Returns the inputs of some rows, as an array (rows, features) on the scale that a network sees.
    num_classes : int
        K.
    rng : numpy.random.Generator
        Draws rates, matrices and flips.

    Returns
    -------
    array of int, shape (N,)

    References
    ----------
    Xia et al. 2020, "Part-dependent Label Noise: Towards Instance-dependent Label Noise", algorithm 2. The scale of the
    inputs is ours.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clean, inputs = np.repeat([0, 1], 500), rng.normal(size=(1000, 3))
    >>> observed = instance_noise(clean, 0.4, inputs.__getitem__, 2, rng)
    >>> bool(0.35 < (observed != clean).mean() < 0.45)
    True

    """
    from scipy.stats import truncnorm

    if rate == 0:
        return labels.copy()
    bounds = (0 - rate) / RATE_DEVIATION, (1 - rate) / RATE_DEVIATION
    rates = truncnorm.rvs(*bounds, loc=rate, scale=RATE_DEVIATION, size=len(labels), random_state=rng)
    flips = rng.random(len(labels)) < rates
    observed = labels.copy()
    for label in range(num_classes):
        members = np.flatnonzero(labels == label)
        inputs = inputs_of(members)
        scores = inputs @ rng.standard_normal((inputs.shape[1], num_classes))
        scores[:, label] = -np.inf
        chosen = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)  # a draw from the softmax of the scores
        observed[members] = np.where(flips[members], chosen, label)
    return observed


def next_class(num_classes: int) -> dict[int, int]:
    """Return each class mistaken for the next one, the last for the first (pair flipping).

    References
    ----------
    Han et al. 2018, "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels".

    Examples
    --------
    >>> next_class(3)
    {0: 1, 1: 2, 2: 0}

    """
    return {label: (label + 1) % num_classes for label in range(num_classes)}


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
