"""The metrics of regression that are computed once, at the end of a run, from the predictions that it kept.

A metric that has no value, such as a rank correlation with a constant, is left out.
"""

import math

import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import softplus

from lossbench.tasks.problem import Values, with_a_value
from lossbench.tasks.regression.metrics import varies

TRIMMED = 0.1
"""The share of the largest errors that `trimmed_rmse` leaves out."""
FIFTHS = 5
SAME_OUTPUT = 1e-6
"""Predictions that differ by less than this part of the spread of the targets are constant but for the rounding of a
network in single precision: they have no rank correlation."""


def final_regression_metrics(
    prediction: Tensor, observed: Tensor, clean: Tensor, num_features: int | None = None
) -> dict[str, float]:
    """Compute the metrics of a regression task that are not computed at every epoch.

    In units of the target or their square: MSE, largest error, RMSE without the tenth of the largest errors, mean
    log-cosh of the error, and MAE over each fifth of the samples, from those with the lowest target to those with the
    highest (`mae_fifth/1` ... `/5`). Relative, as fractions and not in percent: RMSE over the standard deviation of the
    target (of the population), MAPE (none if a target is 0), SMAPE (0 to 2), and the sum of the errors over that of the
    targets (`wmape`). Of agreement: explained variance, R2 adjusted for the number of features (none unless there are
    more samples than features + 1), Spearman's and Kendall's rank correlation (tau-b), and Lin's concordance.

    All against the clean truth, and with the suffix `_observed` against the target as it was observed.

    Parameters
    ----------
    prediction, observed, clean : Tensor
        Shape (N,), floating.
    num_features : int, optional
        Inputs of a sample.

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> y = torch.tensor([1.0, 2.0, 4.0])
    >>> scores = final_regression_metrics(torch.tensor([1.0, 3.0, 4.0]), y, y)
    >>> round(scores["mape"], 4), round(scores["wmape"], 4), scores["spearman"]
    (0.1667, 0.1429, 1.0)

    """
    if not len(prediction) or not prediction.isfinite().all():
        return {}
    metrics = _of_numbers(prediction, clean, num_features)
    against = metrics if torch.equal(observed, clean) else _of_numbers(prediction, observed, num_features)
    for name, value in list(against.items()):
        kind, of, number = name.partition("/")
        metrics[f"{kind}_observed{of}{number}"] = value
    return with_a_value(metrics)


def _of_numbers(prediction: Tensor, target: Tensor, num_features: int | None) -> Values:
    spreads, smallest = (varies(target), varies(prediction)), torch.finfo(target.dtype).eps * target.abs().max()
    target, prediction = target.double(), prediction.double()
    residual, size = target - prediction, len(target)
    error, mse = residual.abs(), residual.square().mean()
    variance = target.var(correction=0) if spreads[0] else torch.tensor(torch.nan)  # what is divided by it has no value
    centred, shift = target - target.mean(), target.mean() - prediction.mean()
    covariance = (centred * (prediction - prediction.mean())).mean()
    metrics = {
        "mse": mse,
        "max_error": error.max(),
        "trimmed_rmse": error.sort().values[: size - int(TRIMMED * size)].square().mean().sqrt(),
        "log_cosh": (error + softplus(-2 * error) - math.log(2)).mean(),  # no overflow, other than cosh itself
        "nrmse": (mse / variance).sqrt(),
        "mape": (error / target.abs().masked_fill(target.abs() <= smallest, 0)).mean(),
        "smape": (2 * error / (target.abs() + prediction.abs())).nan_to_num(0.0).mean(),
        "wmape": error.sum() / target.abs().sum(),
        "explained_variance": 1 - residual.var(correction=0) / variance,
    }
    if any(spreads):
        alone = target.var(correction=0) + prediction.var(correction=0)
        metrics["concordance"] = 2 * covariance / (alone + shift**2)
    if num_features is not None and size > num_features + 1:
        metrics["adjusted_r2"] = 1 - mse / variance * (size - 1) / (size - num_features - 1)
    fifths = _alike(error, target)[target.argsort()].tensor_split(FIFTHS)
    metrics |= {f"mae_fifth/{number}": fifth.mean() for number, fifth in enumerate(fifths, start=1)}
    ordered = all(spreads) and prediction.max() - prediction.min() > SAME_OUTPUT * (target.max() - target.min())
    return metrics | (_ranks(prediction, target) if ordered else {})


def _alike(error: Tensor, target: Tensor) -> Tensor:
    """Give samples of one target the mean of their errors, so that their order does not matter."""
    levels, level = target.unique(return_inverse=True)
    return (torch.bincount(level, error, len(levels)) / torch.bincount(level))[level]


def _ranks(prediction: Tensor, target: Tensor) -> Values:
    pair = prediction.numpy(), target.numpy()
    return {
        "spearman": torch.tensor(stats.spearmanr(*pair).statistic),
        "kendall": torch.tensor(stats.kendalltau(*pair, method="asymptotic").statistic),
    }
