"""The metrics of several labels, on probabilities (N, L): the same keys for every loss.

One rule for labels that are absent: a label that no evaluated sample has is left out of every macro average and has no
number of its own; the AUROC also needs a sample without the label. A label that is not known of a sample, -1 in the
target, is left out of everything.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lossbench.losses.links import log_odds_of
from lossbench.tasks.classification.confidence_bins import fill
from lossbench.tasks.classification.ranking import areas, label_ranking


def multilabel_metrics(probabilities: Tensor, target: Tensor, log_odds: Tensor | None = None) -> dict[str, float]:
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
        0 or 1 for each label, -1 where it is not known, int64, shape (N, L).
    log_odds : Tensor, optional
        log(p / (1 - p)) of the probabilities, shape (N, L), for the NLL and all metrics of order: it tells samples
        apart whose probabilities are 1. Without it, that of the probabilities as far as these go.

    Returns
    -------
    dict of str to float
        Empty for no samples, or none of which a label is known.

    Examples
    --------
    >>> scores = multilabel_metrics(torch.tensor([[0.9, 0.2], [0.4, 0.8]]), torch.tensor([[1, 0], [1, 1]]))
    >>> scores["hamming_accuracy"], scores["subset_accuracy"], scores["map"], round(scores["macro_f1"], 4)
    (0.75, 0.5, 1.0, 0.8333)

    """
    known = target >= 0
    of_something = known.any(1)
    if not of_something.all():
        log_odds = None if log_odds is None else log_odds[of_something]
        probabilities, target, known = (each[of_something] for each in (probabilities, target, known))
    if not len(target):
        return {}
    probabilities, true = probabilities.double(), target > 0
    log_odds = log_odds_of(probabilities) if log_odds is None else log_odds.double()
    positives = true.sum(0)
    present, both = positives > 0, (positives > 0) & (positives < known.sum(0))
    right = (probabilities > 0.5) == true
    metrics = {
        **_of_decisions((probabilities > 0.5) & known, true, present),
        "hamming_accuracy": right[known].double().mean(),
        "subset_accuracy": (right | ~known).all(1).double().mean(),
        "nll": softplus(torch.where(true, -log_odds, log_odds))[known].mean(),
        "brier": (probabilities - target)[known].square().mean(),
        "ece": torch.tensor(fill(probabilities[known].numpy(), true[known].numpy()).error),
        **label_ranking(log_odds, true, known),
    }
    if present.any():
        columns = [areas(log_odds[rows, k : k + 1], true[rows, k : k + 1]) for k, rows in enumerate(known.T)]
        auroc, precision = (torch.cat(each) for each in zip(*columns, strict=True))
        metrics["map"] = precision[present].mean()
        metrics |= {f"ap/{label}": precision[label] for label in present.nonzero().flatten().tolist()}
        if both.any():
            metrics["auroc"] = auroc[both].mean()
    return {name: float(value) for name, value in metrics.items()}


def _of_decisions(said: Tensor, true: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Return precision, recall and F1, and the F1 of each label; what is divided by 0 is 0, as in scikit-learn."""
    hit, wrong, missed = (each.sum(0).double() for each in (said & true, said & ~true, ~said & true))

    def scores(hit: Tensor, wrong: Tensor, missed: Tensor) -> dict[str, Tensor]:
        wholes = {"precision": hit + wrong, "recall": hit + missed, "f1": hit + (wrong + missed) / 2}
        return {name: hit / whole.clamp(min=0.5) for name, whole in wholes.items()}

    by_label, together = scores(hit, wrong, missed), scores(hit.sum(), wrong.sum(), missed.sum())
    macro = {f"macro_{name}": each[present].mean() for name, each in by_label.items() if present.any()}
    own = {f"f1/{label}": by_label["f1"][label] for label in present.nonzero().flatten().tolist()}
    return {**macro, **{f"micro_{name}": each for name, each in together.items()}, **own}
