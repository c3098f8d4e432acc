"""Losses of several labels, some of which are rare: one logit z for each label, target 0 or 1 for each.

p = sigmoid(z), t the target, L the number of labels, n_k the number of training samples with label k, N that of all
training samples. The loss of a sample is the mean over the labels, unless a docstring says that it is the sum. A label
that is not known, NaN or -1, contributes nothing: the mean is that over the known labels.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., L)
    Floating point.
target : Tensor (..., L)
    0 or 1 for each label, NaN or -1 where it is not known, integer or floating point.
class_counts : Tensor or sequence of L numbers
    Training samples n_k with each label, all above 0.
train_size : int
    All training samples, N.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If the shapes differ, there are not L counts, or a label has no sample.

"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lossbench.losses.class_weights import ClassCounts, effective_number, positive_counts
from lossbench.losses.classification import bce, positives, signed_margin
from lossbench.losses.declaration import loss
from lossbench.losses.equalization import rare_classes
from lossbench.losses.imbalance import float64, per_class
from lossbench.losses.known_labels import mean_over_known, split_known, sum_over_known
from lossbench.losses.links import sigmoids
from lossbench.losses.sigmoid import focal_of_margin

__all__ = ["distribution_balanced", "multilabel_class_balanced", "multilabel_eql", "multilabel_weighted_bce"]


@loss(
    task="multilabel",
    link=sigmoids,
    source='Elkan 2001, "The Foundations of Cost-Sensitive Learning", IJCAI',
    problem="imbalance",
    ranges={"pos_weight": "[0, inf)"},
)
def multilabel_weighted_bce(
    logits: Tensor,
    target: Tensor,
    *,
    class_counts: ClassCounts,
    train_size: int,
    pos_weight: Sequence[float] | None = None,
) -> Tensor:
    """Binary cross-entropy with a weight for the positives of each label, by default negatives over positives.

    Formula: (1/L) sum_k -(a_k t_k log p_k + (1 - t_k) log(1 - p_k)), a_k = (N - n_k) / n_k

    By default positives and negatives of a label count the same in total, which moves its threshold: p comes out too
    high for rare labels. The mean over the labels, with torch's `pos_weight`.

    Parameters
    ----------
    pos_weight : sequence of L floats, optional
        The weights a_k.

    Raises
    ------
    ValueError
        If the shapes differ, there are not L counts or weights, or a label has no sample and `pos_weight` is not given.

    Examples
    --------
    >>> multilabel_weighted_bce(torch.zeros(1, 2), torch.tensor([[0, 1]]), class_counts=[50, 10], train_size=100)
    tensor([3.4657])

    """
    if pos_weight is None:
        counts = positive_counts(float64(class_counts))
        weights = (train_size - counts) / counts
    else:
        weights = float64(pos_weight)
    target, known = split_known(target)
    weighted = torch.where(positives(logits, target), per_class(weights, logits), 1.0) * bce(logits, target)
    return mean_over_known(weighted, known)


@loss(
    task="multilabel",
    link=sigmoids,
    source=(
        'Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", arXiv:1901.05555; Wu et '
        'al. 2020, "Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets" (whose '
        "code has this form by label), arXiv:2007.09654"
    ),
    problem="imbalance",
    ranges={"beta": "[0, 1)"},
)
def multilabel_class_balanced(
    logits: Tensor, target: Tensor, *, class_counts: ClassCounts, beta: float = 0.9999
) -> Tensor:
    """Binary cross-entropy of each label, weighted by the inverse of its effective number of samples.

    Formula: (1/L) sum_k w_k -(t_k log p_k + (1 - t_k) log(1 - p_k)), w_k ~ (1 - beta) / (1 - beta^n_k), sum_k w_k = L

    The paper has one label to a sample, whose weight holds for the whole sample; with several the weight is that of the
    label, for its positive and its negative terms. The mean over the labels. beta = 0 is `multilabel_bce`.

    Parameters
    ----------
    beta : float in [0, 1)
        About 1 - 1/N, N the number of distinguishable samples that a label could have.

    Examples
    --------
    >>> multilabel_class_balanced(torch.tensor([[0.0, 2.0]]), torch.tensor([[1, 1]]), class_counts=[90, 10], beta=0.99)
    tensor([0.2053])

    """
    weights = effective_number(class_counts=float64(class_counts), beta=beta)
    target, known = split_known(target)
    return mean_over_known(per_class(weights, logits) * bce(logits, target), known)


@loss(
    task="multilabel",
    link=sigmoids,
    source='Tan et al. 2020, "Equalization Loss for Long-Tailed Object Recognition", arXiv:2003.05176',
    problem="imbalance",
    ranges={"lam": "[0, 1]"},
)
def multilabel_eql(
    logits: Tensor, target: Tensor, *, class_counts: ClassCounts, train_size: int, lam: float = 1.77e-3
) -> Tensor:
    """Sum of binary cross-entropies without the negative terms of rare labels in samples that have another label.

    Formula: sum_k w_k -(t_k log p_k + (1 - t_k) log(1 - p_k)), w_k = 1 - E T_k (1 - t_k), T_k = 1 if n_k / N < lam

    E = 1 for a sample with any label, and 0 for one without: such samples are the background of the paper, and all that
    holds the logits of rare labels down. Without any, a rare label is predicted everywhere. The sum over the labels, as
    in the paper. lam = 0 is L times `multilabel_bce`; the default is for LVIS, where labels are far rarer than in
    most data.

    Parameters
    ----------
    lam : float in [0, 1]
        Frequency below which a label is rare.

    Examples
    --------
    >>> counts = {"class_counts": [60, 5], "train_size": 100, "lam": 0.1}
    >>> multilabel_eql(torch.zeros(2, 2), torch.tensor([[1, 0], [0, 0]]), **counts)
    tensor([0.6931, 1.3863])

    """
    target, known = split_known(target)
    positive = positives(logits, target)
    spared = rare_classes(class_counts, logits, lam, train_size) & ~positive & positive.any(-1, keepdim=True)
    return sum_over_known(bce(logits, target) * ~spared, known)


@loss(
    task="multilabel",
    link=sigmoids,
    source=(
        'Wu et al. 2020, "Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets", '
        "arXiv:2007.09654"
    ),
    problem="imbalance",
    ranges={
        "alpha": "[0, inf)", "beta": "[0, inf)", "mu": "[0, inf)", "lam": "(0, inf)", "kappa": "[0, inf)",
        "gamma": "[0, inf)",
    },
)  # fmt: skip
def distribution_balanced(
    logits: Tensor,
    target: Tensor,
    *,
    class_counts: ClassCounts,
    train_size: int,
    alpha: float = 0.1,
    beta: float = 10.0,
    mu: float = 0.2,
    lam: float = 2.0,
    kappa: float = 0.05,
    gamma: float = 2.0,
) -> Tensor:
    """Focal loss with weights for labels that occur together, and negatives that are let go once they are low.

    Formula: (1/L) sum_k w_k (t_k f(z_k - v_k) + (1 - t_k) f(-lam (z_k - v_k)) / lam)

    f(m) = -sigmoid(-m)^gamma log sigmoid(m), w_k = alpha + sigmoid(beta (r_k - mu)), r_k = (1/n_k) / sum_j t_j/n_j and
    v_k = kappa log(N/n_k - 1). r_k corrects the draw of a sample by label k for its being drawn by all its labels; for
    a sample without labels w_k is at its limit, alpha + 1. The scale lam above 1 and the shift v_k are the
    negative-tolerant part; gamma = 0 leaves out the focusing. alpha = 0.5, beta = 0, lam = 1, kappa = 0, gamma = 0 is
    `multilabel_bce`. The mean over the labels, as in the paper. The authors' code multiplies by a constant 2, and its
    first version divides v_k by lam. The defaults are those of its configuration for COCO; for VOC it has mu = 0.3 and
    lam = 5. A label that no sample lacks counts as missing in one.

    Parameters
    ----------
    logits : Tensor (..., L)
        Floating point, z.
    target : Tensor (..., L)
        0 or 1 for each label, NaN or -1 where it is not known, integer or floating point, t.
    alpha, beta, mu : float from 0
        Floor, steepness and middle of the map from r to the weights.
    lam : float above 0
        Scale of the logits of negatives.
    kappa : float from 0
        Size of the shift of the logits.
    gamma : float from 0
        Strength of the down-weighting of easy labels.

    Examples
    --------
    >>> counts = {"class_counts": [50, 50], "train_size": 100}  # no shift: log(100 / 50 - 1) = 0
    >>> distribution_balanced(torch.zeros(1, 2), torch.tensor([[1, 0]]), gamma=0.0, **counts)
    tensor([0.5717])

    """
    target, known = split_known(target)
    sign = signed_margin(torch.ones_like(logits), target)
    counts = positive_counts(float64(class_counts))
    inverse = per_class(1 / counts, logits)
    drawn = (inverse * (sign > 0)).sum(-1, keepdim=True)
    weights = alpha + (beta * (inverse / drawn.clamp(min=1e-30) - mu)).sigmoid()
    shift = per_class(kappa * (train_size / counts.clamp(max=train_size - 1) - 1).log(), logits)
    scale = torch.where(sign > 0, 1.0, lam)
    return mean_over_known(weights * focal_of_margin(scale * sign * (logits - shift), gamma) / scale, known)
