"""How many of the observed classes are wrong: confident learning, from samples that a probe is surest of.

Confident learning estimates the joint distribution of observed and true class from held-out probabilities, and counts
what lies off its diagonal (Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset
Labels", arXiv:1911.00068). Counted at the average confidence, as there, a probe's own errors count as wrong labels. So
the transition matrix is read off the samples of each class that the probe is surest of (anchor points: Patrini et al.
2017, arXiv:1609.03683), and as the shares of their observed classes, which the probe has not seen.
"""

from dataclasses import dataclass

import numpy as np

from lossbench.data.corruptions import Array

SURE_PARTS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Parts of the samples of each class, the surest first, of which one is chosen."""
LEAST_SURE = 5
"""Samples of a class that are looked at at least in each half, where it has so many."""
ERRORS = 1.0
"""Standard errors below the agreement of a part at which its lower bound lies."""
FEW_WRONG = 0.01
"""Share of wrong labels up to which nothing is said of where they go: 0."""
HARD = 0.08
"""Loss of agreement from the surest tenth to the surest half from which on the surest samples are not pure."""


@dataclass(frozen=True)
class WrongLabels:
    """An estimate of the joint distribution of true and observed class.

    Parameters
    ----------
    joint : array, shape (K, K)
        True class in rows, observed class in columns; sums to 1.
    asymmetry : float
        0: the wrong ones of each class go to all others alike; 1: to one of them.
    used : int
        The samples whose observed classes were counted.
    upper : bool
        Whether the share is rather an upper bound: agreement still grows among the surest samples, so that hard samples
        can't be told from wrong labels.

    """

    joint: Array
    asymmetry: float
    used: int
    upper: bool

    @property
    def share(self) -> float:
        """The share of wrong labels."""
        return max(0.0, float(1 - self.joint.trace()))

    @property
    def by_class(self) -> list[float]:
        """The share of wrong ones among the samples of each observed class, 0 of a class without samples."""
        observed = self.joint.sum(0)
        right = np.divide(self.joint.diagonal(), observed, out=np.ones(len(observed)), where=observed > 0)
        return [max(0.0, float(wrong)) for wrong in 1 - right]


def wrong_labels(probabilities: Array, observed: Array) -> WrongLabels:
    """Estimate which observed classes are wrong.

    1. Each sample belongs to the class with the largest p_k / mean(p_k), so that rare classes are not swallowed.
    2. The samples of each class are sorted by p_k, and every second one makes a half. Of `SURE_PARTS` the part is
       taken, the same for all classes, whose share of samples with that observed class has the highest lower bound in
       one half: a smaller part is purer, a larger one has less noise. It is counted in the other half, so that the
       choice does not flatter it; then the halves change places.
    3. The shares of observed classes there are the rows of the transition matrix T. The distribution pi of true classes
       is the solution of pi T = observed distribution with pi >= 0; the joint is diag(pi) T.

    Parameters
    ----------
    probabilities : array, shape (N, K)
        Of observed classes, from a probe that has not seen the sample.
    observed : array of int, shape (N,)
        Observed classes.

    Returns
    -------
    WrongLabels

    Examples
    --------
    >>> true = np.arange(3000) % 3
    >>> observed = np.where(np.random.default_rng(0).random(3000) < 0.2, (true + 1) % 3, true)
    >>> sure = 0.8 * np.eye(3)[true] + 0.2 * np.eye(3)[(true + 1) % 3]
    >>> found = wrong_labels(sure, observed)
    >>> round(found.share, 1), round(found.asymmetry, 1)
    (0.2, 1.0)

    """
    num_classes = probabilities.shape[1]
    halves = _surest(probabilities, observed)
    counts = sum(there[_lower_bounds(here).argmax()] for here, there in (halves, halves[::-1]))
    seen = counts.sum(1, keepdims=True)
    transition = np.where(seen > 0, counts / np.maximum(seen, 1), np.eye(num_classes))
    distribution = np.bincount(observed, minlength=num_classes) / len(observed)
    joint = _true_distribution(transition, distribution)[:, None] * transition
    tenth, half = (_agreement(halves.sum(0)[SURE_PARTS.index(part)]) for part in (0.1, 0.5))
    return WrongLabels(joint, _asymmetry(joint, counts), int(counts.sum()), tenth - half > HARD * tenth)


def _surest(probabilities: Array, observed: Array) -> Array:
    """Count observed classes among the surest samples of each class.

    Returns
    -------
    array of int, shape (2, parts, K, K)
        For each half of the samples and of each of `SURE_PARTS`; observed classes in columns.

    """
    num_classes = probabilities.shape[1]
    belongs = (probabilities / np.maximum(probabilities.mean(0), 1e-12)).argmax(1)
    counts = np.zeros((2, len(SURE_PARTS), num_classes, num_classes), dtype=int)
    for label in range(num_classes):
        rows = np.flatnonzero(belongs == label)
        rows = rows[np.argsort(-probabilities[rows, label], kind="stable")]
        for half in (0, 1):
            chosen = observed[rows[(half + label) % 2 :: 2]]
            for place, part in enumerate(SURE_PARTS):
                many = max(LEAST_SURE, int(np.ceil(part * len(chosen))))
                counts[half, place, label] = np.bincount(chosen[:many], minlength=num_classes)
    return counts


def _agreement(counts: Array) -> float:
    return float(counts.trace() / max(1, counts.sum()))


def _lower_bounds(counts: Array) -> Array:
    """Return agreement less `ERRORS` standard errors for each part (parts, K, K)."""
    size = counts.sum((1, 2)) + 4  # two more of each: of all right, many tell more than few (Agresti, Coull 1998)
    share = (np.trace(counts, axis1=1, axis2=2) + 2) / size
    return np.asarray(share - ERRORS * np.sqrt(share * (1 - share) / size))


def _true_distribution(transition: Array, observed: Array) -> Array:
    from scipy.optimize import nnls

    heavy = 100.0  # the sum is kept to 1
    solved, _ = nnls(np.vstack([transition.T, np.full((1, len(observed)), heavy)]), np.append(observed, heavy))
    return np.asarray(solved / solved.sum())


def _asymmetry(joint: Array, counts: Array) -> float:
    """Return 1 - entropy of where wrong labels go, over its largest value, weighed by the wrong ones of each class.

    Entropies of counts are too small by (cells - 1) / (2 N) (Miller 1955), which is added. Of two classes it is taken
    of which of both the wrong labels come from: 1 if only one of them has any.
    """
    wrong = joint * (1 - np.eye(len(joint)))
    if wrong.sum() <= FEW_WRONG:
        return 0.0
    if len(joint) == 2:
        rows, samples = wrong.sum(1)[None], np.array([(counts * (1 - np.eye(2))).sum()])
    else:
        rows, samples = wrong, (counts * (1 - np.eye(len(joint)))).sum(1)
    weight = rows.sum(1)
    shares = rows / np.where(weight > 0, weight, 1)[:, None]
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    cells = (shares > 0).sum(1)
    entropy = -(shares * logs).sum(1) + (cells - 1) / (2 * np.maximum(samples, 1))
    most = np.log(2 if len(joint) == 2 else len(joint) - 1)
    return float(np.clip(1 - (weight * np.clip(entropy / most, 0, 1)).sum() / weight.sum(), 0, 1))
