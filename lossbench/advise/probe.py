"""The cheap models that look at the data: inputs as few numbers, predictions for samples that they have not seen."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossbench.data.corruptions import Array, stratified_subset
from lossbench.seeding import derive_seed, numpy_stream

SEED = derive_seed(0, "advice") % 2**32
"""Of all that draws."""
FOLDS = 3
TRIED = 3000
"""Rows on which probes are compared."""
FEW_CLASSES = 30
BOOSTED = 5
"""Classes up to which boosted trees are tried, which are one for each class."""
MOST_ROWS = 10_000
"""Rows that a probe looks at."""
MOST_FEATURES = 50
"""Features beyond this are reduced to so many principal components."""
TREES = 100
"""Of a forest."""
LANDMARKS = 500
"""Of the kernel's approximation."""


@dataclass(frozen=True)
class Probed:
    """Predictions of a probe for samples that it has not been trained on.

    Parameters
    ----------
    name : str
        The model, in words.
    predicted : array
        Probabilities (N, K), or numbers (N,).

    """

    name: str
    predicted: Array


def few_features(inputs: Array) -> Array:
    """Return inputs as rows of at most `MOST_FEATURES` numbers of similar size, float64.

    Features of tables are standardised each by itself, pixels together, since those that are nearly constant say
    little; then follow principal components, where there are too many. What is missing or infinite is the median.

    Parameters
    ----------
    inputs : array, shape (N, ...)
        Raw inputs; what has more than two dimensions counts as images.

    Examples
    --------
    >>> few_features(np.arange(6.0).reshape(3, 2)).round(2).tolist()
    [[-1.22, -1.22], [0.0, 0.0], [1.22, 1.22]]

    """
    from sklearn.decomposition import PCA

    rows = inputs.reshape(len(inputs), -1).astype(np.float32)
    if not np.isfinite(rows).all():
        rows = np.where(np.isfinite(rows), rows, np.nan)
        rows = np.where(np.isnan(rows), np.nan_to_num(_medians(rows)), rows)
    rows = rows - rows.mean(0)
    deviation = rows.std(0) if inputs.ndim == 2 else np.sqrt((rows**2).mean())
    rows = rows / np.where(deviation > 0, deviation, 1)
    if inputs.ndim > 2 or rows.shape[1] > MOST_FEATURES:
        count = min(MOST_FEATURES, *rows.shape)
        rows = PCA(
            count, svd_solver="covariance_eigh" if rows.shape[1] <= 1000 else "randomized", random_state=0
        ).fit_transform(rows)
        rows = rows / (np.sqrt((rows**2).sum(1).mean() / rows.shape[1]) or 1)
    return rows.astype(np.float64)


def _medians(rows: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any number
        return np.nanmedian(rows, axis=0)


def class_probabilities(features: Array, target: Array, num_classes: int) -> Probed:
    """Return probabilities of classes, each by a probe that has not seen the sample, from the best of some probes.

    They are linear logistic regression, the same on the features of a Gaussian kernel (Nystroem), extremely randomised
    trees (Geurts et al. 2006), and for few classes boosted trees. The one with the smallest log loss on the observed
    classes wins, on `TRIED` samples where there are more. Of more than `FEW_CLASSES` only linear discriminants are
    tried.

    Parameters
    ----------
    features : array, shape (N, F)
        As `few_features` gives them.
    target : array of int, shape (N,)
        Observed classes.
    num_classes : int
        K.

    """
    probes = _classifiers(features, num_classes)
    some = stratified_subset(target, TRIED, numpy_stream(0, "advice", "tried"))
    tried = {name: _held_out(probe, features[some], target[some], num_classes) for name, probe in probes}
    name = min(tried, key=lambda each: _log_loss(tried[each], target[some]))
    if len(some) == len(target):
        return Probed(name, tried[name])
    return Probed(name, _held_out(dict(probes)[name], features, target, num_classes))


def _log_loss(predicted: Array, target: Array) -> float:
    return -float(np.log(np.clip(predicted[np.arange(len(target)), target], 1e-6, 1)).mean())


def _classifiers(features: Array, num_classes: int) -> list[tuple[str, Any]]:
    """Return probes by name, the linear one first."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if num_classes > FEW_CLASSES:
        return [("linear discriminants", LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1))]
    linear = ("logistic regression", LogisticRegression(C=0.1, max_iter=200))
    landmarks = max(1, min(LANDMARKS, len(features) // 3))
    kernel = Nystroem(n_components=landmarks, gamma=1 / (float(features.var(0).sum()) or 1.0), random_state=SEED)
    part = 0.5 if features.shape[1] <= 30 else 0.2  # principal components of images are many, and slow
    forests = [
        (
            f"extremely randomised trees with leaves of {least}",
            ExtraTreesClassifier(TREES, min_samples_leaf=least, max_features=part, random_state=SEED),
        )
        for least in (3, 10)  # the larger are for much noise
    ]
    trees = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=20, early_stopping=False, random_state=SEED
    )
    return [
        linear,
        ("logistic regression on a Gaussian kernel", make_pipeline(kernel, LogisticRegression(C=2.0, max_iter=100))),
        *forests,
        *([("boosted trees", trees)] if num_classes <= BOOSTED else []),
    ]


def _held_out(probe: Any, features: Array, target: Array, num_classes: int) -> Array:
    """Predict each fold from the others; a class that the others lack has probability 0."""
    predicted = np.zeros((len(target), num_classes))
    for train, test in _folds(target):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a probe need not converge
            fitted = probe.fit(features[train], target[train])
        last = fitted[-1] if hasattr(fitted, "steps") else fitted
        predicted[np.ix_(test, last.classes_)] = fitted.predict_proba(features[test])
    return predicted


def _folds(target: Array) -> Sequence[tuple[Array, Array]]:
    """Return training and test rows of each fold; classes are spread over them evenly."""
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with fewer samples than folds
        cut = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
        return list(cut.split(target, target))
