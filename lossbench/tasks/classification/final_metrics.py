"""The metrics of a task beyond its core ones: computed once, at the end of a run, from the predictions that it kept.

Classes with no true sample are left out of every mean over classes, as in `metrics`. A class that is never
predicted has precision 0, as in scikit-learn: were it left out, a loss would gain by giving up on rare classes; the
same holds for the negative predictive value of a class that is always predicted. Any other metric that has no value,
such as a rank correlation with a constant, is left out.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lossbench.losses.links import log_odds_of
from lossbench.tasks.classification.confidence_bins import BINS, bin_confidence, bin_of
from lossbench.tasks.classification.confusion import confusion_matrix
from lossbench.tasks.classification.ranking import area_under_risk_coverage, areas, one_against_one, top_share
from lossbench.tasks.problem import Values, with_a_value


def final_classification_metrics(
    probabilities: Tensor, target: Tensor, binary: bool = False, log_odds: Tensor | None = None
) -> dict[str, float]:
    """Compute the metrics of a classification task that are not computed at every epoch.

    Of each class against the rest: precision and F1 (`precision/<k>`, `f1/<k>`), and as mean over the classes
    (`macro_...`) precision, F-beta with beta 2 and 0.5, specificity, negative predictive value, and the rates of false
    positives, false discoveries and false negatives. A binary task has these of class 1 instead, without a prefix, with
    recall, F1 and `auprc`, the average precision.

    Of all classes together: Matthews correlation, Cohen's kappa, geometric mean and smallest of the recalls, top-5
    accuracy of more than five classes, AUROC of each class against each other (Hand and Till 2001), AUROC and average
    precision over all pairs of sample and class (`micro_...`).

    Of the confidence: the largest gap of 15 equal bins (`mce`), the mean gap of 15 bins of equally many samples
    (`adaptive_ece`), the mean over the classes of the calibration error of the probability of that class
    (`classwise_ece`), and the area under the curve of the error rate among the most confident samples over their share
    (`aurc`, Geifman and El-Yaniv 2017).

    Parameters
    ----------
    probabilities : Tensor
        Shape (N, K), rows sum to one.
    target : Tensor
        True classes, int64, shape (N,).
    binary : bool
        Whether class 1 is what is looked for, and class 0 its absence.
    log_odds : Tensor, optional
        log(p / (1 - p)) of the probabilities, shape (N, K), for all metrics of order; see `classification_metrics`.

    Returns
    -------
    dict of str to float
        Empty for no samples, and where a probability is not finite.

    Examples
    --------
    >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    >>> scores = final_classification_metrics(probabilities, torch.tensor([0, 0, 1, 1]), binary=True)
    >>> round(scores["precision"], 4), scores["specificity"], round(scores["mcc"], 4)
    (0.6667, 0.5, 0.5774)

    """
    if not len(target) or not probabilities.isfinite().all():
        return {}
    probabilities, counts = probabilities.double(), confusion_of(probabilities, target)
    log_odds = log_odds_of(probabilities) if log_odds is None else log_odds.double()
    present = counts.sum(1) > 0
    shares = one_against_rest(counts)
    metrics = {
        f"{name}/{label}": shares[name][label]
        for name in ("precision", "f1")
        for label in present.nonzero().flatten().tolist()
    }
    if not binary:
        macro = {name: values[present].mean() for name, values in shares.items() if name not in ("recall", "f1")}
        metrics |= {f"macro_{name}": value for name, value in macro.items()}
        metrics["ovo_auroc"] = one_against_one(log_odds, target, present)
    elif present[1]:
        metrics |= {name: values[1] for name, values in shares.items()}
        metrics["auprc"] = areas(log_odds[:, 1:], target.unsqueeze(1) > 0)[1]
    if probabilities.shape[1] > 5:
        metrics["top5_accuracy"] = top_share(log_odds, target, most=5)
    metrics |= _agreement(counts, shares["recall"][present])
    metrics |= _micro(log_odds, target) | _confidence(probabilities, log_odds, target, present)
    return with_a_value(metrics)


def confusion_of(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the confusion matrix (K, K) of the likeliest classes."""
    counts = confusion_matrix(probabilities.argmax(1).numpy(), target.numpy(), probabilities.shape[1])
    return torch.from_numpy(counts)


