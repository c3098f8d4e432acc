"""The metrics of classification that are computed at every epoch; `final_metrics` has those of the end of a run.

The keys are the same for every loss, and the values those of probabilities or point predictions, never of raw outputs.

One rule for classes that are absent: a class with no true sample in what is evaluated is left out of every macro
average, and an empty few-shot group has no key.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from lossbench.losses.links import log_odds_of
from lossbench.tasks.classification.confidence_bins import bin_confidence
from lossbench.tasks.classification.ranking import areas
from lossbench.tasks.problem import SHOTS


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
