"""The metrics of several labels, on probabilities (N, L): the same keys for every loss.

One rule for labels that are absent: a label that no evaluated sample has is left out of every macro average and has no
number of its own; the AUROC also needs a sample without the label.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics.functional import classification


def multilabel_metrics(probabilities: Tensor, target: Tensor) -> dict[str, float]:
    """Compute the metrics of a task of several labels.

    By probability: mAP (mean over labels of the average precision), macro AUROC, NLL and Brier score (means over
    samples and labels), expected calibration error of all label probabilities in 15 equal bins. By rank within a
    sample: ranking loss (share of wrongly ordered pairs of a label and a non-label) and coverage error (how far down
    the ranking all labels of a sample are found). By decision, a label being predicted above one half: micro and macro
    F1, precision and recall, Hamming accuracy (share of right decisions), subset accuracy (share of samples with all
    decisions right). Average precision and F1 of each label as `ap/0` ... and `f1/0` ...

    Parameters
    ----------
    probabilities : Tensor
        Shape (N, L), in [0, 1].
    target : Tensor
        0 or 1 for each label, int64, shape (N, L).

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> scores = multilabel_metrics(torch.tensor([[0.9, 0.2], [0.4, 0.8]]), torch.tensor([[1, 0], [1, 1]]))
    >>> scores["hamming_accuracy"], scores["subset_accuracy"], scores["map"], round(scores["macro_f1"], 4)
    (0.75, 0.5, 1.0, 0.8333)

    """
    labels = target.shape[1]
    positives = target.sum(0)
    present, both = positives > 0, (positives > 0) & (positives < len(target))
    right = (probabilities > 0.5) == (target > 0)
    log_p, log_rest = (p.clamp_min(torch.finfo(p.dtype).tiny).log() for p in (probabilities, 1 - probabilities))
    metrics = {
        **_of_decisions(probabilities, target, present),
        "hamming_accuracy": right.double().mean(),
        "subset_accuracy": right.all(1).double().mean(),
        "nll": -torch.where(target > 0, log_p, log_rest).mean(),
        "brier": (probabilities - target).square().mean(),
        "ece": classification.binary_calibration_error(
            probabilities.flatten(), target.flatten(), n_bins=15, validate_args=False
        ),
        "ranking_loss": classification.multilabel_ranking_loss(probabilities, target, labels, validate_args=False),
        "coverage_error": classification.multilabel_coverage_error(probabilities, target, labels, validate_args=False),
    }
    if present.any():
        precision = _of_labels(classification.multilabel_average_precision, probabilities, target, present)
        metrics["map"] = precision.mean()
        metrics |= dict(zip([f"ap/{k}" for k in present.nonzero().flatten().tolist()], precision, strict=True))
    if both.any():
        metrics["auroc"] = _of_labels(classification.multilabel_auroc, probabilities, target, both).mean()
    return {name: float(value) for name, value in metrics.items()}


def _of_labels(metric: Callable[..., Tensor], probabilities: Tensor, target: Tensor, chosen: Tensor) -> Tensor:
    """Return a metric of each of the chosen labels."""
    labels = int(chosen.sum())
    return metric(probabilities[:, chosen], target[:, chosen], labels, average="none", validate_args=False).double()


def _of_decisions(probabilities: Tensor, target: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Return precision, recall and F1, and the F1 of each label; what is divided by 0 is 0, as in scikit-learn."""
    counts = classification.multilabel_stat_scores(
        probabilities, target, target.shape[1], average="none", validate_args=False
    )
    hit, wrong, _, missed, _ = counts.double().unbind(-1)

    def scores(hit: Tensor, wrong: Tensor, missed: Tensor) -> dict[str, Tensor]:
        wholes = {"precision": hit + wrong, "recall": hit + missed, "f1": hit + (wrong + missed) / 2}
        return {name: hit / whole.clamp(min=0.5) for name, whole in wholes.items()}

    by_label, together = scores(hit, wrong, missed), scores(hit.sum(), wrong.sum(), missed.sum())
    macro = {f"macro_{name}": each[present].mean() for name, each in by_label.items() if present.any()}
    own = {f"f1/{label}": by_label["f1"][label] for label in present.nonzero().flatten().tolist()}
    return {**macro, **{f"micro_{name}": each for name, each in together.items()}, **own}