def one_against_rest(counts: Tensor) -> Values:
    """Compute shares (K,) of each class against the rest from a confusion matrix; NaN where a class has no samples."""
    counts = counts.double()
    hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    misses, alarms, negatives, rejected = true - hits, predicted - hits, counts.sum() - true, counts.sum() - predicted
    precision, recall, specificity = hits / predicted.clamp_min(1), hits / true, 1 - alarms / negatives

    def f_score(beta: float) -> Tensor:
        weighted = (1 + beta**2) * hits
        return weighted / (weighted + beta**2 * misses + alarms)

    return {
        "precision": precision,
        "recall": recall,
        "f1": f_score(1),
        "f2": f_score(2),
        "f0.5": f_score(0.5),
        "specificity": specificity,
        "npv": (rejected - misses) / rejected.clamp_min(1),
        "fpr": 1 - specificity,
        "fdr": 1 - precision,
        "fnr": 1 - recall,
    }


def _agreement(counts: Tensor, recall: Tensor) -> Values:
    counts = counts.double()
    total, true, predicted = counts.sum(), counts.sum(1), counts.sum(0)
    by_chance = true @ predicted
    covariance = total * counts.trace() - by_chance
    # At least 1, as whole numbers are: so a constant prediction has correlation 0, unlike in torchmetrics.
    spread = (total**2 - predicted @ predicted).clamp_min(1) * (total**2 - true @ true)
    return {
        "mcc": covariance / spread.sqrt(),
        "cohen_kappa": covariance / (total**2 - by_chance),
        "g_mean": recall.log().mean().exp(),
        "worst_class_recall": recall.min(),
    }


def _micro(log_odds: Tensor, target: Tensor) -> Values:
    true = one_hot(target, log_odds.shape[1]) > 0
    auroc, precision = areas(log_odds.reshape(-1, 1), true.reshape(-1, 1))
    return {"micro_auroc": auroc, "micro_average_precision": precision}


def _confidence(probabilities: Tensor, log_odds: Tensor, target: Tensor, present: Tensor) -> Values:
    classes = probabilities.shape[1]
    confidence, predicted = probabilities.max(1)
    correct = (predicted == target).double()
    excess = probabilities - one_hot(target, classes)
    bins = torch.from_numpy(bin_of(probabilities.numpy())) + BINS * torch.arange(classes)
    gaps = torch.bincount(bins.flatten(), excess.flatten(), BINS * classes).view(classes, BINS).abs().sum(1)
    return {
        "mce": torch.tensor(bin_confidence(probabilities.numpy(), target.numpy()).largest_error),
        "adaptive_ece": adaptive_calibration_error(confidence, correct),
        "classwise_ece": gaps[present].mean() / len(target),
        "aurc": area_under_risk_coverage(log_odds.amax(1), correct),
    }


def adaptive_calibration_error(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return the mean gap between confidence and accuracy over 15 bins of equally many samples.

    Equal confidences stay in one bin, so that the order of the samples does not matter.

    Parameters
    ----------
    confidence, correct : Tensor
        Shape (N,), of the predicted class; 1 where it is right, else 0.

    References
    ----------
    Nixon et al., "Measuring calibration in deep learning", 2019.

    Examples
    --------
    >>> confidence = torch.linspace(0.5, 0.9, 15, dtype=torch.float64)  # a bin for each
    >>> round(float(adaptive_calibration_error(confidence, torch.ones(15, dtype=torch.float64))), 6)
    0.3

    """
    size = len(confidence)
    last = (torch.arange(1, BINS) * size + BINS - 1) // BINS - 1
    bins = torch.searchsorted(confidence.sort().values[last], confidence)
    return torch.bincount(bins, confidence - correct, BINS).abs().sum() / size
