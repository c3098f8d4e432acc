"""The core metrics of each task, computed at every epoch; `lossbench.further_metrics` has those of the end of a run.

The keys are the same for every loss, and the values those of probabilities or point predictions, never of raw outputs.

One rule for classes that are absent: a class with no true sample in what is evaluated is left out of every macro
average, and an empty few-shot group has no key.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from lossbench.confidence_bins import bin_confidence
from lossbench.links import log_odds_of
from lossbench.ranking import areas

SHOTS = {"many": (101, float("inf")), "medium": (20, 100), "few": (0, 19)}
"""Groups of classes, or of bins of a target, by their number of training samples, bounds included (Liu et al. 2019)."""
ROUNDING = 16
"""What spreads by less than so many units in the last place of its largest value is constant: the rest is rounding."""


def classification_metrics(
    probabilities: Tensor, target: Tensor, class_counts: Sequence[int] | None = None, log_odds: Tensor | None = None
) -> dict[str, float]:
    """Compute the metrics of a classification task.

    Accuracy, balanced accuracy (mean recall), macro F1, NLL, Brier score (sum over classes), expected calibration error
    with 15 equal bins, macro AUROC (one against the rest) and average precision, recall of each class, and the accuracy
    over classes with many (> 100), a medium number (20 to 100) and few (< 20) training samples.

    Parameters
    ----------
    probabilities : Tensor
        Shape (N, K), rows sum to one.
    target : Tensor
        True classes, int64, shape (N,).
    class_counts : sequence of int, optional
        Training samples of each class, for the few-shot groups.
    log_odds : Tensor, optional
        log(p / (1 - p)) of the probabilities, shape (N, K), for NLL, AUROC and average precision: it tells samples
        apart whose probabilities are 1. Without it, that of the probabilities as far as these go.

    Returns
    -------
    dict of str to float
        Empty for no samples.

    Examples
    --------
    >>> scores = classification_metrics(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([0, 1]))
    >>> scores["accuracy"], round(scores["nll"], 4), round(scores["brier"], 4)
    (0.5, 0.5108, 0.37)

    """
    if not len(target):
        return {}
    probabilities = probabilities.double()
    log_odds = log_odds_of(probabilities) if log_odds is None else log_odds.double()
    num_classes = probabilities.shape[1]
    predicted, true, row = probabilities.argmax(1), torch.bincount(target, minlength=num_classes), target.unsqueeze(1)
    hits = torch.bincount(target[predicted == target], minlength=num_classes).double()
    present, true_class = true > 0, probabilities.gather(1, row).squeeze(1)
    recall = hits / true
    f1 = 2 * hits / (true + torch.bincount(predicted, minlength=num_classes))
    metrics = {
        "accuracy": hits.sum() / len(target),
        "balanced_accuracy": recall[present].mean(),
        "macro_f1": f1[present].mean(),
        "nll": softplus(-log_odds.gather(1, row)).mean(),  # -log p of the log-odds log(p / (1 - p))
        "brier": (probabilities.square().sum(1) - 2 * true_class + 1).mean(),
        "ece": torch.tensor(bin_confidence(probabilities.numpy(), target.numpy()).error),
    }
    if present.sum() > 1:
        auroc, precision = areas(log_odds, one_hot(target, num_classes) > 0)
        metrics |= {"auroc": auroc[present].mean(), "average_precision": precision[present].mean()}
    metrics |= {f"recall/{label}": recall[label] for label in range(num_classes) if present[label]}
    if class_counts is not None:
        counts = torch.as_tensor(class_counts)
        for group, (low, high) in SHOTS.items():
            members = (counts >= low) & (counts <= high) & present
            if members.any():
                metrics[f"accuracy_{group}"] = recall[members].mean()
    return {name: float(value) for name, value in metrics.items()}


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


def noise_metrics(probabilities: Tensor, observed: Tensor, clean: Tensor) -> dict[str, float]:
    """Compute what label noise does to the training set.

    `clean_accuracy` is the share of training samples whose true label is predicted; `memorised` the share of flipped
    labels that is reproduced. The network taken as a filter that keeps the samples whose observed label it predicts,
    `label_precision` is the share of what it keeps whose label is right, and `label_recall` the share of all right
    labels that it keeps.

    Parameters
    ----------
    probabilities : Tensor
        Shape (N, K).
    observed, clean : Tensor
        Labels with and without noise, int64, shape (N,).

    """
    if not len(observed):
        return {}
    predicted, flipped = probabilities.argmax(1), observed != clean
    kept = predicted == observed
    metrics = {"clean_accuracy": float((predicted == clean).double().mean())}
    if flipped.any():
        metrics["memorised"] = float(kept[flipped].double().mean())
    if kept.any():
        metrics["label_precision"] = float(1 - flipped[kept].double().mean())
    if not flipped.all():
        metrics["label_recall"] = float(kept[~flipped].double().mean())
    return metrics
