"""Metrics of order: how well scores put what is true above what is not, with equal scores in no order at all.

Scores are log-odds, which tell apart what probabilities near 1 no longer do. All is computed in double precision and
for many classes at once; the order of the samples changes nothing.
"""

import torch
from torch import Tensor

LARGEST_BLOCK = 2**22
"""Scores that are sorted at once: memory stays bounded with many classes."""


def _ends_of_ties(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the group of equal scores of each sorted one (..., N) begins and where it ends."""
    last = ordered.shape[-1] - 1
    place = torch.arange(last + 1).expand(ordered.shape)
    changes = ordered[..., 1:] != ordered[..., :-1]
    edge = torch.ones_like(changes[..., :1] if last else ordered, dtype=torch.bool)
    begin = place.where(torch.cat([edge, changes], -1), torch.tensor(0)).cummax(-1).values
    end = place.where(torch.cat([changes, edge], -1), torch.tensor(last)).flip(-1).cummin(-1).values.flip(-1)
    return begin, end


def areas(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Compute AUROC and average precision of each of K classes against the rest.

    The AUROC is the chance that a positive has a higher score than a negative, ties half. The average precision is the
    mean over the positives of the precision at the score of each, all of that score counted.

    Parameters
    ----------
    scores : Tensor
        Shape (N, K), floating.
    positive : Tensor
        What is true, bool, shape (N, K).

    Returns
    -------
    auroc, average_precision : Tensor, float64, shape (K,)
        NaN where there is no positive, for the AUROC also where there is no negative, or where a score is NaN.

    Examples
    --------
    >>> auroc, precision = areas(torch.tensor([[3.0], [2.0], [2.0]]), torch.tensor([[True], [False], [True]]))
    >>> auroc.item(), round(precision.item(), 4)  # (1 + 1/2) / 2, (1 + 2/3) / 2
    (0.75, 0.8333)

    """
    rows = max(1, LARGEST_BLOCK // max(1, len(scores)))
    blocks = zip(scores.T.split(rows), positive.T.split(rows), strict=True)
    both = [_areas(block.contiguous(), true) for block, true in blocks]
    auroc, precision = (torch.cat(found) for found in zip(*both, strict=True))
    return auroc, precision


def _areas(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    size = scores.shape[-1]
    if not size:
        return (torch.full((len(scores),), torch.nan, dtype=torch.float64),) * 2
    ordered, order = scores.sort(dim=-1, descending=True)
    begin, end = _ends_of_ties(ordered)
    true = positive.gather(-1, order)
    positives = true.sum(-1).double()
    ranks = ((begin + end).double() / 2 * true).sum(-1)
    auroc = 1 - (ranks - positives * (positives - 1) / 2) / (positives * (size - positives))
    precision = true.cumsum(-1).gather(-1, end).double() / (end + 1)
    average = (precision * true).sum(-1) / positives
    unknown = scores.isnan().any(-1)
    return auroc.masked_fill(unknown, torch.nan), average.masked_fill(unknown, torch.nan)


def label_ranking(scores: Tensor, positive: Tensor, known: Tensor | None = None) -> dict[str, Tensor]:
    """Measure the order of the labels within each sample, as scikit-learn does: equal scores count as wrong.

    `ranking_loss` is the share of pairs of a label and a non-label in which the non-label's score is not below; 0 for a
    sample without such pairs. `coverage_error` is how many labels have a score that is at least that of the last true
    one; 0 for a sample without labels. Both are means over the samples.

    Parameters
    ----------
    scores, positive : Tensor
        Shape (N, L), floating; bool.
    known : Tensor, optional
        Which labels are known, bool, shape (N, L): the others are in no pair and no order. By default all.

    Examples
    --------
    >>> found = label_ranking(torch.tensor([[0.3, 0.3, 0.1]]), torch.tensor([[True, False, False]]))
    >>> found["ranking_loss"].item(), found["coverage_error"].item()
    (0.5, 2.0)

    """
    if known is not None:
        scores, positive = scores.masked_fill(~known, -torch.inf), positive & known
    ordered, order = scores.sort(dim=-1, descending=True)
    end, true = _ends_of_ties(ordered)[1], positive.gather(-1, order)
    reached = end + 1
    alarms = reached - true.cumsum(-1).gather(-1, end)
    labels = true.sum(-1)
    pairs = labels * ((true.shape[-1] if known is None else known.sum(-1)) - labels)
    return {
        "ranking_loss": ((alarms * true).sum(-1).double() / pairs.clamp_min(1)).mean(),
        "coverage_error": (reached * true).amax(-1).double().mean(),
    }


def one_against_one(scores: Tensor, target: Tensor, present: Tensor) -> Tensor:
    """Return the mean over pairs of classes of the chance that a sample of the first has more of its score.

    Formula: mean over a != b of P(s_a(x_a) > s_a(x_b)), ties half; NaN for a single class

    All pairs with one first class take one sort: with 100 classes a hundredth of the work of a call for each pair.
    """
    found = []
    counts = torch.bincount(target, minlength=len(present))
    for label in present.nonzero().flatten().tolist():
        own_scores = scores[:, label].contiguous()
        own = own_scores[target == label].sort().values
        below = (torch.searchsorted(own, own_scores) + torch.searchsorted(own, own_scores, right=True)).double() / 2
        others = present & (torch.arange(len(present)) != label)
        area = 1 - torch.bincount(target, below, len(present))[others] / (len(own) * counts[others])
        found.append(area.mean())
    return torch.stack(found).mean()


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


def top_share(scores: Tensor, target: Tensor, most: int) -> Tensor:
    """Return the share of the samples whose true class is among the `most` highest scores, ties being drawn by lot.

    Examples
    --------
    >>> float(top_share(torch.tensor([[1.0, 1.0, 0.0], [3.0, 2.0, 1.0]]), torch.tensor([1, 2]), most=1))
    0.25

    """
    own = scores.gather(1, target.unsqueeze(1))
    above, equal = (scores > own).sum(1), (scores == own).sum(1)
    return ((most - above) / equal.clamp_min(1)).clamp(0, 1).double().mean()
