"""The metrics of regression that are computed at every epoch."""

import torch
from torch import Tensor

from lossbench.tasks.problem import SHOTS

ROUNDING = 16
"""What spreads by less than so many units in the last place of its largest value is constant: the rest is rounding."""


def varies(values: Tensor) -> bool:
    """Tell whether values differ by more than rounding.

    Examples
    --------
    >>> varies(torch.full((50,), 0.1) * 3), varies(torch.tensor([1e9, 1e9 + 1], dtype=torch.float64))
    (False, True)

    """
    if not len(values):
        return False
    return bool(values.max() - values.min() > ROUNDING * torch.finfo(values.dtype).eps * values.abs().max())


def regression_metrics(prediction: Tensor, observed: Tensor, clean: Tensor) -> dict[str, float]:
    """Compute the metrics of a regression task, in the units of the target.

    Mean and median absolute error, root mean squared error and R2: against the clean truth, and with the suffix
    `_observed` against the target as it was observed.

    Parameters
    ----------
    prediction, observed, clean : Tensor
        Shape (N,), floating.

    Returns
    -------
    dict of str to float
        Empty for no samples; without R2 where the target is constant.

    Examples
    --------
    >>> zero, one = torch.zeros(2), torch.tensor([1.0, -1.0])
    >>> regression_metrics(zero, observed=one, clean=zero)["mae_observed"]
    1.0

    """
    if not len(prediction):
        return {}
    metrics = {}
    # Written out: for so small a table torchmetrics takes ten times as long, for each run and epoch of a sweep.
    for suffix, known in (("", clean), ("_observed", observed)):
        target = known.double()
        residual = prediction.double() - target
        squares, spread = residual.square().sum(), (target - target.mean()).square().sum()
        metrics[f"mae{suffix}"] = residual.abs().mean()
        metrics[f"rmse{suffix}"] = (squares / len(target)).sqrt()
        metrics[f"median_ae{suffix}"] = residual.abs().quantile(0.5)
        if varies(known):
            metrics[f"r2{suffix}"] = 1 - squares / spread
    return {name: float(value) for name, value in metrics.items()}


def balanced_errors(prediction: Tensor, target: Tensor, edges: Tensor, counts: Tensor) -> dict[str, float]:
    """Compute the mean absolute error where a bin has many (> 100), medium (20 to 100) and few (< 20) training samples.

    Parameters
    ----------
    prediction, target : Tensor
        Shape (N,), in the units of the target.
    edges : Tensor
        Inner edges of B bins of the target, shape (B - 1,).
    counts : Tensor
        Training samples in each bin, shape (B,).

    Returns
    -------
    dict of str to float
        `mae_many`, `mae_medium`, `mae_few` where there are such samples, and `mae_balanced`, their mean.

    References
    ----------
    Yang et al. 2021, "Delving into Deep Imbalanced Regression" (the groups).

    Examples
    --------
    >>> edges, counts = torch.tensor([10.0]), torch.tensor([150, 3])
    >>> balanced_errors(torch.tensor([4.0, 6.0, 12.0]), torch.tensor([5.0, 5.0, 15.0]), edges, counts)
    {'mae_many': 1.0, 'mae_few': 3.0, 'mae_balanced': 2.0}

    """
    error = (prediction.double() - target.double()).abs()
    seen = counts[torch.bucketize(target.to(edges.dtype), edges)]
    members = {group: (seen >= low) & (seen <= high) for group, (low, high) in SHOTS.items()}
    metrics = {f"mae_{group}": float(error[rows].mean()) for group, rows in members.items() if rows.any()}
    return {**metrics, "mae_balanced": sum(metrics.values()) / len(metrics)} if metrics else {}
