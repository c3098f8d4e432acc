"""Losses that rank: a positive sample above a negative one, or the true class above the others.

Ranking samples leaves their scores free to move together, so that a probability of one half is no natural threshold:
judge `auc_squared_hinge` and `aucm` by AUROC or average precision, and expect little of accuracy and calibration.

Where a loss says nothing else:

Returns
-------
Tensor (N,)
    Values from 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.losses.class_weights import ClassCounts, positive_counts
from lossbench.losses.classification import of_true_class, one_hot, positives, with_true_class
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import float64
from lossbench.losses.links import normalised_sigmoid, sigmoid, softmax

__all__ = ["auc_squared_hinge", "aucm", "two_way", "zlpr"]


@loss(
    task="binary",
    link=sigmoid,
    source='Gao and Zhou 2015, "On the Consistency of AUC Pairwise Optimization", arXiv:1208.0645',
    problem="imbalance",
    ranges={"margin": "(0, inf)"},
    coupled=True,
)
def auc_squared_hinge(scores: Tensor, target: Tensor, *, margin: float = 1.0) -> Tensor:
    """Squared hinge on the difference of scores of each pair of a positive and a negative: maximises the AUC.

    Formula: mean over i positive, j negative of max(0, margin - (s_i - s_j))^2

    The scores are the outputs themselves. The value of a sample is its share, so that the plain mean over the N samples
    is the formula: half of the loss of each of its pairs, times N over the number of pairs. A batch of one class has no
    pair and the value 0: stratify the batches, or make them large.

    Parameters
    ----------
    scores : Tensor (N,)
        Floating point, s.
    target : Tensor (N,)
        Class 0 or 1, integer or floating point.
    margin : float above 0
        Difference from which a pair counts as well ranked.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> auc_squared_hinge(torch.tensor([0.5, 0.0, -1.0]), torch.tensor([1, 0, 0]))
    tensor([0.1875, 0.1875, 0.0000])

    """
    positive = positives(scores, target)
    pairs = positive.unsqueeze(1) & ~positive
    # In place where the gradient allows it: for large batches new memory takes longer than the numbers in it.
    losses = (scores - scores.unsqueeze(1)).add_(margin).clamp(min=0).masked_fill(~pairs, 0).square()
    return (losses.sum(0) + losses.sum(1)) * (len(scores) / (2 * pairs.sum().clamp(min=1).to(scores)))


@loss(
    task="binary",
    link=sigmoid,
    source=(
        'Yuan et al. 2021, "Large-scale Robust Deep AUC Maximization: A New Surrogate Loss and Empirical Studies '
        'on Medical Image Classification", arXiv:2012.03173; Ying et al. 2016, "Stochastic Online AUC '
        'Maximization" (the minimum-maximum form)'
    ),
    problem="imbalance",
    ranges={"margin": "(0, inf)"},
)
class aucm(nn.Module):  # noqa: N801  (called as the functions are: loss=aucm)
    """AUC margin loss: the squared loss on pairs as a minimum over a, b and maximum over alpha, sample by sample.

    Formula: (1 - r) t (s - a)^2 + r (1 - t) (s - b)^2 + 2 alpha (r (1 - r) margin + r (1 - t) s - (1 - r) t s) -
    r (1 - r) alpha^2, alpha >= 0

    s = sigmoid(z), r the share of positives in the training data. At the optimum a and b are the mean scores of
    positives and negatives and alpha = max(0, margin - a + b); the mean over the data is then r (1 - r) times (variance
    of positives + variance of negatives + alpha^2). a, b and alpha are parameters of the loss and learned by the same
    optimizer: alpha has its gradient reversed, so that the step that descends for the rest ascends for it, and is set
    to 0 at the start of a call in training when a step took it below. Differs from the authors' method in the optimizer
    (theirs is a proximal one with its own schedule). Values may be below 0 away from the optimum.

    Parameters
    ----------
    class_counts : Tensor or sequence of 2 numbers
        Training samples of the classes 0 and 1, all above 0.
    margin : float above 0
        Difference of the mean scores that is asked for; with scores in [0, 1], 1 asks for all.

    Returns
    -------
    Tensor (N,)
        For logits (N,) and targets 0 or 1 (N,): real values.

    Raises
    ------
    ValueError
        If there are not 2 counts, a class has no sample, or the shapes differ.

    Examples
    --------
    >>> aucm(class_counts=[75, 25])(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])).detach()
    tensor([0.1875, 0.0625])

    """

    def __init__(self, *, class_counts: ClassCounts, margin: float = 1.0) -> None:
        super().__init__()
        counts = positive_counts(float64(class_counts)).tolist()
        if len(counts) != 2:
            raise ValueError(
                f"class_counts={counts}: this loss is for two classes, give the counts of classes 0 and 1."
            )
        self.share, self.margin = counts[1] / sum(counts), margin
        self.a, self.b, self.alpha = (nn.Parameter(torch.zeros(())) for _ in range(3))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        if self.training:
            with torch.no_grad():
                self.alpha.clamp_(min=0)
        scores, share = logits.sigmoid(), self.share
        alpha = 2 * self.alpha.detach() - self.alpha  # the value of alpha, and minus its gradient
        positive = positives(scores, target)
        value = torch.where(
            positive,
            (1 - share) * ((scores - self.a) ** 2 - 2 * alpha * scores),
            share * ((scores - self.b) ** 2 + 2 * alpha * scores),
        )
        return value + share * (1 - share) * alpha * (2 * self.margin - alpha)


@loss(
    task="multiclass",
    link=softmax,
    source='Kobayashi 2023, "Two-Way Multi-Label Loss", CVPR',
    ranges={"temperature_pos": "(0, inf)", "temperature_neg": "(0, inf)"},
    coupled=True,
)
def two_way(logits: Tensor, target: Tensor, *, temperature_pos: float = 4.0, temperature_neg: float = 1.0) -> Tensor:
    """Rank the true class above the others in each sample, and its samples above the others in each class.

    Formula: mean over samples i of log(1 + e^(neg_i - z_iy)) + mean over classes c of log(1 + e^(neg_c + pos_c))

    neg_i = T_n log sum_(k != y) e^(z_ik / T_n) in row i; neg_c is the same in column c, over the samples of other
    classes, and pos_c = T_p log sum e^(-z_ic / T_p) over those of class c. The single-label form of a multi-label loss:
    the one positive of a row is its own soft minimum. With T_n = 1 the first part is the cross-entropy; the second
    counts all classes that are in the batch alike. The value of a sample is its share: its row's, and that of its
    class's column times N / (classes in the batch x samples of the class). A batch of one class has no second part.

    Parameters
    ----------
    logits : Tensor (N, K)
        Floating point, z.
    target : Tensor (N,)
        Integer class indices.
    temperature_pos, temperature_neg : float above 0
        Softness T_p of the minimum over positives, T_n of the maximum over negatives.

    Examples
    --------
    >>> two_way(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor([1.3863, 1.3863])

    """
    return two_way_shares(logits, one_hot(logits, target), temperature_pos, temperature_neg)


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source='Su et al. 2022, "ZLPR: A Novel Loss for Multi-label Classification", arXiv:2208.02955',
)
def zlpr(logits: Tensor, target: Tensor) -> Tensor:
    """Rank the true class above zero and the others below it, by two log-sum-exp.

    Formula: log(1 + sum_(k != y) e^(z_k)) + log(1 + e^(-z_y))

    The one positive class of a single-label problem in the paper's form for any number of them. Zero is the threshold:
    the loss is small when z_y > 0 > z_k. With two classes it is the sum of their binary cross-entropies; with more, the
    largest wrong logit counts most. sigmoid(z_k) is the probability of class k with two classes and only near it with
    more.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Examples
    --------
    >>> zlpr(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([1]))
    tensor([1.7918])

    """
    own = of_true_class(logits, target).squeeze(-1)
    return with_true_class(logits, target, 0.0).logsumexp(-1) + F.softplus(-own)  # 0 in its place is the 1 of the sum


def around_zero(logits: Tensor, positive: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the loss (...) that ranks the positives of logits (..., K) above zero, the other known ones below it."""
    zero = logits.new_zeros((*logits.shape[:-1], 1))  # the 1 of both sums
    left_out = positive if known is None else positive | ~known
    nowhere = _nowhere(logits)
    parts = (logits.masked_fill(left_out, nowhere), (-logits).masked_fill(~positive, nowhere))
    above, below = (torch.cat([zero, part], -1).logsumexp(-1) for part in parts)
    return above + below


def two_way_shares(
    logits: Tensor, positive: Tensor, temperature_pos: float, temperature_neg: float, known: Tensor | None = None
) -> Tensor:
    """Return each sample's share (N,) of the two-way loss of logits (N, K) with a mask of the positives."""
    left_out = positive if known is None else positive | ~known
    nowhere = _nowhere(logits)

    negatives = (logits / temperature_neg).masked_fill(left_out, nowhere)
    positives = (logits / -temperature_pos).masked_fill(~positive, nowhere)

    def apart(dim: int) -> Tensor:
        return F.softplus(temperature_neg * negatives.logsumexp(dim) + temperature_pos * positives.logsumexp(dim))

    members = positive.to(logits)
    of_rows = apart(1) / positive.any(1).sum().clamp(min=1)
    of_columns = members @ (apart(0) / members.sum(0).clamp(min=1)) / positive.any(0).sum().clamp(min=1)
    return len(logits) * (of_rows + of_columns)


def _nowhere(logits: Tensor) -> float:
    """Return what stands for a logit that a sum leaves out; unlike -inf with a gradient where nothing else is left."""
    return max(-1e30, torch.finfo(logits.dtype).min / 8)
