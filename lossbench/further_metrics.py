"""The metrics of a task beyond its core ones: computed once, at the end of a run, from the predictions that it kept.

Classes with no true sample are left out of every mean over classes, as in `lossbench.metrics`. A class that is never
predicted has precision 0, as in scikit-learn: were it left out, a loss would gain by giving up on rare classes; the
same holds for the negative predictive value of a class that is always predicted. Any other metric that has no value,
such as a rank correlation with a constant, is left out.
"""

import math

import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import one_hot, softplus
from torchmetrics.functional import classification

BINS = 15
"""Of every calibration error."""
TRIMMED = 0.1
"""The share of the largest errors that `trimmed_rmse` leaves out."""
FIFTHS = 5

Values = dict[str, Tensor]


def further_classification_metrics(probabilities: Tensor, target: Tensor, binary: bool = False) -> dict[str, float]:
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

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    >>> scores = further_classification_metrics(probabilities, torch.tensor([0, 0, 1, 1]), binary=True)
    >>> round(scores["precision"], 4), scores["specificity"], round(scores["mcc"], 4)
    (0.6667, 0.5, 0.5774)

    """
    if not probabilities.isfinite().all():
        return {}
    probabilities, counts = probabilities.double(), confusion_matrix(probabilities, target)
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
        metrics["ovo_auroc"] = one_against_one(probabilities, target, present)
    elif present[1]:
        metrics |= {name: values[1] for name, values in shares.items()}
        metrics["auprc"] = classification.binary_average_precision(probabilities[:, 1], target, validate_args=False)
    if probabilities.shape[1] > 5:
        metrics["top5_accuracy"] = (probabilities.topk(5).indices == target.unsqueeze(1)).any(1).double().mean()
    metrics |= _agreement(counts, shares["recall"][present])
    metrics |= _micro(probabilities, target) | _confidence(probabilities, target, present)
    return _with_a_value(metrics)


def confusion_matrix(probabilities: Tensor, target: Tensor) -> Tensor:
    """Count the samples (K, K) of each true class, the rows, by their predicted class, the columns."""
    classes = probabilities.shape[1]
    return torch.bincount(target * classes + probabilities.argmax(1), minlength=classes**2).view(classes, classes)


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


def one_against_one(probabilities: Tensor, target: Tensor, present: Tensor) -> Tensor:
    """Return the mean over pairs of classes of the chance that a sample of the first has more of its probability.

    Formula: mean over a != b of P(p_a(x_a) > p_a(x_b)), ties half; NaN for a single class

    All pairs with one first class take one sort: with 100 classes a hundredth of the work of a call for each pair.
    """
    areas = []
    counts = torch.bincount(target, minlength=len(present))
    for label in present.nonzero().flatten().tolist():
        scores = probabilities[:, label].contiguous()
        own = scores[target == label].sort().values
        below = (torch.searchsorted(own, scores) + torch.searchsorted(own, scores, right=True)) / 2
        others = present & (torch.arange(len(present)) != label)
        area = 1 - torch.bincount(target, below.double(), len(present))[others] / (len(own) * counts[others])
        areas.append(area.mean())
    return torch.stack(areas).mean()


def _micro(probabilities: Tensor, target: Tensor) -> Values:
    pairs = probabilities.flatten(), one_hot(target, probabilities.shape[1]).flatten()
    return {
        "micro_auroc": classification.binary_auroc(*pairs, validate_args=False),
        "micro_average_precision": classification.binary_average_precision(*pairs, validate_args=False),
    }


def _confidence(probabilities: Tensor, target: Tensor, present: Tensor) -> Values:
    classes = probabilities.shape[1]
    confidence, predicted = probabilities.max(1)
    correct = (predicted == target).double()
    excess = probabilities - one_hot(target, classes)
    bins = (probabilities * BINS).long().clamp_max(BINS - 1) + BINS * torch.arange(classes)
    gaps = torch.bincount(bins.flatten(), excess.flatten(), BINS * classes).view(classes, BINS).abs().sum(1)
    return {
        "mce": classification.multiclass_calibration_error(
            probabilities, target, classes, n_bins=BINS, norm="max", validate_args=False
        ),
        "adaptive_ece": adaptive_calibration_error(confidence, correct),
        "classwise_ece": gaps[present].mean() / len(target),
        "aurc": area_under_risk_coverage(confidence, correct),
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


def area_under_risk_coverage(confidence: Tensor, correct: Tensor) -> Tensor:
    """Return the mean over n = 1 ... N of the error rate among the n most confident samples.

    Among samples of equal confidence any order counts the same: each has the error rate of all of them.

    Examples
    --------
    >>> float(area_under_risk_coverage(torch.tensor([0.9, 0.8]), torch.tensor([1.0, 0.0])))  # (0 + 1/2) / 2
    0.25

    """
    levels, level = confidence.unique(return_inverse=True)
    wrong = torch.bincount(level, 1 - correct.double(), len(levels)) / torch.bincount(level)
    ordered = wrong[level.sort(descending=True).values]
    return (ordered.cumsum(0) / torch.arange(1, len(ordered) + 1)).mean()


def further_regression_metrics(
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
    >>> scores = further_regression_metrics(torch.tensor([1.0, 3.0, 4.0]), y, y)
    >>> round(scores["mape"], 4), round(scores["wmape"], 4), scores["spearman"]
    (0.1667, 0.1429, 1.0)

    """
    if not prediction.isfinite().all():
        return {}
    prediction = prediction.double()
    metrics = _of_numbers(prediction, clean.double(), num_features)
    against = metrics if torch.equal(observed, clean) else _of_numbers(prediction, observed.double(), num_features)
    for name, value in list(against.items()):
        kind, of, number = name.partition("/")
        metrics[f"{kind}_observed{of}{number}"] = value
    return _with_a_value(metrics)


def _of_numbers(prediction: Tensor, target: Tensor, num_features: int | None) -> Values:
    residual, size = target - prediction, len(target)
    error, mse, variance = residual.abs(), residual.square().mean(), target.var(correction=0)
    centred, shift = target - target.mean(), target.mean() - prediction.mean()
    covariance = (centred * (prediction - prediction.mean())).mean()
    metrics = {
        "mse": mse,
        "max_error": error.max(),
        "trimmed_rmse": error.sort().values[: size - int(TRIMMED * size)].square().mean().sqrt(),
        "log_cosh": (error + softplus(-2 * error) - math.log(2)).mean(),  # no overflow, other than cosh itself
        "nrmse": (mse / variance).sqrt(),
        "mape": (error / target.abs()).mean(),
        "smape": (2 * error / (target.abs() + prediction.abs())).nan_to_num(0.0).mean(),
        "wmape": error.sum() / target.abs().sum(),
        "explained_variance": 1 - residual.var(correction=0) / variance,
        "concordance": 2 * covariance / (variance + prediction.var(correction=0) + shift**2),
    }
    if num_features is not None and size > num_features + 1:
        metrics["adjusted_r2"] = 1 - mse / variance * (size - 1) / (size - num_features - 1)
    fifths = error[target.argsort(stable=True)].tensor_split(FIFTHS)
    metrics |= {f"mae_fifth/{number}": fifth.mean() for number, fifth in enumerate(fifths, start=1)}
    return metrics | _ranks(prediction, target)


def _ranks(prediction: Tensor, target: Tensor) -> Values:
    if not (prediction.max() > prediction.min() and target.max() > target.min()):
        return {}
    pair = prediction.numpy(), target.numpy()
    return {
        "spearman": torch.tensor(stats.spearmanr(*pair).statistic),
        "kendall": torch.tensor(stats.kendalltau(*pair, method="asymptotic").statistic),
    }


def _with_a_value(metrics: Values) -> dict[str, float]:
    values = {name: float(value) for name, value in metrics.items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}
